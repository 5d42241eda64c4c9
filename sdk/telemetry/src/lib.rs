//! Traces, metrics and logs of a Lanyard program, on standard error and over OTLP.
//!
//! Domain moments are log records with an event name (`lanyard.token.issued`, `lanyard.drift.verdict`,
//! …), written with `tracing` and carried to OpenTelemetry by its appender. OTLP starts when an
//! endpoint is given, in the configuration or as `OTEL_EXPORTER_OTLP_ENDPOINT`; the other `OTEL_…`
//! variables mean what OpenTelemetry says they mean.
//!
//! Nothing here sees a token, a key or a secret: those are types that cannot be printed. Libraries know
//! nothing of that and print headers and bodies when they are asked for everything, so they are never
//! asked, whatever the filter says.
//!
//! Spans and records are held for a moment and sent by a thread of their own. Where nobody takes them they are dropped: no
//! call ever waits for telemetry.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod caller;
mod fields;
mod lines;
mod spans;
#[cfg(feature = "testing")]
pub mod testing;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use fields::Fields;
use lines::Lines;
use spans::Spans;

/// Where telemetry goes.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// OTLP over gRPC, such as `http://127.0.0.1:4317`; `OTEL_EXPORTER_OTLP_ENDPOINT` when absent.
    pub otlp_endpoint: Option<String>,
    /// What standard error shows, in `RUST_LOG`'s form; `RUST_LOG` wins over it.
    pub log: Option<String>,
    /// One JSON object a line on standard error, instead of text for people.
    pub log_json: bool,
    /// Spans are lines there too, when they end; not where they go over OTLP.
    pub log_spans: bool,
}

/// Telemetry could not start; a program runs on only when told to run without.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is not in `RUST_LOG`'s form.
    #[error("the log filter `{0}` cannot be read: use the form `info` or `lanyard=debug,warn`")]
    Filter(String),
    /// The exporter does not accept its configuration.
    #[error("cannot export telemetry over OTLP")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Something else in this process already listens to `tracing`.
    #[error("telemetry was already started in this process")]
    AlreadyStarted,
}

/// Keeps the exporters running; [`Telemetry::stop`] sends what is still held.
#[derive(Debug)]
pub struct Telemetry {
    providers: Option<Providers>,
}

#[derive(Debug)]
struct Providers {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: SdkLoggerProvider,
}

/// Starts telemetry for this process, which is called `service` unless the environment says otherwise. Needs a tokio
/// runtime when OTLP is on.
pub fn start(service: &'static str, settings: &Settings) -> Result<Telemetry, TelemetryError> {
    let screen = screen_layer(settings)?;
    let providers = exports(settings)
        .then(|| providers(service, settings.otlp_endpoint.as_deref()))
        .transpose()?;
    let exported = providers.as_ref().map(|providers| {
        // Moments are log records that name their span, so spans do not carry them a second time; nor
        // where in the source they begin, which is the same for all.
        let spans = tracing_opentelemetry::layer()
            .with_tracer(providers.traces.tracer("lanyard"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.is_span()));
        let records = OpenTelemetryTracingBridge::new(&providers.logs);
        spans.and_then(records).with_filter(exported_targets())
    });
    tracing_subscriber::registry()
        .with(exported)
        .with(screen)
        .try_init()
        .map_err(|_| TelemetryError::AlreadyStarted)?;
    if let Some(providers) = &providers {
        opentelemetry::global::set_meter_provider(providers.metrics.clone());
        // The trace's number alone; baggage is a stranger's words and stays outside.
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    }
    Ok(Telemetry { providers })
}

impl Telemetry {
    /// Whether anything is exported.
    #[must_use]
    pub const fn is_exporting(&self) -> bool {
        self.providers.is_some()
    }

    /// Sends what is still held, waiting at most a few seconds for a collector that does not answer.
    pub fn stop(self) {
        let Some(providers) = self.providers else {
            return;
        };
        let limit = Duration::from_secs(3);
        let results = [
            providers.traces.shutdown_with_timeout(limit),
            providers.logs.shutdown_with_timeout(limit),
            providers.metrics.shutdown_with_timeout(limit),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::warn!(error = %error, "the last telemetry was not delivered");
        }
    }
}

