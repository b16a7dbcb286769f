//! Settings: the documented defaults of `config/default.toml`, then a file, then the environment.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;

use crate::{
    auth::settings::{AuthSettings, TenantSettings},
    backend::settings::BackendSettings,
    fhir::client::FhirSettings,
    hl7v2::settings::Hl7v2Settings,
    http::{measure::MetricsSettings, settings::HttpSettings},
    operations::settings::OperationsSettings,
    outbound::OutboundSettings,
    smart::settings::SmartSettings,
    store::open::StoreSettings,
    telemetry::{LogSettings, TelemetrySettings},
};

/// The defaults, which are also their documentation.
pub const DEFAULT: &str = include_str!("../config/default.toml");

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP edge.
    pub http: HttpSettings,
    /// FHIR servers.
    pub fhir: FhirSettings,
    /// Requests to other servers.
    #[serde(default)]
    pub outbound: OutboundSettings,
    /// FHIR servers with an access of our own.
    #[serde(default)]
    pub backend: Vec<BackendSettings>,
    /// Twins.
    pub models: ModelSettings,
    /// Services.
    pub services: ServiceSettings,
    /// Codes.
    #[serde(default)]
    pub terminology: TerminologySettings,
    /// What is kept.
    pub store: StoreSettings,
    /// Time.
    pub clock: ClockSettings,
    /// Logs.
    pub log: LogSettings,
    /// Messages of systems that do not speak FHIR.
    #[serde(default)]
    pub hl7v2: Hl7v2Settings,
    /// FHIR operations for integration engines.
    #[serde(default)]
    pub operations: OperationsSettings,
    /// Who may call.
    #[serde(default)]
    pub auth: AuthSettings,
    /// Hospitals that share this server.
    #[serde(default)]
    pub tenant: Vec<TenantSettings>,
    /// The twin's page as a SMART app.
    #[serde(default)]
    pub smart: SmartSettings,
    /// Counts and times.
    #[serde(default)]
    pub metrics: MetricsSettings,
    /// Traces.
    #[serde(default)]
    pub telemetry: TelemetrySettings,
}

/// The `[models]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Folder with one sub-folder a twin; those compiled in when absent.
    pub folder: Option<PathBuf>,
    /// Posterior draws.
    pub draws: usize,
}

/// The `[services]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// Which services discovery lists.
    pub offer: Offer,
}

/// Which services discovery lists. Those that it does not list answer all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offer {
    /// One a twin and hook.
    Each,
    /// One a hook, for all twins together.
    Together,
    /// All of them: for clients that choose. One that calls all it finds shows every card twice.
    Both,
}

/// The `[terminology]` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminologySettings {
    /// A hospital's own product codes.
    pub file: Option<PathBuf>,
}

/// The `[clock]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSettings {
    /// IANA zone name.
    pub zone: String,
    /// What counts as now.
    pub as_of: AsOf,
}

/// What counts as now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AsOf {
    /// The clock of this machine.
    Now,
    /// The newest time found in each record: for de-identified records whose dates are shifted.
    Record,
    /// A fixed moment: for tests and for looking back.
    At(jiff::Timestamp),
}

