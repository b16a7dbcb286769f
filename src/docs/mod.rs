//! Pages about the twins, one a twin, made from the files alone so that they cannot say anything else.
//!
//! A [`Book`] is what the pages should be; it can be written to a folder, or compared with what is there. The same files give the
//! same bytes.

mod markdown;
mod model;
mod page;
mod record;
mod treatment;
mod typical;
mod words;
mod written;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use self::{
    markdown::{Document, Table, code, plain},
    written::Written,
};
use crate::model::{
    catalog::{CatalogError, Definition},
    model_file::Model,
};

/// How every page begins, and how one is told from a file that somebody wrote.
const MARK: &str = "<!-- Made by `jumeau docs`";

/// Why a page is missing.
#[derive(Debug, thiserror::Error)]
pub enum DocsError {
    /// The twin's files are wrong.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A file or folder cannot be read or written.
    #[error("{file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// What the system says, or the reader.
        reason: String,
    },
}

impl DocsError {
    fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::File {
            file: path.display().to_string(),
            reason: format!("{reason}"),
        }
    }
}

/// A file of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name in the folder.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// All pages.
#[derive(Debug, Default)]
pub struct Book {
    /// In order of name.
    pub pages: Vec<Page>,
    /// Twins that have no page, because their files are wrong.
    pub errors: Vec<DocsError>,
}

/// A twin with the text of its files.
struct Twin {
    definition: Definition,
    /// Its folder as a link from its page.
    link: String,
    text: String,
    written: Vec<(Written, String)>,
}

impl Twin {
    fn read(folder: &Path, out: &Path) -> Result<Self, DocsError> {
        let definition = Definition::load(folder)?;
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|e| DocsError::file(&path, e))
        };
        let written = definition.models.iter().map(|model| {
            let name = format!("{}.toml", model.id);
            let text = read(&name)?;
            let written = toml::from_str(&text).map_err(|e| DocsError::file(&folder.join(&name), e))?;
            Ok((written, text))
        });
        let written: Result<_, DocsError> = written.collect();
        Ok(Self {
            written: written?,
            text: read("twin.toml")?,
            link: link(out, folder),
            definition,
        })
    }

    /// The models, each with the file as written; the leading one first.
    fn models(&self) -> impl Iterator<Item = (&Model, &Written)> {
        let written = self.written.iter().map(|(written, _)| written);
        self.definition.models.iter().map(AsRef::as_ref).zip(written)
    }

    /// Its folder for people.
    fn folder(&self) -> &str {
        self.link.trim_start_matches("../")
    }

    fn id(&self) -> &str {
        &self.definition.file.id
    }
}

/// The folders in `models` that hold a twin, in order.
///
/// # Errors
/// A folder that cannot be read.
pub fn folders(models: &Path) -> Result<Vec<PathBuf>, DocsError> {
    let entries = std::fs::read_dir(models).map_err(|e| DocsError::file(models, e))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("twin.toml").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

impl Book {
    /// Makes the pages of the twins in `folders`, to stand in `out`; `done` is told of each.
    #[must_use]
    pub fn make(folders: &[PathBuf], out: &Path, done: impl Fn() + Sync) -> Self {
        let made: Vec<Result<(Twin, Vec<Page>), DocsError>> = folders
            .par_iter()
            .with_max_len(1)
            .map(|folder| {
                let twin = Twin::read(folder, out)?;
                let pages = pages(&twin);
                done();
                Ok((twin, pages))
            })
            .collect();
        let mut book = Self::default();
        let mut twins = Vec::new();
        for result in made {
            match result {
                Ok((twin, pages)) => {
                    book.pages.extend(pages);
                    twins.push(twin);
                }
                Err(error) => book.errors.push(error),
            }
        }
        book.pages.push(Page {
            name: "README.md".to_owned(),
            text: index(&twins),
        });
        book.pages.sort_by(|a, b| a.name.cmp(&b.name));
        book
    }

    /// What in `out` is not as it should be, a sentence for each file. What a twin that cannot be read has there is left alone.
    #[must_use]
    pub fn differences(&self, out: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for page in &self.pages {
            let path = out.join(&page.name);
            match std::fs::read_to_string(&path) {
                Ok(text) if text == page.text => {}
                Ok(_) => found.push(format!("{} is out of date", path.display())),
                Err(e) if e.kind() == io::ErrorKind::NotFound => found.push(format!("{} is missing", path.display())),
                Err(e) => found.push(format!("{} cannot be read: {e}", path.display())),
            }
        }
        found.extend(
            self.left_over(out)
                .iter()
                .map(|path| format!("{} is of no twin", path.display())),
        );
        found
    }

    /// Writes what differs, removes pages of twins that are no more, and returns how many files it touched.
    ///
    /// # Errors
    /// A file that cannot be written, or that somebody wrote by hand under the name of a page.
    pub fn write(&self, out: &Path) -> Result<usize, DocsError> {
        std::fs::create_dir_all(out).map_err(|e| DocsError::file(out, e))?;
        let mut touched = 0;
        for page in &self.pages {
            let path = out.join(&page.name);
            let old = std::fs::read_to_string(&path).ok();
            if old.as_ref() == Some(&page.text) {
                continue;
            }
            if is_page(&path) && old.is_some_and(|old| !old.starts_with(MARK)) {
                return Err(DocsError::file(
                    &path,
                    "somebody wrote this file by hand; it is kept: choose another folder with --out, or move it",
                ));
            }
            std::fs::write(&path, &page.text).map_err(|e| DocsError::file(&path, e))?;
            touched += 1;
        }
        for path in self.left_over(out) {
            std::fs::remove_file(&path).map_err(|e| DocsError::file(&path, e))?;
            touched += 1;
        }
        Ok(touched)
    }

    /// Pages in `out` that this command made of twins that are no more, with their pictures.
    fn left_over(&self, out: &Path) -> Vec<PathBuf> {
        if !self.errors.is_empty() {
            return Vec::new();
        }
        let ours: BTreeSet<&str> = self.pages.iter().map(|page| page.name.as_str()).collect();
        let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
        let strangers = entries.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            is_page(path) && name.is_some_and(|name| !ours.contains(name))
        });
        let made = strangers.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(MARK)));
        let mut found: Vec<PathBuf> = made
            .flat_map(|page| [page.with_extension("svg"), page])
            .filter(|path| path.exists())
            .collect();
        found.sort();
        found
    }
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// The page of a twin and its picture.
fn pages(twin: &Twin) -> Vec<Page> {
    let picture = typical::draw(twin);
    let mut pages = vec![Page {
        name: format!("{}.md", twin.id()),
        text: page::page(twin, picture.as_ref().map_err(String::as_str)),
    }];
    pages.extend(picture.ok().map(|picture| Page {
        name: format!("{}.svg", twin.id()),
        text: picture.svg,
    }));
    pages
}

