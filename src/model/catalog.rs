//! All twins of a folder: each sub-folder with a `twin.toml` is one.

use std::{fmt, path::Path, sync::Arc};

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::{
    model_file::{InputKind, Model, ModelError},
    twin_file::{Enters, Status, TwinFile, TwinFileError, Window},
};

/// The twins that are compiled in, used when no folder is configured.
static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/models");

/// One twin: the clinician's file and the models that vote.
#[derive(Debug)]
pub struct Definition {
    /// The clinician's file.
    pub file: TwinFile,
    /// The models, in the order of the file.
    pub models: Vec<Arc<Model>>,
    /// SHA-256 of all its files, hex; a twin fitted with other files is not reused.
    pub sha256: String,
}

/// The twins on offer, by id.
#[derive(Debug, Default)]
pub struct Catalog {
    /// In order of id.
    pub twins: Vec<Arc<Definition>>,
}

/// What is wrong with a twin's folder.
#[derive(Debug)]
pub enum CatalogError {
    /// A file cannot be read.
    Unreadable {
        /// Path.
        file: String,
        /// Reason given by the system.
        reason: String,
    },
    /// The clinician's file is wrong.
    Twin(TwinFileError),
    /// A model file is wrong.
    Model(ModelError),
    /// The files contradict each other.
    Mismatch {
        /// Path of the clinician's file.
        file: String,
        /// What was found and what was meant.
        message: String,
    },
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => write!(f, "{file}: cannot be read: {reason}"),
            Self::Twin(e) => write!(f, "{e}"),
            Self::Model(e) => write!(f, "{e}"),
            Self::Mismatch { file, message } => write!(f, "{file}: {message}"),
        }
    }
}

impl std::error::Error for CatalogError {}

/// The text of a file of a twin's folder, from disk or built in.
type Reader<'a> = dyn Fn(&str) -> Result<String, CatalogError> + 'a;

impl Definition {
    /// Reads the twin in `folder`.
    ///
    /// # Errors
    /// [`CatalogError`] for the first thing wrong in any of its files.
    pub fn load(folder: &Path) -> Result<Self, CatalogError> {
        let shown = folder.display().to_string();
        Self::read(&shown, &|name| {
            std::fs::read_to_string(folder.join(name)).map_err(|e| CatalogError::Unreadable {
                file: format!("{shown}/{name}"),
                reason: e.to_string(),
            })
        })
    }

    fn read(folder: &str, read: &Reader<'_>) -> Result<Self, CatalogError> {
        let name = format!("{folder}/twin.toml");
        let text = read("twin.toml")?;
        let mut digest = Sha256::new();
        digest.update(text.as_bytes());
        let file = TwinFile::parse(&name, &text).map_err(CatalogError::Twin)?;
        let mut models = Vec::new();
        for id in &file.models {
            let text = read(&format!("{id}.toml"))?;
            digest.update([0]);
            digest.update(text.as_bytes());
            let model = Model::parse(&format!("{folder}/{id}.toml"), &text).map_err(CatalogError::Model)?;
            if &model.id != id {
                let message = format!(
                    "model \"{id}\" calls itself \"{}\": the id must be the name of its file",
                    model.id
                );
                return Err(CatalogError::Mismatch { file: name, message });
            }
            check(&file, &model).map_err(|message| CatalogError::Mismatch {
                file: name.clone(),
                message,
            })?;
            models.push(Arc::new(model));
        }
        let sha256 = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { file, models, sha256 })
    }
}

/// Whether the model can be fed from the record as the twin reads it, in the same units, and can be asked what the twin asks.
fn check(file: &TwinFile, model: &Model) -> Result<(), String> {
    let id = &model.id;
    let by_treatment = match &file.treatment.into {
        Enters::Input { name, .. } => {
            if !model.inputs().iter().any(|i| i.name == *name) {
                return Err(format!(
                    "[treatment] enters the input \"{name}\", which model \"{id}\" does not have"
                ));
            }
            Some(name)
        }
        Enters::Doses(Some(state)) if !model.system().states().contains(state) => {
            return Err(format!(
                "[treatment] enters the state \"{state}\", which model \"{id}\" does not have"
            ));
        }
        Enters::Doses(_) => None,
    };
    for input in model.inputs() {
        let name = &input.name;
        if Some(name) == by_treatment {
            continue;
        }
        let person = [&file.age_input, &file.female_input]
            .into_iter()
            .flatten()
            .any(|n| n == name);
        let flag = file.needs.flags.iter().any(|f| f.name == *name);
        if person || flag {
            continue;
        }
        let category = file.needs.categories.iter().find(|c| c.name == *name);
        if let InputKind::Category { levels, frequency } = &input.kind {
            match category {
                Some(category) => {
                    let own: Vec<&String> = category.levels.iter().filter_map(|texts| texts.first()).collect();
                    if own != levels.iter().collect::<Vec<_>>() {
                        return Err(format!(
                            "[genotype.{name}] has the levels {own:?}, model \"{id}\" has {levels:?}: write the same, in the same order"
                        ));
                    }
                }
                None if input.default.is_some() || !frequency.is_empty() => {}
                None => {
                    return Err(format!(
                        "model \"{id}\" needs the category \"{name}\": add [genotype.{name}]"
                    ));
                }
            }
            continue;
        }
        let measured = file.needs.measured.iter().find(|m| m.name == *name).map(|m| &m.unit);
        let derived = file.derived.iter().find(|d| d.name == *name).map(|d| &d.unit);
        let Some(unit) = measured.or(derived) else {
            if input.default.is_some() {
                continue;
            }
            return Err(format!(
                "model \"{id}\" needs \"{name}\", which nothing provides: add [record.{name}], [flag.{name}] or [[derived]]"
            ));
        };
        if *unit != input.unit {
            return Err(format!(
                "\"{name}\" is in {unit} but model \"{id}\" wants it in {}: write the same UCUM unit in both",
                input.unit
            ));
        }
    }
    let gives = |output: &str| {
        let observed = model.outputs().iter().find(|o| o.name == output).map(|o| &o.unit);
        observed.or_else(|| model.shown().iter().find(|s| s.name == output).map(|s| &s.unit))
    };
    let asked = file
        .measures
        .iter()
        .filter(|m| !m.take.is_of_plan())
        .map(|m| m.output.as_str());
    for output in asked.chain([file.picture.output.as_str()]) {
        if gives(output).is_none() {
            return Err(format!(
                "a measure or the picture is about \"{output}\", which model \"{id}\" neither observes nor shows"
            ));
        }
    }
    for item in file.observed() {
        let Some(own) = model.outputs().iter().find(|o| o.name == item.name) else {
            // Models that explain fewer measurements would win the vote by that alone.
            return Err(format!(
                "[record.{}] is observed, but model \"{id}\" has no such output: models that vote explain the same",
                item.name
            ));
        };
        if own.unit != file.unit(&item.name) {
            return Err(format!(
                "[record.{}] must be in {}, the unit of model \"{id}\"",
                item.name, own.unit
            ));
        }
    }
    let steady = file
        .measures
        .iter()
        .any(|m| m.window == Window::Steady && !m.take.is_of_plan());
    if steady && by_treatment.is_some() {
        return Err("a measure at steady state needs doses; this treatment is an input of the models".to_owned());
    }
    if model.hours_per_time().is_nan() {
        return Err(format!(
            "model \"{id}\" has no unit of time that hours could be turned into"
        ));
    }
    Ok(())
}

