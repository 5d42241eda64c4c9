//! The trace that a caller names (W3C Trace Context).

use http::{HeaderMap, HeaderName};
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Puts a span into the trace that a request names, if it does.
///
/// Who names one may choose its number and nothing else: whether spans are kept is decided here.
pub fn join(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key("traceparent") {
        return;
    }
    let caller =
        global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    if caller.span().span_context().is_valid() {
        // Fails when nothing is exported: then there is no trace to be part of.
        let _ = span.set_parent(caller);
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
