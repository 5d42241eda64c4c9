//! Traces, metrics and logs, on standard error and over OTLP.
//!
//! Domain moments are log records with an event name (`lanyard.token.issued`, `lanyard.drift.verdict`,
//! …), written with `tracing` and carried to OpenTelemetry by its appender. OTLP starts when an
//! endpoint is given, in the configuration or as `OTEL_EXPORTER_OTLP_ENDPOINT`; the other `OTEL_…`
//! variables mean what OpenTelemetry says they mean.
//!
//! Nothing here sees a token, a key or a secret: those are types that cannot be printed.

pub mod meter;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Where telemetry goes.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// OTLP over gRPC, such as `http://127.0.0.1:4317`; `OTEL_EXPORTER_OTLP_ENDPOINT` when absent.
    pub otlp_endpoint: Option<String>,
    /// What standard error shows, in `RUST_LOG`'s form; `RUST_LOG` wins over it.
    pub log: Option<String>,
    /// One JSON object a line on standard error, instead of text for people.
    pub log_json: bool,
}

/// Telemetry could not start; the broker runs on only when told to run without.
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

/// Starts telemetry for this process. Needs a tokio runtime when OTLP is on.
pub fn start(settings: &Settings) -> Result<Telemetry, TelemetryError> {
    let screen = screen_layer(settings)?;
    let providers = match otlp_endpoint(settings) {
        Some(endpoint) => Some(providers(&endpoint)?),
        None => None,
    };
    let exported = providers.as_ref().map(|providers| {
        let spans = tracing_opentelemetry::layer().with_tracer(providers.traces.tracer("lanyard"));
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
    }
    Ok(Telemetry { providers })
}

impl Telemetry {
    /// Whether anything is exported.
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

fn otlp_endpoint(settings: &Settings) -> Option<String> {
    let from_environment = || std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok();
    settings
        .otlp_endpoint
        .clone()
        .or_else(from_environment)
        .filter(|endpoint| !endpoint.is_empty())
}

fn providers(endpoint: &str) -> Result<Providers, TelemetryError> {
    let resource = Resource::builder()
        .with_service_name("lanyard")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            uuid::Uuid::new_v4().to_string(),
        ))
        .build();
    let spans = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()?;
    let metrics = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()?;
    let logs = LogExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()?;
    Ok(Providers {
        traces: SdkTracerProvider::builder()
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

/// Standard error: for people by default, one line a record. Text and JSON both escape control
/// characters, so that what a caller sends cannot forge a line.
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
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    // Batches that could not be exported are reported by the exporter itself, again and again.
    let quiet = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_target("opentelemetry", LevelFilter::WARN);
    Ok(if settings.log_json {
        layer.json().with_filter(filter.and(quiet)).boxed()
    } else {
        layer.with_filter(filter.and(quiet)).boxed()
    })
}

fn no_color_is_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
