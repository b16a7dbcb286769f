//! Spans to a collector, by OTLP over HTTP with protobuf. Specification: OpenTelemetry Protocol 1.x, "OTLP/HTTP".
//!
//! Only spans of this program are sent, without events: those of libraries may hold URLs and thereby ids of patients, and texts of
//! errors are for the log alone. Ours hold a request id of ours, service, hook and twin.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracerProvider, Tracer},
};
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Sends spans while it lives, and the last ones when it is dropped.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Nothing is sent yet; spans go in batches from a thread of their own.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn start(endpoint: &str) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("telemetry.otel cannot be used: {error}");
        // As for every other server: no proxy of the environment, no redirect.
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| failed(&error))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| failed(&error))?;
        let resource = Resource::builder_empty()
            .with_service_name("jumeau")
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// Takes spans of this program.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer: Tracer = self.0.tracer("jumeau");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target().starts_with("jumeau")
            }))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}
