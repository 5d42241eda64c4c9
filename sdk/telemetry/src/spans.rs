//! Spans as lines of JSON on standard error, where they go nowhere else.
//!
//! **Why not the library's own?** For each line it reads the span's fields again, which are JSON already, and looks at the
//! clock at each turn of a task: that took a tenth of what a call through egress takes in all.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FormattedFields, MakeWriter};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;

/// A usual line, with some room.
const LINE: usize = 1_024;

/// Writes a line for each span that ends, with the fields as the layer for records has written them.
pub(super) struct Spans<W>(pub(super) W);

struct Began(Instant);

impl<S, W> Layer<S> for Spans<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Began(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let extensions = span.extensions();
        let Some(Began(began)) = extensions.get() else {
            return;
        };
        let took = began.elapsed().as_micros();
        let fields = extensions.get::<FormattedFields<Fields>>();
        let fields = fields.map_or("", |fields| fields.fields.as_str());
        let fields = fields.strip_suffix('}').unwrap_or("{");
        let comma = if fields.len() > 1 { "," } else { "" };
        let mut line = String::with_capacity(LINE);
        line.push_str("{\"timestamp\":\"");
        // The clock, and a string, always take it.
        let _ = SystemTime.format_time(&mut Writer::new(&mut line));
        let metadata = span.metadata();
        let (level, target, name) = (metadata.level(), metadata.target(), metadata.name());
        // What stands in the source needs no other escapes than Rust's.
        let _ = writeln!(
            line,
            "\",\"level\":\"{level}\",\"fields\":{{\"message\":\"close\",\"took_us\":{took}}},\
             \"target\":{target:?},\"span\":{fields}{comma}\"name\":{name:?}}}}}"
        );
        // Whoever does not take lines misses them: no call waits or fails for that.
        let _ = self.0.make_writer().write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, some: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(some);
            Ok(some.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_span_is_a_line_with_all_that_was_recorded_of_it_once_it_ends() {
        let kept = Kept::default();
        let (records, spans) = (kept.clone(), kept.clone());
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .fmt_fields(Fields::default())
            .with_writer(move || records.clone())
            .and_then(Spans(move || spans.clone()));
        with_default(tracing_subscriber::registry().with(layer), || {
            let span =
                tracing::info_span!("a.call", of = "a \"word\"\n", later = tracing::field::Empty);
            span.record("later", 7);
            let twin = span.clone();
            drop(span);
            assert!(kept.0.lock().unwrap().is_empty(), "it has not ended");
            drop(twin);
            drop(tracing::info_span!("bare"));
        });
        let written = kept.0.lock().unwrap().clone();
        let written = String::from_utf8(written).unwrap();
        let lines: Vec<_> = written.lines().collect();
        let [call, bare] = lines.as_slice() else {
            panic!("{written}");
        };
        for line in [call, bare] {
            assert!(line.starts_with("{\"timestamp\":\"20"), "{line}");
            let told = "\"level\":\"INFO\",\"fields\":{\"message\":\"close\",\"took_us\":";
            assert!(line.contains(told), "{line}");
        }
        let ended = r#""span":{"of":"a \"word\"\n","later":7,"name":"a.call"}}"#;
        assert!(call.ends_with(ended), "{call}");
        let ended = r#""target":"lanyard_telemetry::spans::tests","span":{"name":"bare"}}"#;
        assert!(bare.ends_with(ended), "{bare}");
    }
    #[test]
    fn records_are_written_where_spans_go_elsewhere() {
        let kept = Kept::default();
        let records = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .fmt_fields(Fields::default())
            .with_writer(move || records.clone())
            .and_then(None::<Spans<fn() -> Kept>>)
            .with_filter(tracing_subscriber::EnvFilter::new("info"));
        with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info_span!("a.call").in_scope(|| tracing::info!("a word"));
        });
        let written = kept.0.lock().unwrap().clone();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(written.contains("a word") && written.contains("a.call"));
    }
}