/// The variables that say where OTLP goes: for all signals, and for one.
const ENDPOINT_VARIABLES: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// Whether anything says where OTLP goes.
#[must_use]
pub fn exports(settings: &Settings) -> bool {
    settings.otlp_endpoint.is_some() || ENDPOINT_VARIABLES.into_iter().any(is_set)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn resource(service: &'static str) -> Resource {
    let named = is_set("OTEL_SERVICE_NAME")
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES")
            .is_ok_and(|attributes| attributes.contains("service.name="));
    let resource = Resource::builder().with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
    ]);
    if named {
        resource.build()
    } else {
        resource.with_service_name(service).build()
    }
}

/// Exporters that go to `endpoint`, or to where the environment says.
fn providers(service: &'static str, endpoint: Option<&str>) -> Result<Providers, TelemetryError> {
    let resource = resource(service);
    let mut spans = SpanExporter::builder().with_tonic();
    let mut metrics = MetricExporter::builder().with_tonic();
    let mut logs = LogExporter::builder().with_tonic();
    if let Some(endpoint) = endpoint {
        spans = spans.with_endpoint(endpoint);
        metrics = metrics.with_endpoint(endpoint);
        logs = logs.with_endpoint(endpoint);
    }
    let (spans, metrics, logs) = (spans.build()?, metrics.build()?, logs.build()?);
    let mut traces = SdkTracerProvider::builder();
    if !is_set("OTEL_TRACES_SAMPLER") {
        // Not the library's default, which lets a caller say that its own requests leave no trace.
        traces = traces.with_sampler(Sampler::AlwaysOn);
    }
    Ok(Providers {
        traces: traces
            .with_batch_exporter(spans)
            .with_resource(resource.clone())
            .build(),
        metrics: SdkMeterProvider::builder()
            .with_periodic_exporter(metrics)
            .with_resource(resource.clone())
            .build(),
        logs: SdkLoggerProvider::builder()
            .with_batch_exporter(logs)
            .with_resource(resource)
            .build(),
    })
}

/// Our own words only. What the exporter's own HTTP stack has to say must not be exported, or each
/// export would cause the next one.
fn exported_targets() -> Targets {
    Targets::new().with_target("lanyard", LevelFilter::INFO)
}

/// Standard error: for people by default, one line a record.
fn screen_layer<S>(settings: &Settings) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let filter = match (EnvFilter::try_from_default_env(), &settings.log) {
        (Ok(filter), _) => filter,
        (Err(_), Some(text)) => {
            EnvFilter::try_new(text).map_err(|_| TelemetryError::Filter(text.clone()))?
        }
        (Err(_), None) => EnvFilter::new("lanyard=info,warn"),
    };
    let colours = std::io::stderr().is_terminal() && no_color_is_unset();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(Lines { colours })
        .with_ansi(colours);
    let tells_spans = settings.log_spans && !exports(settings);
    let filter = filter.and(speaking_targets());
    Ok(if settings.log_json {
        let json = layer.json().with_span_list(!settings.log_spans);
        let json = json.fmt_fields(Fields::default());
        let spans = tells_spans.then_some(Spans(Lines { colours }));
        json.and_then(spans).with_filter(filter).boxed()
    } else if tells_spans {
        let layer = layer.with_span_events(FmtSpan::CLOSE);
        layer.with_filter(filter).boxed()
    } else {
        layer.with_filter(filter).boxed()
    })
}

/// Who may say how much at most. Below `INFO`, libraries of HTTP and TLS print what they send and
/// receive: `Authorization` headers, forms with keys in them, answers with tokens.
fn speaking_targets() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("lanyard", LevelFilter::TRACE)
        // Batches that could not be exported are reported by the exporter itself, again and again.
        .with_target("opentelemetry", LevelFilter::WARN)
}

fn no_color_is_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