impl Catalog {
    /// The twins in `folder`, one a sub-folder, drafts left out; or the built-in ones without a folder. A twin that cannot
    /// be read does not keep the others from being served: its error is returned beside them.
    #[must_use]
    pub fn load(folder: Option<&Path>) -> (Self, Vec<CatalogError>) {
        let mut twins = Vec::new();
        let mut errors = Vec::new();
        let mut take = |result: Result<Definition, CatalogError>| match result {
            Ok(twin) if twin.file.status == Status::Draft => {}
            Ok(twin) => twins.push(Arc::new(twin)),
            Err(e) => errors.push(e),
        };
        match folder {
            Some(folder) => match std::fs::read_dir(folder) {
                Ok(entries) => {
                    for entry in entries.flatten().filter(|e| e.path().join("twin.toml").is_file()) {
                        take(Definition::load(&entry.path()));
                    }
                }
                Err(e) => errors.push(CatalogError::Unreadable {
                    file: folder.display().to_string(),
                    reason: e.to_string(),
                }),
            },
            None => {
                let twins = BUILT_IN
                    .dirs()
                    .filter(|dir| dir.get_file(dir.path().join("twin.toml")).is_some());
                for dir in twins {
                    let shown = format!("models/{}", dir.path().display());
                    take(Definition::read(&shown, &|name| {
                        dir.get_file(dir.path().join(name))
                            .and_then(include_dir::File::contents_utf8)
                            .map(str::to_owned)
                            .ok_or_else(|| CatalogError::Unreadable {
                                file: format!("{shown}/{name}"),
                                reason: "no such file".into(),
                            })
                    }));
                }
            }
        }
        twins.sort_by(|a, b| a.file.id.cmp(&b.file.id));
        twins.dedup_by(|b, a| {
            let twice = a.file.id == b.file.id;
            if twice {
                let message = format!(
                    "two folders hold a twin with the id \"{}\": one of them is not served",
                    b.file.id
                );
                errors.push(CatalogError::Mismatch {
                    file: b.file.id.clone(),
                    message,
                });
            }
            twice
        });
        (Self { twins }, errors)
    }

    /// Every model file in `folder` or, without one, of those built in: the models of twins, and those that no service uses yet.
    #[must_use]
    pub fn model_files(folder: Option<&Path>) -> (Vec<Model>, Vec<CatalogError>) {
        let mut files: Vec<(String, Result<String, String>)> = Vec::new();
        let is_model = |path: &Path| {
            path.extension().is_some_and(|e| e == "toml") && path.file_name().is_some_and(|n| n != "twin.toml")
        };
        match folder {
            Some(folder) => {
                let inside = |path: &Path| {
                    std::fs::read_dir(path)
                        .into_iter()
                        .flatten()
                        .flatten()
                        .map(|e| e.path())
                };
                for path in inside(folder).flat_map(|path| inside(&path).collect::<Vec<_>>()) {
                    if is_model(&path) {
                        let text = std::fs::read_to_string(&path).map_err(|e| e.to_string());
                        files.push((path.display().to_string(), text));
                    }
                }
            }
            None => {
                for file in BUILT_IN
                    .dirs()
                    .flat_map(Dir::files)
                    .filter(|file| is_model(file.path()))
                {
                    let text = file
                        .contents_utf8()
                        .map(str::to_owned)
                        .ok_or("it is not text".to_owned());
                    files.push((format!("models/{}", file.path().display()), text));
                }
            }
        }
        files.sort();
        let (mut models, mut errors) = (Vec::new(), Vec::new());
        for (file, text) in files {
            match text {
                Ok(text) => match Model::parse(&file, &text) {
                    Ok(model) => models.push(model),
                    Err(error) => errors.push(CatalogError::Model(error)),
                },
                Err(reason) => errors.push(CatalogError::Unreadable { file, reason }),
            }
        }
        (models, errors)
    }
}
