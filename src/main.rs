//! The `jumeau` command; see `jumeau --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jumeau::cli::run()
}
