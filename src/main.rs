//! The `jumeau` command.
fn main() {}
