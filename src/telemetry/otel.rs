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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What one request brought to a collector.
    fn collector() -> (String, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let taken = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let mut part = [0; 4096];
            loop {
                let read = stream.read(&mut part).unwrap();
                bytes.extend_from_slice(part.get(..read).unwrap());
                let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
                let Some((head, _)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let whole = head.len() + 4 + length.unwrap().parse::<usize>().unwrap();
                if read == 0 || bytes.len() >= whole {
                    break;
                }
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
            bytes
        });
        (url, taken)
    }

    #[test]
    fn spans_of_ours_are_sent_and_nothing_else() {
        let (url, taken) = collector();
        let traces = Traces::start(&url).unwrap();
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("call", service = "of-this-test");
            let _inside = span.enter();
            tracing::warn!(error = "text-of-an-error", "something-of-a-patient");
            let library = tracing::info_span!(target: "hyper::client", "request", url = "/Patient/known-id");
            drop(library.entered());
        });
        drop(traces);
        let sent = String::from_utf8_lossy(&taken.join().unwrap()).into_owned();
        assert!(sent.starts_with("POST /v1/traces HTTP/1.1"), "{sent}");
        for there in ["service.name", "jumeau", "call", "of-this-test"] {
            assert!(sent.contains(there), "{there} is not in {sent}");
        }
        for secret in ["text-of-an-error", "something-of-a-patient", "known-id", "hyper"] {
            assert!(!sent.contains(secret), "{secret} is in {sent}");
        }
    }
}