impl TryFrom<String> for AsOf {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "now" => Ok(Self::Now),
            "record" => Ok(Self::Record),
            _ => text.parse().map(Self::At).map_err(|_| {
                format!("clock.as_of \"{text}\" is neither now, record, nor a time such as 2026-01-15T12:00:00Z")
            }),
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
#[error("settings: {0}")]
pub struct SettingsError(String);

impl Settings {
    /// Reads the defaults, then `file`, then the environment (`JUMEAU__HTTP__LISTEN`).
    ///
    /// # Errors
    /// [`SettingsError`] naming the key that is wrong and the file that it stands in.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml));
        }
        let environment = Environment::with_prefix("JUMEAU")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true);
        let settings: Self = builder
            .add_source(environment)
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|e| SettingsError(e.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.http.check().map_err(SettingsError)?;
        self.outbound.check().map_err(SettingsError)?;
        self.auth.check(&self.tenant).map_err(SettingsError)?;
        for backend in &self.backend {
            let (server, tenant) = (&backend.server, &backend.tenant);
            if !self.tenant.is_empty() && !self.tenant.iter().any(|known| known.id == *tenant) {
                let message =
                    format!("backend {server:?}: tenant {tenant:?} is no [[tenant]]; say whose patients it holds");
                return Err(SettingsError(message));
            }
        }
        for issuer in &self.smart.issuer {
            let (iss, tenant) = (&issuer.iss, &issuer.tenant);
            if !self.tenant.is_empty() && !self.tenant.iter().any(|known| known.id == *tenant) {
                let message = format!(
                    "smart.issuer {iss:?}: tenant {tenant:?} is no [[tenant]]; say whose patients its pages show"
                );
                return Err(SettingsError(message));
            }
        }
        self.smart.check().map_err(SettingsError)?;
        self.operations.check().map_err(SettingsError)?;
        let tenants: Vec<&str> = self.tenant.iter().map(|tenant| tenant.id.as_str()).collect();
        let durable = self.store.directory.is_some() || self.store.postgres.is_some();
        self.hl7v2.check(&tenants, durable).map_err(SettingsError)?;
        let keep = self.store.postgres.as_ref().and_then(|postgres| postgres.keep_days);
        if self.hl7v2.listen.is_some() && keep.is_some_and(|keep| keep < self.hl7v2.keep_days) {
            let message = "store.postgres.keep_days is less than hl7v2.keep_days: what messages said would be forgotten too early";
            return Err(SettingsError(message.to_owned()));
        }
        if !self.smart.issuer.is_empty() && self.http.public_url.is_none() {
            let message = "http.public_url is missing: the address at which browsers reach the pages of [[smart.issuer]], such as \
                           https://twins.hospital.example";
            return Err(SettingsError(message.to_owned()));
        }
        self.telemetry.otel.check().map_err(SettingsError)?;
        if !(1000..=100_000).contains(&self.models.draws) {
            let message = format!("models.draws is {}: at least 1000, at most 100000", self.models.draws);
            return Err(SettingsError(message));
        }
        self.zone().map(drop)
    }

    /// The zone of cards.
    ///
    /// # Errors
    /// [`SettingsError`] when the zone is not known.
    pub fn zone(&self) -> Result<jiff::tz::TimeZone, SettingsError> {
        jiff::tz::TimeZone::get(&self.clock.zone).map_err(|_| {
            SettingsError(format!(
                "clock.zone \"{}\" is not an IANA zone such as Europe/Paris",
                self.clock.zone
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let settings = Settings::load(None).unwrap();
        assert_eq!(settings.models.draws, 1000);
        assert_eq!(settings.clock.as_of, AsOf::Now);
        assert_eq!(settings.services.offer, Offer::Together);
    }

    #[test]
    fn the_examples_among_the_defaults_can_be_used() {
        let is_example = |line: &str| {
            let name = line.split(" = ").next().unwrap_or_default().trim_matches('"');
            line.starts_with('[') || line.contains(" = ") && !name.contains(' ')
        };
        let lines = DEFAULT.lines().map(|line| match line.strip_prefix("# ") {
            Some(example) if is_example(example) => example,
            _ => line,
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let source = Config::builder().add_source(File::from_str(&text, FileFormat::Toml));
        let settings: Settings = source.build().and_then(Config::try_deserialize).unwrap();
        assert!(settings.hl7v2.listen.is_some() && settings.hl7v2.systems.contains_key("99LAB"));
        assert_eq!(settings.store.postgres.unwrap().keep_days, Some(365));
        assert!(!settings.backend.is_empty() && !settings.tenant.is_empty() && !settings.store.key.is_empty());
    }

    #[test]
    fn a_mistake_is_named() {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        writeln!(file, "[http]\nlisten_on = \"127.0.0.1:1\"").unwrap();
        let error = Settings::load(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("listen_on"), "{error}");
    }

    #[test]
    fn too_few_draws_are_refused() {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        writeln!(file, "[models]\ndraws = 10").unwrap();
        assert!(
            Settings::load(Some(file.path()))
                .unwrap_err()
                .to_string()
                .contains("at least 1000")
        );
    }
}
