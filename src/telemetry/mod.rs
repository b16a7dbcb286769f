//! Logs and traces. Fields are chosen where they are written: hook, service, status, milliseconds; never anything of a patient.

#[cfg(feature = "otel")]
mod otel;

use serde::Deserialize;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, layer::SubscriberExt, util::SubscriberInitExt};
use url::Url;

/// The `[log]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// Level or filter.
    pub level: String,
    /// Text or JSON.
    pub format: LogFormat,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// The `[telemetry]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Traces by OpenTelemetry.
    pub otel: OtelSettings,
}

/// The `[telemetry.otel]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtelSettings {
    /// Where spans are sent, by OTLP over HTTP: `http://collector:4318/v1/traces`. Default: nowhere.
    pub endpoint: Option<String>,
}

impl OtelSettings {
    /// Looks for what this build cannot do.
    ///
    /// # Errors
    /// Which setting, and what would help.
    pub fn check(&self) -> Result<(), String> {
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        if !cfg!(feature = "otel") {
            let text = "telemetry.otel.endpoint is set, but this program was built without traces; build it with --features otel";
            return Err(text.to_owned());
        }
        match Url::parse(endpoint) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            _ => Err("telemetry.otel.endpoint must be a URL such as http://127.0.0.1:4318/v1/traces".to_owned()),
        }
    }
}

/// Sends what is left of the traces when it is dropped.
#[must_use]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    _traces: Option<otel::Traces>,
}

/// Starts logging to standard error and, where configured, sending spans. Not within an async runtime.
///
/// # Errors
/// When spans cannot be sent, for the operator.
pub fn start(log: &LogSettings, telemetry: &TelemetrySettings) -> Result<Telemetry, String> {
    telemetry.otel.check()?;
    let filter = || EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = match log.format {
        LogFormat::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_filter(filter())
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .with_writer(std::io::stderr)
            .with_filter(filter())
            .boxed(),
    };
    let registry = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otel")]
    let (registry, traces) = {
        let traces = telemetry
            .otel
            .endpoint
            .as_deref()
            .map(otel::Traces::start)
            .transpose()?;
        (registry.with(traces.as_ref().map(otel::Traces::layer)), traces)
    };
    // A second start in one process (tests) keeps the first.
    drop(registry.try_init());
    // The text of a panic may hold a value of a record: only its place is told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a computation was given up");
    }));
    Ok(Telemetry {
        #[cfg(feature = "otel")]
        _traces: traces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_needs_a_build_that_can_send() {
        let to = |url: &str| OtelSettings {
            endpoint: Some(url.to_owned()),
        };
        assert_eq!(OtelSettings::default().check(), Ok(()));
        let good = to("http://127.0.0.1:4318/v1/traces").check();
        assert_eq!(good.is_ok(), cfg!(feature = "otel"), "{good:?}");
        assert!(to("ftp://127.0.0.1/").check().is_err());
    }
}
