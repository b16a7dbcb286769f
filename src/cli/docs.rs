//! `jumeau docs`: pages about the twins, from their files.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::docs::{Book, folders};

/// Arguments of `docs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each twin becomes a page TWIN.md: what it decides and for whom, what it reads from the record, its models with their \
equations and numbers, goals, harms and rules with their sources, the model card, and a picture TWIN.svg of a typical course. README.md \
lists all twins. Everything comes from the files of the twins; pages are never edited by hand.

Examples:
  jumeau docs                                   renews docs/twins from models
  jumeau docs --check                           says which pages are out of date, changes nothing (for continuous integration)
  jumeau docs --models my-twins --out my-pages  pages of your own twins

Exit code 0: done, or all pages are as they should be. 1: a page is out of date, or a twin has no page because its files are wrong \
(the other pages are written). 2: the command line is wrong."
)]
pub(super) struct Docs {
    /// Folder of twins, one a sub-folder
    #[arg(long, default_value = "models", value_name = "FOLDER")]
    models: PathBuf,
    /// Folder of the pages
    #[arg(long, default_value = "docs/twins", value_name = "FOLDER")]
    out: PathBuf,
    /// Write nothing; fail if a page is not what it should be
    #[arg(long)]
    check: bool,
}

pub(super) fn docs(arguments: &Docs) -> Result<(), String> {
    let Docs { models, out, check } = arguments;
    let folders = folders(models).map_err(|e| e.to_string())?;
    if folders.is_empty() {
        return Err(format!("{}: no folder in it has a twin.toml", models.display()));
    }
    let bar = bar(folders.len());
    let book = Book::make(&folders, out, || bar.inc(1));
    bar.finish_and_clear();
    let mut wrong: Vec<String> = book.errors.iter().map(ToString::to_string).collect();
    if *check {
        let differences = book.differences(out);
        if !differences.is_empty() {
            wrong.extend(differences);
            wrong.push(format!(
                "renew with: jumeau docs --models {} --out {}",
                models.display(),
                out.display()
            ));
        }
    } else {
        let touched = book.write(out).map_err(|e| e.to_string())?;
        let all = book.pages.len();
        super::print(&format!(
            "{}: {all} files of {} twins, {touched} changed",
            out.display(),
            folders.len() - book.errors.len()
        ));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\njumeau: "))
    }
}

fn bar(twins: usize) -> ProgressBar {
    // Drawn on standard error, and only where somebody looks.
    let bar = ProgressBar::with_draw_target(Some(twins as u64), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("drawing and writing {wide_bar} {pos}/{len} twins") {
        bar.set_style(style);
    }
    bar
}
