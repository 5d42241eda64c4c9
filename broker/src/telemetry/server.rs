//! A request as telemetry: its span, and how long it took.
//!
//! The path itself is never told, only the route's template: callers put keys and tokens into paths,
//! and a label that callers choose is a series for each of them. The same goes for methods.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Version};
use lanyard_telemetry::caller::join;
use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use tracing::Span;
use tracing::field::Empty;

/// The buckets OpenTelemetry's HTTP conventions advise, in seconds.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Measures requests into `http.server.request.duration`.
#[derive(Clone)]
pub struct ServerMeter {
    duration: Histogram<f64>,
}

impl ServerMeter {
    /// A histogram of the process-wide meter; call after telemetry has started.
    pub fn new() -> Self {
        let duration = global::meter("lanyard")
            .f64_histogram("http.server.request.duration")
            .with_unit("s")
            .with_description("From a request's head to its answer's head")
            .with_boundaries(BUCKETS.to_vec())
            .build();
        Self { duration }
    }

    /// One request was answered. `route` is a template, or the word for none.
    pub fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let mut labels = vec![
            KeyValue::new("http.request.method", method_word(method)),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
        ];
        if status.is_server_error() {
            labels.push(KeyValue::new("error.type", status.as_str().to_owned()));
        }
        self.duration.record(took.as_secs_f64(), &labels);
    }
}

impl Default for ServerMeter {
    fn default() -> Self {
        Self::new()
    }
}

/// The span of a request, within the caller's trace when it names one.
pub fn span(method: &Method, route: &str, version: Version, headers: &HeaderMap) -> Span {
    let word = method_word(method);
    let name = match word {
        OTHER => format!("HTTP {route}"),
        word => format!("{word} {route}"),
    };
    let span = tracing::info_span!(
        "http.server",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = word,
        http.route = route,
        http.response.status_code = Empty,
        network.protocol.version = version_word(version),
        error.r#type = Empty,
        lanyard.reason = Empty,
    );
    join(&span, headers);
    span
}

/// Writes the answer's status into the span.
pub fn record_status(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        span.record("otel.status_code", "ERROR");
    }
}

/// What OpenTelemetry calls every method it does not know.
const OTHER: &str = "_OTHER";

/// One of a closed set of words.
pub fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => OTHER,
    }
}

const fn version_word(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_a_closed_set() {
        assert_eq!(method_word(&Method::GET), "GET");
        let invented = Method::from_bytes(b"LYK_1234").unwrap();
        assert_eq!(method_word(&invented), "_OTHER");
    }
}
