//! The trace that a caller names (W3C Trace Context).

use http::HeaderMap;
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Puts a span into the trace that a request names, if it does.
///
/// Who names one may choose its number and nothing else: whether spans are kept is decided here, and `tracestate` is a
/// stranger's words, which would go out with each span.
pub fn join(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key(NUMBER) {
        return;
    }
    let caller =
        global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    if caller.span().span_context().is_valid() {
        // Fails when nothing is exported: then there is no trace to be part of.
        let _ = span.set_parent(caller);
    }
}

/// Where a trace's number stands, and whose span is the parent.
const NUMBER: &str = "traceparent";

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let number = || self.0.get(NUMBER)?.to_str().ok();
        (key == NUMBER).then(number).flatten()
    }

    fn keys(&self) -> Vec<&str> {
        let has_number = self.0.contains_key(NUMBER);
        has_number.then_some(NUMBER).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    use super::*;

    #[test]
    fn of_what_a_caller_says_of_its_trace_the_number_alone_is_taken() {
        let mut headers = HeaderMap::new();
        let number = "0af7651916cd43dd8448eb211c80319c";
        let parent = format!("00-{number}-b7ad6b7169203331-01");
        headers.insert(NUMBER, parent.parse().unwrap());
        headers.insert("tracestate", "vendor=canary".parse().unwrap());
        headers.insert("baggage", "user=canary".parse().unwrap());
        let caller = TraceContextPropagator::new().extract(&Headers(&headers));
        let caller = caller.span().span_context().clone();
        assert_eq!(caller.trace_id().to_string(), number);
        assert_eq!(caller.trace_state().header(), "");
        assert_eq!(Headers(&headers).keys(), [NUMBER]);
    }
}
