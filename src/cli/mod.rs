//! The command line.

mod docs;
mod store;
mod study;

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    app,
    model::catalog::{Catalog, CatalogError, Definition},
    settings::Settings,
};

/// Clinical decision support from patient digital twins, spoken in CDS Hooks.
///
/// First steps:
///   jumeau demo                 a server with sample patients, and a playground at http://127.0.0.1:8080/
///   jumeau models               which twins there are and what they decide
///   jumeau check                whether the model files are right, with their worked checks
///   jumeau docs                 a page about each twin, from its files
///   jumeau serve --config FILE  the real thing; config/default.toml documents every setting
///   jumeau store --help         what is kept: copy, export, erase, seal
///
/// For those who write models (docs/writing-a-twin.md), on data in the NONMEM style:
///   jumeau simulate MODEL DATA.csv             what a model predicts
///   jumeau fit MODEL... DATA.csv               the most probable parameters of each subject
///   jumeau forecast MODEL DATA.csv             how well the last readings are foreseen
///   jumeau plot MODEL DATA.csv -o FILE.svg     measured, individual and population prediction
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve with sample patients on this machine, for looking around and for trying an EHR against it
    Demo {
        /// Address and port to listen on
        #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Where twins and feedback are kept
        #[arg(long, default_value = "data/demo", value_name = "DIR")]
        data: PathBuf,
        /// Folder of twins instead of those compiled in
        #[arg(long, value_name = "DIR")]
        models: Option<PathBuf>,
        /// What counts as now: `now`, `record` (the newest time of each record, for date-shifted research records) or a time
        #[arg(long, default_value = "now", value_name = "TIME")]
        as_of: String,
    },
    /// Serve in production
    Serve {
        /// Settings that differ from the defaults (see config/default.toml)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Address and port to listen on, instead of http.listen
        #[arg(long, value_name = "ADDR:PORT")]
        listen: Option<SocketAddr>,
        /// Where twins and feedback are kept, instead of store.directory
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// List the twins, what they decide and on which models
    Models {
        /// Folder of twins instead of those compiled in
        #[arg(long, value_name = "DIR")]
        models: Option<PathBuf>,
    },
    /// Check model files and run the worked checks that they carry
    Check {
        /// Twin folders, twin.toml or model files; default: those compiled in
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Simulate a model for the subjects of a data file (columns ID TIME AMT RATE DUR II ADDL SS EVID CMT DV DVID MDV CENS LIMIT
    /// OCC, and the model's inputs by their names; missing as `.`)
    Simulate(study::Simulate),
    /// Find the most probable parameters of each subject of a data file
    Fit(study::Fit),
    /// Forecast the last readings of each subject from the earlier ones, and compare with carrying the last value forward
    Forecast(study::Forecast),
    /// Draw measured values, individual and population predictions of each subject as SVG
    Plot(study::Plot),
    /// Write a page about each twin, from its files alone, or check that the pages are what they should be
    Docs(docs::Docs),
    /// Look after what is kept: how much there is, copy it to another store, export or erase what is kept of a patient, seal it anew
    #[command(subcommand)]
    Store(store::Store),
    /// Ask a running server whether it is alive (for container health checks)
    Health {
        /// Address and port of the server
        #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
        address: SocketAddr,
    },
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo {
            listen,
            data,
            models,
            as_of,
        } => demo(listen, data, models, as_of),
        Command::Serve { config, listen, data } => serve(config, listen, data),
        Command::Models { models } => list(models),
        Command::Check { files } => return check(&files),
        Command::Simulate(arguments) => study::simulate(&arguments),
        Command::Fit(arguments) => study::fit(&arguments),
        Command::Forecast(arguments) => study::forecast(&arguments),
        Command::Plot(arguments) => study::plot(&arguments),
        Command::Docs(arguments) => docs::docs(&arguments),
        Command::Store(command) => store::run(command),
        Command::Health { address } => health(address),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// A line on standard output. A closed pipe (`jumeau models | head`) is no error.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "jumeau: {line}");
}

fn demo(listen: SocketAddr, data: PathBuf, models: Option<PathBuf>, as_of: String) -> Result<(), String> {
    let mut settings = Settings::load(None).map_err(|e| e.to_string())?;
    settings.http.listen = listen;
    settings.http.cors.origins = crate::http::settings::Origins::Any;
    settings.fhir.loopback_http = true;
    settings.store.directory = Some(data);
    settings.models.folder = models.or_else(|| Some(PathBuf::from("models")).filter(|m| m.is_dir()));
    settings.log.level = "error,actix_http=off".to_owned();
    settings.clock.as_of = as_of.try_into()?;
    app::run(settings, app::Mode::Demo)
}

fn serve(config: Option<PathBuf>, listen: Option<SocketAddr>, data: Option<PathBuf>) -> Result<(), String> {
    let mut settings = Settings::load(config.as_deref()).map_err(|e| e.to_string())?;
    if let Some(listen) = listen {
        settings.http.listen = listen;
    }
    if data.is_some() {
        settings.store.directory = data;
    }
    app::run(settings, app::Mode::Production)
}

fn list(models: Option<PathBuf>) -> Result<(), String> {
    let (catalog, errors) = Catalog::load(models.as_deref());
    let rows: Vec<[String; 4]> = catalog
        .twins
        .iter()
        .map(|twin| {
            [
                twin.file.id.clone(),
                twin.file.version.clone(),
                format!("{:?}", twin.file.status).to_lowercase(),
                twin.models.iter().map(|m| m.id.as_str()).collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    let head = ["TWIN", "VERSION", "STATUS", "MODELS"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter()
            .chain([&head])
            .filter_map(|r| r.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    for [id, version, status, models] in std::iter::once(&head).chain(&rows) {
        let [a, b, c, _] = widths;
        print(&format!("{id:a$}  {version:b$}  {status:c$}  {models}"));
    }
    for twin in &catalog.twins {
        print(&format!("\n{}: {}", twin.file.id, twin.file.about.en));
        for model in &twin.models {
            let mut line = format!("  {} {}  {}", model.id, model.version, model.title);
            if !model.doi.is_empty() {
                line += &format!("  https://doi.org/{}", model.doi);
            }
            print(&line);
        }
    }
    let used: Vec<&str> = catalog
        .twins
        .iter()
        .flat_map(|t| &t.models)
        .map(|m| m.id.as_str())
        .collect();
    let (all, wrong) = Catalog::model_files(models.as_deref());
    let others: Vec<_> = all.iter().filter(|m| !used.contains(&m.id.as_str())).collect();
    if !others.is_empty() {
        print("\nModels for simulation and fitting that no service uses yet:");
        for model in others {
            print(&format!("  {:24} {}", model.id, model.title));
        }
    }
    let errors: Vec<_> = errors.into_iter().chain(wrong).collect();
    match errors.len() {
        0 => Ok(()),
        _ => Err(errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\njumeau: ")),
    }
}

/// Reads what a path names: a twin's folder, its `twin.toml`, or one model file.
fn read(path: &std::path::Path) -> Result<Checked, CatalogError> {
    let unreadable = |e: std::io::Error| CatalogError::Unreadable {
        file: path.display().to_string(),
        reason: e.to_string(),
    };
    if path.is_dir() && !path.join("twin.toml").is_file() {
        let mut models = Vec::new();
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(unreadable)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|file| file.extension().is_some_and(|e| e == "toml"))
            .collect();
        files.sort();
        for file in files {
            if let Checked::Models(found) = read(&file)? {
                models.extend(found);
            }
        }
        return Ok(Checked::Models(models));
    }
    if path.is_dir() {
        return Definition::load(path).map(|d| Checked::Twin(Box::new(d)));
    }
    if path.file_name().is_some_and(|n| n == "twin.toml") {
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(std::path::Path::new("."));
        return Definition::load(folder).map(|d| Checked::Twin(Box::new(d)));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    crate::model::model_file::Model::parse(&path.display().to_string(), &text)
        .map(|m| Checked::Models(vec![m]))
        .map_err(CatalogError::Model)
}

/// How the states of a model are solved, in words.
fn solution(model: &crate::model::model_file::Model) -> String {
    let system = model.system();
    let [closed, sums, integrated] = system.solution().map(|names| names.len());
    let parts = [
        (closed + sums, "in closed form"),
        (integrated, "integrated"),
        (system.clocked().len(), "at ticks of a clock"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, how)| format!("{n} {how}"))
        .collect();
    if parts.is_empty() {
        "no states".to_owned()
    } else {
        format!("states: {}", parts.join(", "))
    }
}

enum Checked {
    Twin(Box<Definition>),
    Models(Vec<crate::model::model_file::Model>),
}

fn check(files: &[PathBuf]) -> ExitCode {
    let mut failed = 0usize;
    let mut passed = 0usize;
    let mut model = |model: &crate::model::model_file::Model| {
        let results = model.run_checks();
        let wrong: Vec<_> = results.iter().filter(|r| !r.passed).collect();
        passed += results.len() - wrong.len();
        failed += wrong.len();
        let verdict = if wrong.is_empty() { "ok" } else { "FAILED" };
        print(&format!(
            "{:24} {verdict}: {} of {} worked checks; {}",
            model.id,
            results.len() - wrong.len(),
            results.len(),
            solution(model)
        ));
        for r in wrong {
            let found = match r.found {
                Some(found) => format!("found {found} (tolerance {})", r.tolerance),
                None if r.why.is_empty() => "found nothing".to_owned(),
                None => format!("found nothing: {}", r.why),
            };
            print(&format!("  {}: expected {}, {found}", r.name, r.expected));
        }
    };
    let mut errors = Vec::new();
    if files.is_empty() {
        let (_, wrong) = Catalog::load(None);
        errors.extend(wrong);
        let (models, wrong) = Catalog::model_files(None);
        models.iter().for_each(&mut model);
        errors.extend(wrong);
    }
    for file in files {
        match read(file) {
            Ok(Checked::Twin(twin)) => twin.models.iter().for_each(|m| model(m)),
            Ok(Checked::Models(models)) => models.iter().for_each(&mut model),
            Err(e) => errors.push(e),
        }
    }
    for error in &errors {
        print(&error.to_string());
    }
    print(&format!(
        "{passed} checks passed, {failed} failed, {} files wrong",
        errors.len()
    ));
    if failed == 0 && errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A request by hand: the health check must work in an image that holds nothing but this binary.
fn health(address: SocketAddr) -> Result<(), String> {
    use std::io::Read as _;
    let limit = Duration::from_secs(2);
    let answer = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        write!(
            stream,
            "GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.take(4096).read_to_string(&mut text)?;
        Ok(text)
    };
    match answer() {
        Ok(text) if text.starts_with("HTTP/1.1 200") => Ok(()),
        Ok(text) => Err(format!(
            "{address} answers {}",
            text.lines().next().unwrap_or("nothing")
        )),
        Err(e) => Err(format!("{address} does not answer: {e}")),
    }
}
