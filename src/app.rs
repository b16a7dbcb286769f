//! Puts the parts together and runs the server: the only place that knows every concrete type.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::web;
use indicatif::{ProgressBar, ProgressStyle};
use url::Url;

use crate::{
    auth::Verifier,
    backend::{self, Backend},
    cds::advisor::Advisor,
    demo::{CLIENT_ID, Demo, FHIR_PATH},
    fhir::{
        client::{Client, FhirSettings},
        terminology::Terminology,
    },
    hl7v2::listener::Receiver,
    http::{
        guard::Guard,
        health::{self, Checks, State},
        measure, server,
    },
    model::catalog::Catalog,
    operations::{self, Operations},
    outbound::{Outbound, allow_list::AllowList},
    service::{Handle, Parts, TenantParts, TwinAdvisor, messages::Messages},
    settings::Settings,
    smart::{
        self, Smart,
        settings::{IssuerSettings, SmartSettings},
    },
    store::{self, inbox::Inbox},
    telemetry,
};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For a hospital.
    Production,
    /// With sample patients and the playground.
    Demo,
}

/// Says on standard error what is being done; a moving line on a terminal, plain lines elsewhere.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn start(mode: Mode) -> Self {
        if mode == Mode::Production || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(80));
        Self(Some(bar))
    }

    fn step(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(text.to_owned()),
            None => tracing::info!("{text}"),
        }
    }

    fn end(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// In one sentence for the operator, when the server cannot start or breaks.
pub fn run(settings: Settings, mode: Mode) -> Result<(), String> {
    let _telemetry = telemetry::start(&settings.log, &settings.telemetry)?;
    // Evaluations run on the blocking threads of this runtime, requests are read by actix's workers.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(serve(settings, mode))
}

async fn serve(settings: Settings, mode: Mode) -> Result<(), String> {
    let progress = Progress::start(mode);
    let started = start(settings, mode, |text| progress.step(text))?;
    progress.end();
    match mode {
        Mode::Demo => greet(&started),
        Mode::Production => {
            tracing::info!(address = %started.address, twins = started.twins, services = started.services, "ready");
        }
    }
    started.server.await.map_err(|e| e.to_string())
}

/// A server that was started.
pub struct Started {
    /// Runs while it is awaited.
    pub server: actix_web::dev::Server,
    /// As bound.
    pub address: SocketAddr,
    /// That of the listener for metrics.
    pub metrics: Option<SocketAddr>,
    /// That of the listener for messages.
    pub hl7v2: Option<SocketAddr>,
    /// How many twins are served.
    pub twins: usize,
    /// How many models vote in them.
    pub models: usize,
    /// How many services that makes.
    pub services: usize,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Starts a server, saying each step. Must be called inside a tokio runtime.
///
/// # Errors
/// In one sentence for the operator.
pub fn start(settings: Settings, mode: Mode, step: impl Fn(&str)) -> Result<Started, String> {
    step("reading the twins");
    let (catalog, errors) = Catalog::load(settings.models.folder.as_deref());
    for error in &errors {
        tracing::error!("{error}");
    }
    if catalog.twins.is_empty() {
        let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
        return Err(format!("no twin can be served. {}", reasons.join("; ")));
    }
    let twins = catalog.twins.len();
    let models = catalog.twins.iter().map(|t| t.models.len()).sum();
    step("reading the terminology");
    let mut terminology = Terminology::default();
    if let Some(file) = &settings.terminology.file {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|e| format!("{name}: {e}"))?;
        terminology = terminology.extend(Terminology::parse(&name, &text).map_err(|e| e.to_string())?);
    }
    let launch = Arc::new(OnceLock::new());
    step("opening the store");
    let stores = store::open::open(&settings.store)?;
    let mut warnings: Vec<String> = errors.iter().map(|e| format!("not served: {e}")).collect();
    warnings.extend(stores.warnings.iter().cloned());
    let outbound = Arc::new(Outbound::new(&settings.outbound)?);
    let verifier = verifier(&settings, mode, &outbound, &stores)?;
    let mut checks = checks(errors.len(), &stores, verifier.as_ref());
    let tenants = tenants(&settings, &catalog, &outbound)?;
    let audit = Arc::clone(&stores.audit);
    let inbox = inbox(&settings, &stores)?;
    if settings.hl7v2.listen.is_some() {
        let inbox = Arc::clone(&inbox);
        checks = checks.with("inbox", move || match inbox.trouble() {
            None => State::Fine,
            Some(_) => State::Failing("messages cannot be kept; the log says why"),
        });
    }
    let twins_asked = TwinAdvisor::new(Parts {
        catalog,
        client: Client::new(&settings.fhir, Arc::clone(&outbound)).map_err(|e| e.to_string())?,
        tenants,
        terminology,
        stores,
        messages: Messages {
            inbox: Arc::clone(&inbox),
            tenant: settings.hl7v2.listen.map(|_| settings.hl7v2.tenant.clone()),
            patient_system: settings.hl7v2.patient_system.clone(),
        },
        zone: settings.zone().map_err(|e| e.to_string())?,
        as_of: settings.clock.as_of,
        draws: settings.models.draws,
        offer: settings.services.offer,
        launch: Arc::clone(&launch),
    });
    let advisor = Arc::new(Handle(Arc::clone(&twins_asked)));
    let types = smart::scopes::types(advisor.services());
    let backend = Arc::new(Backend::new(&settings.backend, &types, Arc::clone(&outbound))?);
    if !settings.backend.is_empty() {
        let backend = Arc::clone(&backend);
        checks = checks.with("backend access", move || match backend.is_failing() {
            false => State::Fine,
            true => State::Degraded("a FHIR server gives no access token; the log says why"),
        });
    }
    let checks = Arc::new(checks);
    let operations = web::Data::new(Operations::new(operations::Parts {
        settings: settings.operations.clone(),
        advisor: twins_asked,
        backend: Arc::clone(&backend),
        audit,
        tenants: settings.tenant.iter().map(|t| (t.id.clone(), t.fhir.clone())).collect(),
        allowed: settings.fhir.allow.clone(),
    })?);
    let demo = match mode {
        Mode::Production => None,
        Mode::Demo => {
            step("moving the sample patients to today");
            Some(web::Data::new(
                Demo::new(advisor.services().to_vec()).map_err(|e| e.to_string())?,
            ))
        }
    };
    step("opening the port");
    let listen = settings.http.listen;
    let services = advisor.listed().len();
    let metrics = match settings.metrics.listen {
        None => None,
        Some(listen) => {
            let (server, address) = measure::serve(listen, Arc::clone(&checks))
                .map_err(|e| format!("metrics.listen {listen} cannot be listened on: {e}"))?;
            // It ends with the process.
            tokio::spawn(server);
            tracing::info!(%address, "metrics");
            Some(address)
        }
    };
    let hl7v2 = match settings.hl7v2.listen {
        None => None,
        Some(listen) => {
            let zone = settings.zone().map_err(|e| e.to_string())?;
            let (receiver, address) = Receiver::new(settings.hl7v2.clone(), zone, inbox)
                .serve(listen)
                .map_err(|e| format!("hl7v2.listen {listen} cannot be listened on: {e}"))?;
            // It ends with the process.
            tokio::spawn(receiver);
            tracing::info!(%address, "HL7 v2 over MLLP");
            Some(address)
        }
    };
    // A demonstration has nothing to hide.
    let public = settings.metrics.public || mode == Mode::Demo;
    let zone = settings.zone().map_err(|e| e.to_string())?;
    let fhir = settings.fhir.clone();
    let lists: BTreeMap<String, Vec<String>> = settings.tenant.iter().map(|t| (t.id.clone(), t.fhir.clone())).collect();
    let readable = move |tenant: &str, base: &Url| {
        let list = lists.get(tenant).unwrap_or(&fhir.allow);
        AllowList::new("fhir", list, fhir.loopback_http).is_ok_and(|list| list.admit(base).is_some())
    };
    let pages = mode == Mode::Demo || !settings.smart.issuer.is_empty();
    let slot = web::Data::new(smart::Slot::new());
    for (_, base) in backend.bases().filter(|(tenant, base)| !readable(tenant, base)) {
        let warning = format!("backend {base}: not in fhir.allow, so that it cannot be read");
        tracing::warn!("{warning}");
        warnings.push(warning);
    }
    let extra = {
        let slot = slot.clone();
        move |config: &mut web::ServiceConfig| {
            health::configure(config, &checks, public);
            operations::configure(config, operations.clone());
            backend::configure(config, Arc::clone(&backend));
            if let Some(demo) = &demo {
                crate::demo::configure(config, demo.clone());
            }
            if pages {
                smart::configure(config, slot.clone());
            }
        }
    };
    let asked: Arc<dyn Advisor> = advisor.clone();
    let guard = verifier.map_or(Guard::Open, Guard::Tokens);
    let public_url = settings.http.public()?;
    let (server, address) = server::serve(settings.http, advisor, guard, extra)
        .map_err(|e| format!("{listen} cannot be listened on: {e}; choose another with --listen"))?;
    if pages {
        let public_url = public_url.map_or_else(|| here(address), Ok)?;
        let smart = match mode {
            Mode::Demo => at_home(settings.smart, &public_url),
            Mode::Production => settings.smart,
        };
        let smart = Smart::new(smart, public_url, asked, zone, outbound)?;
        let outside = smart
            .issuers
            .iter()
            .filter(|issuer| !readable(&issuer.tenant, &issuer.base));
        for issuer in outside {
            let warning = format!(
                "smart.issuer {}: not in fhir.allow, so that its pages can read no record",
                issuer.base
            );
            tracing::warn!("{warning}");
            warnings.push(warning);
        }
        // Both are set once, here.
        let _ = launch.set(smart.launch_url());
        let _ = slot.set(web::Data::new(smart));
    }
    Ok(Started {
        server,
        address,
        metrics,
        hl7v2,
        twins,
        models,
        services,
        warnings,
    })
}

/// The sample FHIR server as an EHR at which the twin's page is an app.
fn at_home(mut settings: SmartSettings, public: &Url) -> SmartSettings {
    let iss = format!("{}{FHIR_PATH}", public.as_str().trim_end_matches('/'));
    settings.issuer.push(IssuerSettings::public(iss, CLIENT_ID.to_owned()));
    settings
}

/// The address of a server without a public one, for browsers on this machine.
fn here(mut address: SocketAddr) -> Result<Url, String> {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Url::parse(&format!("http://{address}")).map_err(|e| e.to_string())
}

/// What checks the tokens of callers, unless none are asked for.
fn verifier(
    settings: &Settings,
    mode: Mode,
    outbound: &Arc<Outbound>,
    stores: &store::open::Stores,
) -> Result<Option<Arc<Verifier>>, String> {
    let (auth, tenants) = (&settings.auth, &settings.tenant);
    if !auth.required.unwrap_or(mode == Mode::Production) {
        return Ok(None);
    }
    auth.complete(tenants, settings.http.public_url.as_deref())?;
    let public = settings.http.public_url.as_deref().unwrap_or_default();
    let verifier = Verifier::new(auth, tenants, public, outbound, Arc::clone(&stores.replay))?;
    Ok(Some(Arc::new(verifier)))
}

/// What each tenant has of its own.
fn tenants(
    settings: &Settings,
    catalog: &Catalog,
    outbound: &Arc<Outbound>,
) -> Result<BTreeMap<String, TenantParts>, String> {
    let known = |id: &String| catalog.twins.iter().any(|twin| twin.file.id == *id);
    let parts = settings.tenant.iter().map(|tenant| {
        let id = &tenant.id;
        if let Some(unknown) = tenant.twins.iter().flatten().find(|twin| !known(twin)) {
            let served: Vec<&str> = catalog.twins.iter().map(|twin| twin.file.id.as_str()).collect();
            return Err(format!(
                "tenant {id}: there is no twin {unknown:?}; there are {}",
                served.join(", ")
            ));
        }
        let fhir = FhirSettings {
            allow: tenant.fhir.clone(),
            ..settings.fhir.clone()
        };
        let client = Client::new(&fhir, Arc::clone(outbound)).map_err(|e| format!("tenant {id}: {e}"))?;
        let twins = tenant.twins.clone();
        Ok((id.clone(), TenantParts { client, twins }))
    });
    parts.collect()
}

/// What messages said, found again after whatever happened to the store of twins.
fn inbox(settings: &Settings, stores: &store::open::Stores) -> Result<Arc<Inbox>, String> {
    let inbox = Inbox::new(
        Arc::clone(&stores.inbox),
        Arc::clone(&stores.twins),
        settings.hl7v2.keep(),
    );
    if settings.hl7v2.listen.is_some() {
        inbox
            .restore(jiff::Timestamp::now())
            .map_err(|e| format!("the inbox of messages: {e}"))?;
    }
    Ok(Arc::new(inbox))
}

/// What must be in order for calls to be answered. Without its twin store the server only forgets twins, which are rebuilt; feedback
/// that cannot be kept belongs to another server.
fn checks(not_served: usize, stores: &store::open::Stores, verifier: Option<&Arc<Verifier>>) -> Checks {
    let (twins, feedback, audit) = (
        Arc::clone(&stores.twins),
        Arc::clone(&stores.feedback),
        Arc::clone(&stores.audit),
    );
    let mut checks = Checks::default();
    if let Some(verifier) = verifier.cloned() {
        checks = checks.with("keys", move || match verifier.issuers() {
            (all, able) if able == all => State::Fine,
            (_, 0) => State::Failing("no public keys of callers could be fetched; the log says why"),
            _ => State::Degraded("some public keys of callers could not be fetched; the log says why"),
        });
    }
    checks
        .with("models", move || match not_served {
            0 => State::Fine,
            _ => State::Degraded("some twins cannot be served; the log names them"),
        })
        .with("twin store", move || match twins.trouble() {
            None => State::Fine,
            Some(_) => State::Degraded("not as configured; the log says why"),
        })
        .with("feedback log", move || match feedback.trouble() {
            None => State::Fine,
            Some(_) => State::Failing("feedback cannot be kept; the log says why"),
        })
        .with("audit log", move || match audit.trouble() {
            None => State::Fine,
            Some(_) => State::Failing("what is done cannot be written down; the log says why"),
        })
}

/// What a newcomer needs to know, in plain words.
fn greet(started: &Started) {
    use std::io::Write as _;
    let Started {
        address,
        twins,
        models,
        services,
        warnings,
        ..
    } = started;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "Jumeau demo is ready: {twins} {}, {models} models, {services} services. Sample patients only; nothing leaves this machine.\n\
         \n\
         Playground               http://{address}/\n\
         For an EHR (discovery)   http://{address}/cds-services\n\
         Sample FHIR server       http://{address}{FHIR_PATH}\n\
         \n\
         Stop with Ctrl-C. Investigational software: not a certified medical device.",
        if *twins == 1 { "twin" } else { "twins" }
    );
    for warning in warnings {
        let _ = writeln!(out, "Note: {warning}");
    }
    let _ = out.flush();
}
