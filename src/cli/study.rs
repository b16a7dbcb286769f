//! `jumeau simulate`, `jumeau fit`, `jumeau forecast` and `jumeau plot`: models on data files.

use crate::{
    dataset,
    engine::FitOptions,
    model::model_file::Model,
    study::{self, Errors, FitSettings, ForecastSettings, Format, Individuals, SimulationSettings, Task},
};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most threads.
const MOST_THREADS: usize = 1024;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table
    Csv,
    /// One JSON object a line
    Json,
}

impl From<Output> for Format {
    fn from(output: Output) -> Self {
        match output {
            Output::Csv => Self::Csv,
            Output::Json => Self::Json,
        }
    }
}

/// What all of these commands share.
#[derive(Debug, Args)]
struct Common {
    /// Threads to share the subjects among; default: all cores
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Say on standard error how long computing took, and how long reading and writing
    #[arg(long)]
    timing: bool,
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Model file, or the id of one that is compiled in
    model: PathBuf,
    /// Data file
    data: PathBuf,
    /// The typical person with each subject's covariates (the default)
    #[arg(long, group = "who")]
    typical: bool,
    /// Individual parameters by name: CSV (with an ID column if they differ between subjects) or JSON
    #[arg(long, group = "who", value_name = "FILE")]
    params: Option<PathBuf>,
    /// Random effects by name: CSV or JSON, one row a draw, applied to every subject, or to the one with its ID
    #[arg(long, group = "who", value_name = "FILE")]
    etas: Option<PathBuf>,
    /// So many draws from the variability between people
    #[arg(long, group = "who", value_name = "N")]
    draws: Option<usize>,
    /// Seed of the draws: the same seed gives the same draws on any machine
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Write every draw, instead of the 5th, 50th and 95th percentiles
    #[arg(long)]
    each: bool,
    /// Rows at regular times besides those of the file, in the model's unit of time
    #[arg(long, value_name = "TIME")]
    every: Option<f64>,
    /// How to write
    #[arg(long, value_enum, default_value = "csv")]
    format: Output,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `fit`.
#[derive(Debug, Args)]
pub(super) struct Fit {
    /// Model files (or ids of those compiled in; several may vote), and the data file last
    #[arg(required = true, num_args = 2.., value_name = "MODEL... DATA")]
    files: Vec<PathBuf>,
    /// Weight of the prior; below 1 the measurements count for more (a flattened prior)
    #[arg(long, default_value_t = 1.0, value_name = "L")]
    lambda: f64,
    /// How to write
    #[arg(long, value_enum, default_value = "json")]
    format: Output,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `plot`.
#[derive(Debug, Args)]
pub(super) struct Plot {
    /// Model file, or the id of one that is compiled in
    model: PathBuf,
    /// Data file
    data: PathBuf,
    /// The SVG file to write
    #[arg(short, long, value_name = "FILE.svg")]
    output: PathBuf,
    /// Values on a logarithmic scale
    #[arg(long)]
    log: bool,
    /// Heading; default: the title of the model
    #[arg(long, default_value = "", value_name = "TEXT")]
    title: String,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `forecast`.
#[derive(Debug, Args)]
pub(super) struct Forecast {
    /// Model file, or the id of one that is compiled in
    model: PathBuf,
    /// Data file
    data: PathBuf,
    /// Last readings of each subject that are kept from the fit and forecast
    #[arg(long, default_value_t = 2, value_name = "N")]
    hold_out: usize,
    /// Earlier readings without which a subject is left out
    #[arg(long, default_value_t = 3, value_name = "N")]
    at_least: usize,
    /// What is forecast; default: the first observed quantity of the model
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
    /// Names of columns, where they are not those of NONMEM: ID=patient,TIME=day,DV=diameter_mm
    #[arg(long, value_delimiter = ',', value_name = "NAME=COLUMN")]
    columns: Vec<String>,
    /// Readings below this are only known to be below it, and forecasts below it are given as 0
    #[arg(long, value_name = "LIMIT")]
    below: Option<f64>,
    /// Readings are given in steps of this, and so are forecasts
    #[arg(long, value_name = "STEP")]
    resolution: Option<f64>,
    /// Draws of each subject
    #[arg(long, default_value_t = 4000, value_name = "N")]
    draws: usize,
    /// Seed of the draws
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// A CSV file to write, one row a reading
    #[arg(short, long, value_name = "FILE.csv")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn simulate(arguments: &Simulate) -> Result<(), String> {
    threads(arguments.common.threads)?;
    if let Some(every) = arguments.every.filter(|every| !(every.is_finite() && *every > 0.0)) {
        return Err(format!(
            "--every {every}: the time between two rows is a number above 0"
        ));
    }
    let start = Instant::now();
    let model = model(&arguments.model)?;
    let (file, text) = read(&arguments.data)?;
    let task = task(&model, &file, &text)?;
    let table = |path: &Path, names: &[String]| {
        let (file, text) = read(path)?;
        dataset::parameters_table(&file, &text, names).map_err(|e| e.to_string())
    };
    let system = model.system();
    let individuals = match (&arguments.params, &arguments.etas, arguments.draws) {
        (Some(path), ..) => Individuals::Parameters(table(path, system.parameters())?),
        (_, Some(path), _) => Individuals::Effects(table(path, system.effect_names())?),
        (.., Some(0)) => return Err("--draws 0: at least one draw is needed".to_owned()),
        (.., Some(n)) => Individuals::Draws(n, arguments.seed),
        _ => Individuals::Typical,
    };
    let settings = SimulationSettings {
        individuals,
        every: arguments.every,
        each: arguments.each,
        format: arguments.format.into(),
        precision: crate::engine::Precision::default(),
    };
    let reading = start.elapsed();
    let bar = bar(task.people().len(), "simulating");
    let mut out = Standard::new();
    let spent = study::simulate(&task, &settings, &mut out, || bar.inc(1));
    let spent = finish(out, &bar, spent)?;
    timing(&arguments.common, reading, spent, start);
    Ok(())
}

pub(super) fn fit(arguments: &Fit) -> Result<(), String> {
    threads(arguments.common.threads)?;
    if !(arguments.lambda.is_finite() && arguments.lambda > 0.0) {
        return Err(format!(
            "--lambda {}: the weight of the prior is a number above 0",
            arguments.lambda
        ));
    }
    let start = Instant::now();
    let Some((data, paths)) = arguments.files.split_last() else {
        return Err("a model and a data file are needed".to_owned());
    };
    let models: Vec<Model> = paths.iter().map(|path| model(path)).collect::<Result<_, _>>()?;
    let twice = models
        .iter()
        .enumerate()
        .find(|(i, model)| models.iter().take(*i).any(|other| other.id == model.id));
    if let Some((_, model)) = twice {
        return Err(format!("the model {} is given twice", model.id));
    }
    let (file, text) = read(data)?;
    let tasks: Vec<Task<'_>> = models
        .iter()
        .map(|model| task(model, &file, &text))
        .collect::<Result<_, _>>()?;
    let settings = FitSettings {
        options: FitOptions {
            prior_weight: arguments.lambda,
            ..FitOptions::default()
        },
        format: arguments.format.into(),
    };
    let reading = start.elapsed();
    let bar = bar(tasks.first().map_or(0, |task| task.people().len()), "fitting");
    let mut out = Standard::new();
    let done = study::fit(&tasks, &settings, &mut out, || bar.inc(1));
    let (spent, failed) = finish(out, &bar, done)?;
    timing(&arguments.common, reading, spent, start);
    match failed {
        0 => Ok(()),
        n => Err(format!(
            "{n} subject(s) could not be fitted; their lines say why (`error`)"
        )),
    }
}

pub(super) fn forecast(arguments: &Forecast) -> Result<(), String> {
    threads(arguments.common.threads)?;
    let start = Instant::now();
    let model = model(&arguments.model)?;
    let (file, text) = read(&arguments.data)?;
    let text = dataset::rename_columns(&file, &text, &arguments.columns).map_err(|e| e.to_string())?;
    let task = task(&model, &file, &text)?;
    let names: Vec<&str> = model.outputs().iter().map(|output| output.name.as_str()).collect();
    let output = match &arguments.of {
        None => 0,
        Some(name) => (names.iter().position(|known| known == name))
            .ok_or_else(|| format!("--of {name}: {} observes {}", model.id, names.join(", ")))?,
    };
    let settings = ForecastSettings {
        hold_out: arguments.hold_out,
        at_least: arguments.at_least,
        output,
        draws: arguments.draws,
        seed: arguments.seed,
        below: arguments.below,
        resolution: arguments.resolution,
    };
    let mut rows: Vec<u8> = Vec::new();
    let reading = start.elapsed();
    let begun = Instant::now();
    let bar = bar(task.people().len(), "forecasting");
    let found = study::forecast(&task, &settings, Some(&mut rows), || bar.inc(1)).map_err(|e| e.to_string())?;
    bar.finish_and_clear();
    let spent = begun.elapsed();
    if let Some(path) = &arguments.output {
        std::fs::write(path, rows).map_err(|e| format!("{}: cannot be written: {e}", path.display()))?;
    }
    super::print(&format!(
        "{} readings of {} subjects forecast; {} subjects with too few readings, {} failed",
        found.readings, found.subjects, found.too_few, found.failed
    ));
    super::print("                 mean error  median error  root mean square");
    let line = |name: &str, errors: &Errors| {
        let Errors {
            mean,
            median,
            root_mean_square,
        } = errors;
        super::print(&format!(
            "{name:16} {mean:10.3}  {median:12.3}  {root_mean_square:16.3}"
        ));
    };
    line(&model.id, &found.model);
    line("carried forward", &found.carried);
    super::print(&format!(
        "90 % interval: {:.1} % of the readings within, mean width {:.1}",
        100.0 * found.coverage,
        found.width
    ));
    timing(&arguments.common, reading, spent, start);
    match found.failed {
        0 => Ok(()),
        n => Err(format!(
            "{n} subject(s) could not be forecast; with --output their rows say why (ERROR)"
        )),
    }
}

pub(super) fn plot(arguments: &Plot) -> Result<(), String> {
    threads(arguments.common.threads)?;
    let start = Instant::now();
    let model = model(&arguments.model)?;
    let (file, text) = read(&arguments.data)?;
    let task = task(&model, &file, &text)?;
    let reading = start.elapsed();
    let bar = bar(task.people().len(), "drawing");
    let begun = Instant::now();
    let picture = study::draw(&task, &arguments.title, arguments.log, || bar.inc(1)).map_err(|e| e.to_string())?;
    bar.finish_and_clear();
    let spent = begun.elapsed();
    std::fs::write(&arguments.output, picture)
        .map_err(|e| format!("{}: cannot be written: {e}", arguments.output.display()))?;
    timing(&arguments.common, reading, spent, start);
    Ok(())
}

fn threads(wanted: Option<usize>) -> Result<(), String> {
    match wanted {
        None => Ok(()),
        Some(n) if !(1..=MOST_THREADS).contains(&n) => {
            Err(format!("--threads {n}: a number from 1 to {MOST_THREADS} is needed"))
        }
        Some(n) => rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build_global()
            .map_err(|e| e.to_string()),
    }
}

/// A model from a file, or one that is compiled in by its id.
fn model(path: &Path) -> Result<Model, String> {
    let shown = path.display().to_string();
    if !path.exists() && !shown.contains(['/', '.']) {
        let (models, _) = crate::model::catalog::Catalog::model_files(None);
        let ids: Vec<String> = models.iter().map(|model| model.id.clone()).collect();
        let found = models.into_iter().find(|model| model.id == shown);
        return found.ok_or_else(|| {
            let help = crate::lang::suggest::hint(&shown, ids.iter().map(String::as_str));
            format!("{shown}: neither a file nor a model that is compiled in ({help})")
        });
    }
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
    {
        return Err(format!(
            "{shown}: a model file is expected here; the data file comes last"
        ));
    }
    let (file, text) = read(path)?;
    Model::parse(&file, &text).map_err(|e| e.to_string())
}

fn read(path: &Path) -> Result<(String, String), String> {
    let shown = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(|text| (shown.clone(), text))
            .map_err(|_| format!("{shown}: is not UTF-8 text")),
        Err(e) => Err(format!("{shown}: cannot be read: {e}")),
    }
}

fn task<'m>(model: &'m Model, file: &str, text: &str) -> Result<Task<'m>, String> {
    let task = Task::read(model, file, text).map_err(|e| e.to_string())?;
    if !task.ignored.is_empty() {
        super::complain(&format!(
            "note: {file}: columns that {} does not read: {}",
            model.id,
            task.ignored.join(", ")
        ));
    }
    Ok(task)
}