/// The list of all twins.
fn index(twins: &[Twin]) -> String {
    let mut page = Document::default();
    page.block(&format!(
        "{MARK} from the files of the twins. Do not edit: run it again. -->"
    ));
    page.heading(1, "The twins");
    page.block(
        "One page for each: what it decides and for whom, what it reads, on which published models it stands, what it aims at and what \
         it guards against. Jumeau is not a certified medical device.",
    );
    let mut table = Table::new(["twin", "what it decides", "models", "status", "version"]);
    for twin in twins {
        let file = &twin.definition.file;
        let models: Vec<String> = twin.models().map(|(model, _)| code(&model.id)).collect();
        table.row([
            format!("[{}]({}.md)", plain(&file.title.en), file.id),
            plain(&file.about.en),
            models.join(", "),
            words::status(file.status).to_owned(),
            file.version.clone(),
        ]);
    }
    page.block(&table.text());
    page.finish()
}

/// A link from a page in `out` to a folder.
fn link(out: &Path, folder: &Path) -> String {
    let folder = folder.to_string_lossy().replace('\\', "/");
    if out.is_relative() && !folder.starts_with('/') {
        let up = out
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
            .count();
        return format!("{}{}", "../".repeat(up), folder.trim_start_matches("./"));
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_finds_the_files_it_is_made_of() {
        let found = link(Path::new("docs/twins"), Path::new("models/vancomycin"));
        assert_eq!(found, "../../models/vancomycin");
        assert_eq!(link(Path::new("./twins"), Path::new("./models/a")), "../models/a");
        assert_eq!(link(Path::new("/tmp/x"), Path::new("models/a")), "models/a");
    }

    #[test]
    fn what_somebody_wrote_is_kept_and_what_is_left_over_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let page = |name: &str, text: &str| Page {
            name: name.to_owned(),
            text: format!("{MARK} x -->\n{text}"),
        };
        let old = Book {
            pages: vec![page("a.md", "old"), page("b.md", "b")],
            errors: Vec::new(),
        };
        assert_eq!(old.write(folder.path()).unwrap(), 2);
        assert!(old.differences(folder.path()).is_empty());
        let new = Book {
            pages: vec![page("a.md", "new"), page("c.md", "c")],
            errors: Vec::new(),
        };
        let found = new.differences(folder.path()).join("\n");
        for part in ["a.md is out of date", "c.md is missing", "b.md is of no twin"] {
            assert!(found.contains(part), "{found}");
        }
        assert_eq!(new.write(folder.path()).unwrap(), 3);
        assert!(new.differences(folder.path()).is_empty());
        std::fs::write(folder.path().join("a.md"), "by hand").unwrap();
        assert!(new.write(folder.path()).unwrap_err().to_string().contains("by hand"));
    }
}
