//! `jumeau store`: what is kept between calls.

use std::{fs, io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::print;
use crate::{
    model::catalog::Catalog,
    settings::Settings,
    store::{
        Log, PutError, TwinKey,
        audit::{Action, AuditRecord, patient},
        inbox::Inbox,
        open::{Stores, open},
    },
    twin::cache,
};

/// Commands about what is kept. The server that uses the same data directory must be stopped meanwhile.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// How much is kept, whether it is sealed, and what is wrong with it
    Status(Place),
    /// Copy everything into the store of other settings, which must be empty
    Copy {
        #[command(flatten)]
        place: Place,
        /// Settings of the store to copy into
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Write what is kept of a patient as JSON: for a request to know what is kept
    Export {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        whom: Whom,
        /// Where to write it; default: standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Forget the twins of a patient and what messages said: for a request to erase. They come back when the patient's data are sent again
    Erase {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        whom: Whom,
    },
    /// Seal everything with the first key of the settings: after a key was added, or for the first time
    Reseal(Place),
}

/// Which store.
#[derive(Debug, Args)]
pub struct Place {
    /// Settings that differ from the defaults (see config/default.toml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of store.directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// About whom.
#[derive(Debug, Args)]
pub struct Whom {
    /// Id of the tenant. Without [[tenant]] in the settings, it is the base URL of the FHIR server, or `local` for calls without one
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// Logical id of the Patient, as in the EHR
    #[arg(long, value_name = "ID")]
    patient: String,
}

/// A store that is open, with the settings that it was opened by.
struct Opened {
    settings: Settings,
    stores: Stores,
}

impl Place {
    fn open(&self) -> Result<Opened, String> {
        let mut settings = Settings::load(self.config.as_deref()).map_err(|e| e.to_string())?;
        if self.data.is_some() {
            settings.store.directory.clone_from(&self.data);
        }
        let stores = open(&settings.store)?;
        // A server would go on with a store in memory; here that would be an answer about nothing.
        let troubles = [
            stores.twins.trouble(),
            stores.feedback.trouble(),
            stores.audit.trouble(),
            stores.inbox.trouble(),
        ];
        match troubles.into_iter().flatten().next() {
            Some(trouble) => Err(trouble),
            None => Ok(Opened { settings, stores }),
        }
    }
}

impl Opened {
    /// Writes down what was done.
    fn audit(&self, action: Action, whom: Option<&Whom>, outcome: String) -> Result<(), String> {
        let record = AuditRecord {
            at: Timestamp::now(),
            tenant: whom.map(|whom| whom.tenant.clone()).unwrap_or_default(),
            caller: "operator".to_owned(),
            action,
            subject: None,
            patient: whom.map(|whom| patient(&whom.tenant, &whom.patient)),
            outcome,
        };
        self.stores.audit.append(&record).map_err(|e| e.to_string())
    }

    /// What messages said.
    fn inbox(&self) -> Inbox {
        let (log, twins) = (Arc::clone(&self.stores.inbox), Arc::clone(&self.stores.twins));
        Inbox::new(log, twins, self.settings.hl7v2.keep())
    }

    /// The twins that a patient may have: of those that are served with these settings.
    fn keys(&self, whom: &Whom) -> Result<Vec<(String, TwinKey)>, String> {
        let (catalog, errors) = Catalog::load(self.settings.models.folder.as_deref());
        if let Some(error) = errors.first() {
            return Err(format!(
                "the twins of a patient are found by the ids of the twins, and one cannot be read: {error}"
            ));
        }
        let key = |id: &String| TwinKey::new(whom.tenant.as_str(), &whom.patient, id);
        let ids = catalog.twins.iter().map(|twin| &twin.file.id);
        Ok(ids.map(|id| (id.clone(), key(id))).collect())
    }
}

/// Runs a command.
///
/// # Errors
/// In one sentence for the operator.
pub fn run(command: Store) -> Result<(), String> {
    match command {
        Store::Status(place) => status(&place.open()?),
        Store::Copy { place, to } => {
            let to = Place {
                config: Some(to),
                data: None,
            };
            copy(&place.open()?, &to.open()?)
        }
        Store::Export { place, whom, output } => export(&place.open()?, &whom, output),
        Store::Erase { place, whom } => erase(&place.open()?, &whom),
        Store::Reseal(place) => reseal(&place.open()?),
    }
}

fn status(opened: &Opened) -> Result<(), String> {
    let stores = &opened.stores;
    let mut bytes = 0;
    let mut twins = 0;
    let counted = stores.twins.for_each(&mut |_, stored| {
        twins += 1;
        bytes += stored.payload.len();
    });
    counted.map_err(|e| e.to_string())?;
    print(&format!(
        "twins     {twins} ({:.1} MiB)",
        bytes as f64 / 1024.0 / 1024.0
    ));
    let told = |name: &str, account: crate::store::Account| {
        let mut line = format!("{name}  {}", account.whole);
        if account.damaged > 0 || account.missing > 0 {
            line += &format!(", {} damaged, {} missing", account.damaged, account.missing);
        }
        print(&line);
    };
    told(
        "feedback",
        stores.feedback.for_each(&mut |_| ()).map_err(|e| e.to_string())?,
    );
    told(
        "audit   ",
        stores.audit.for_each(&mut |_| ()).map_err(|e| e.to_string())?,
    );
    told(
        "messages",
        stores.inbox.for_each(&mut |_| ()).map_err(|e| e.to_string())?,
    );
    print(&match &stores.sealed {
        Some(sealed) => format!(
            "sealed    yes, with key {}",
            sealed.keys.ids().next().unwrap_or_default()
        ),
        None => "sealed    no: configure [[store.key]]".to_owned(),
    });
    for warning in &stores.warnings {
        print(&format!("note      {warning}"));
    }
    Ok(())
}

fn copy(from: &Opened, to: &Opened) -> Result<(), String> {
    let there = twins(&to.stores)?;
    let logs = [
        count(&*to.stores.feedback)?,
        count(&*to.stores.audit)?,
        count(&*to.stores.inbox)?,
    ];
    if there > 0 || logs != [0, 0, 0] {
        return Err(format!(
            "the store to copy into is not empty: {there} twins, {} feedback, {} audit records and {} messages. Nothing was copied",
            logs[0], logs[1], logs[2]
        ));
    }
    let bar = bar("twins");
    let (mut copied, mut failed) = (0_u64, None);
    let shown = from.stores.twins.for_each(&mut |key, stored| {
        if failed.is_some() {
            return;
        }
        match to.stores.twins.put(&key, None, &stored.payload) {
            Ok(_) => copied += 1,
            Err(PutError::Conflict(_)) => failed = Some("somebody else writes to the store to copy into".to_owned()),
            Err(error) => failed = Some(error.to_string()),
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    shown.map_err(|e| e.to_string())?;
    if let Some(error) = failed {
        return Err(format!("after {copied} twins: {error}"));
    }
    to.stores.twins.flush().map_err(|e| e.to_string())?;
    let arrived = twins(&to.stores)?;
    if arrived != copied {
        return Err(format!("{copied} twins were to be copied, and {arrived} arrived"));
    }
    let feedback = copy_log("feedback log", &*from.stores.feedback, &*to.stores.feedback)?;
    let audit = copy_log("audit log", &*from.stores.audit, &*to.stores.audit)?;
    let inbox = copy_log("inbox", &*from.stores.inbox, &*to.stores.inbox)?;
    let outcome = format!("{copied} twins, {feedback} feedback and {audit} audit records, {inbox} messages");
    from.audit(Action::Copy, None, outcome.clone())?;
    print(&format!("copied {outcome}"));
    Ok(())
}

/// How many whole twins there are.
fn twins(stores: &Stores) -> Result<u64, String> {
    let mut count = 0;
    let counted = stores.twins.for_each(&mut |_, _| count += 1);
    counted.map(|()| count).map_err(|e| e.to_string())
}

fn count<R>(log: &dyn Log<R>) -> Result<u64, String> {
    Ok(log.for_each(&mut |_| ()).map_err(|e| e.to_string())?.whole)
}

/// Copies the whole records of a log. Few at one time: a database has little time for one message.
fn copy_log<R>(name: &str, from: &dyn Log<R>, to: &dyn Log<R>) -> Result<u64, String> {
    let (mut some, mut failed) = (Vec::new(), None);
    let was = from.for_each(&mut |record| {
        if failed.is_none() {
            some.push(record);
        }
        if some.len() == 50 {
            failed = to.append_all(&some).err();
            some.clear();
        }
    });
    let was = was.map_err(|e| e.to_string())?;
    failed
        .map_or_else(|| to.append_all(&some), Err)
        .map_err(|e| e.to_string())?;
    let is = count(to)?;
    if was.whole != is {
        return Err(format!(
            "{} records of the {name} were to be copied, and {is} arrived",
            was.whole
        ));
    }
    if was.damaged > 0 || was.missing > 0 {
        print(&format!(
            "note: {} damaged and {} missing records of the {name} were not copied",
            was.damaged, was.missing
        ));
    }
    Ok(is)
}

fn export(opened: &Opened, whom: &Whom, output: Option<PathBuf>) -> Result<(), String> {
    let mut twins = Vec::new();
    for (id, key) in opened.keys(whom)? {
        let stored = opened.stores.twins.get(&key).map_err(|e| e.to_string())?;
        let shown = stored.map(|stored| cache::shown(&stored.payload).unwrap_or(Value::Null));
        twins.extend(shown.map(|twin| json!({ "twin": id, "kept": twin })));
    }
    let messages = opened.inbox().messages(&whom.tenant, &whom.patient)?;
    let digest = patient(&whom.tenant, &whom.patient);
    let mut audit = Vec::new();
    let read = opened.stores.audit.for_each(&mut |record| {
        if record.patient.as_deref() == Some(digest.as_str()) {
            audit.push(record);
        }
    });
    read.map_err(|e| e.to_string())?;
    let count = twins.len();
    let all = json!({
        "tenant": whom.tenant, "patient": whom.patient, "exported": Timestamp::now(), "twins": twins, "messages": messages,
        "audit": audit,
        "note": "Feedback about cards names no patient and is therefore not among this.",
    });
    let text = serde_json::to_string_pretty(&all).map_err(|e| e.to_string())?;
    // Written down before it is given away.
    opened.audit(Action::Export, Some(whom), format!("{count} twins"))?;
    match output {
        None => {
            print(&text);
            Ok(())
        }
        Some(file) => {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let written = options.open(&file).and_then(|mut out| out.write_all(text.as_bytes()));
            written.map_err(|e| format!("{}: {e}", file.display()))
        }
    }
}

fn erase(opened: &Opened, whom: &Whom) -> Result<(), String> {
    let mut erased = Vec::new();
    for (id, key) in opened.keys(whom)? {
        if opened.stores.twins.remove(&key).map_err(|e| e.to_string())? {
            erased.push(id);
        }
    }
    if opened.inbox().forget(&whom.tenant, &whom.patient)? {
        erased.push("messages".to_owned());
    }
    opened.stores.twins.flush().map_err(|e| e.to_string())?;
    opened.audit(Action::Erase, Some(whom), format!("{} kept", erased.len()))?;
    print(&match erased.is_empty() {
        true => "nothing was kept of this patient".to_owned(),
        false => format!("erased: {}", erased.join(", ")),
    });
    Ok(())
}

fn reseal(opened: &Opened) -> Result<(), String> {
    let stores = &opened.stores;
    let Some(seal) = &stores.sealed else {
        return Err("no [[store.key]] is configured; make one with: openssl rand -base64 32 > FILE".to_owned());
    };
    let bar = bar("twins");
    let done = seal.twins.reseal(&mut || bar.inc(1));
    bar.finish_and_clear();
    let [sealed, forgotten, left] = done.map_err(|e| e.to_string())?;
    let feedback = stores.feedback.rewrite(&mut Ok).map_err(|e| e.to_string())?;
    let audit = stores.audit.rewrite(&mut Ok).map_err(|e| e.to_string())?;
    let inbox = stores.inbox.rewrite(&mut Ok).map_err(|e| e.to_string())?;
    stores.twins.flush().map_err(|e| e.to_string())?;
    seal.ring.settle(&seal.keys)?;
    let outcome = format!(
        "{sealed} twins sealed anew, {forgotten} that could not be opened forgotten, {left} left as they were; {feedback} feedback and {audit} audit records, {inbox} messages"
    );
    opened.audit(Action::Reseal, None, outcome.clone())?;
    print(&outcome);
    print(&format!(
        "only key {} is needed from now on",
        seal.keys.ids().next().unwrap_or_default()
    ));
    Ok(())
}

fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