fn bar(subjects: usize, what: &'static str) -> ProgressBar {
    // Nothing is drawn where nobody looks, nor over the results themselves.
    let target = if subjects > 50 && !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        ProgressDrawTarget::stderr_with_hz(5)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(subjects as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} subjects, {eta} left") {
        bar.set_style(style);
    }
    bar.with_message(what)
}

/// Standard output; a closed pipe ends the writing without a complaint.
struct Standard {
    out: BufWriter<std::io::Stdout>,
    closed: bool,
    spent: Duration,
}

impl Standard {
    fn new() -> Self {
        Self {
            out: BufWriter::with_capacity(1 << 16, std::io::stdout()),
            closed: false,
            spent: Duration::ZERO,
        }
    }
}

impl std::io::Write for Standard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let start = Instant::now();
        let written = self.out.write(bytes);
        self.spent += start.elapsed();
        if matches!(&written, Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe) {
            self.closed = true;
        }
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn finish<T>(mut out: Standard, bar: &ProgressBar, done: Result<T, study::StudyError>) -> Result<T, String> {
    bar.finish_and_clear();
    let closed = out.closed || matches!(out.flush(), Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe);
    match done {
        Ok(value) => Ok(value),
        // Whoever read has seen enough: `jumeau simulate ... | head`.
        Err(study::StudyError::Write(_)) if closed => std::process::exit(0),
        Err(error) => Err(error.to_string()),
    }
}

fn timing(common: &Common, reading: Duration, computing: Duration, start: Instant) {
    if common.timing {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        super::complain(&format!(
            "timing: computing {:.3} ms (all threads together), reading {:.3} ms, whole run {:.3} ms",
            ms(computing),
            ms(reading),
            ms(start.elapsed())
        ));
    }
}
