//! Telling the broker what was seen.
//!
//! At once when a tracker asks for it (on a lane of its own, so that it never waits behind what could
//! wait), within a second when there are tokens the broker has not heard of, else once a minute.
//!
//! A good signature that the broker's log never issued is a stolen key. For such a token the receipt
//! asks, and the token itself is shown with the next report, at once: it is its own evidence. No other
//! token's text ever leaves.
//!
//! A report is numbered within its lane's random epoch and sent again, unchanged but for the names beside
//! it, until it is answered; so one that arrived and whose answer was lost counts once. While the broker is away,
//! reports of one token are merged and a bounded number is kept; what has to go is counted.

mod ask;
mod baseline;
mod outbox;
mod portrait;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use lanyard_token::{NodeId, Rev};
use serde::Deserialize;

use self::baseline::Baselines;
pub(super) use self::outbox::hex;
use self::outbox::{Name, Names, Outbox, Parcel};
use super::Gateway;
use super::grant::Grant;
use crate::client::{ClientTokens, random_u64, read_limited};

/// How often tokens that the broker has not heard of are looked for. A forged one is to be known within
/// two seconds of its first use: one of waiting, the other for the way and the answer.
const FIRST_SEEN_INTERVAL: Duration = Duration::from_secs(1);
/// Every so many of those intervals everything is reported: once a minute.
const REGULAR_EVERY: u64 = 60;
/// The media type of a parcel of reports.
const MEDIA_TYPE: &str = "application/vnd.lanyard.reports";
/// The longest receipt that is read, in bytes: the broker asks for sixteen tokens at most.
const MAX_RECEIPT_BYTES: usize = 16 * 1024;
/// How long an early report waits for others that want to go along. Below the 10 ms in which a
/// broken bound should be known. While one is not answered the next ones gather too, so a storm is
/// one report per round trip.
const GATHER: Duration = Duration::from_millis(2);
/// How long the last reports may take when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// What became of reports, for metrics.
#[derive(Debug, Default)]
pub struct ReportCounters {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    bytes: AtomicU64,
}

impl ReportCounters {
    /// Reports the broker took.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Attempts that did not reach it; each is made again.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Bytes of the reports the broker took, names and all.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Token reports that were lost: no room while cut off, or refused by the broker.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

pub(super) struct Reporter {
    gateway: Gateway,
    tokens: ClientTokens,
    /// What should not wait, and does not: not even for the answer to what could.
    early: Lane,
    regular: Lane,
    baselines: Baselines,
    counters: Arc<ReportCounters>,
}

/// One sequence of reports: the next one leaves when the last one was answered.
struct Lane {
    epoch: u64,
    seq: u64,
    outbox: Outbox,
}

impl Reporter {
    pub(super) fn new(gateway: Gateway, tokens: ClientTokens) -> Self {
        gateway.0.link.reporter_begins();
        let routes = gateway.0.routes.named_operations();
        let names: Arc<Names> = Arc::new(
            routes
                .map(|(operation, name, scopes)| (operation, Name::of(name, scopes)))
                .collect(),
        );
        Self {
            early: Lane::new(&names),
            regular: Lane::new(&names),
            gateway,
            tokens,
            baselines: Baselines::default(),
            counters: Arc::default(),
        }
    }

    pub(super) fn counters(&self) -> Arc<ReportCounters> {
        Arc::clone(&self.counters)
    }

    pub(super) async fn run(mut self, stopped: impl Future<Output = ()> + Send) {
        let Self {
            gateway,
            tokens,
            early,
            regular,
            baselines,
            counters,
        } = &mut self;
        // Sending gives way to stopping: what is being sent is numbered and kept.
        tokio::select! {
            () = early.send_early(gateway, baselines, tokens, counters) => {}
            () = regular.send_regularly(gateway, baselines, tokens, counters) => {}
            () = baselines.keep(&gateway.0, tokens) => {}
            () = stopped => {}
        }
        self.collect(true);
        if tokio::time::timeout(FAREWELL, self.deliver())
            .await
            .is_err()
        {
            tracing::warn!(
                reports = self.early.outbox.len() + self.regular.outbox.len(),
                "stopped before the last reports were taken"
            );
        }
    }

    fn collect(&mut self, all: bool) {
        self.regular.collect(all, &self.gateway, &self.baselines);
    }

    async fn deliver(&mut self) {
        let (gateway, tokens, counters) = (&self.gateway, &self.tokens, &self.counters);
        self.early.deliver(gateway, tokens, counters).await;
        self.regular.deliver(gateway, tokens, counters).await;
    }
}

impl Lane {
    fn new(names: &Arc<Names>) -> Self {
        Self {
            // Below 2^53: an exact integer in every JSON implementation.
            epoch: random_u64() >> 11,
            seq: 0,
            outbox: Outbox::new(Arc::clone(names)),
        }
    }

    /// Reports at once whatever asks for it, for ever.
    async fn send_early(
        &mut self,
        gateway: &Gateway,
        baselines: &Baselines,
        tokens: &ClientTokens,
        counters: &ReportCounters,
    ) {
        let link = &gateway.0.link;
        let mut again = tokio::time::interval(FIRST_SEEN_INTERVAL);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = link.urgent() => {
                    tokio::time::sleep(GATHER).await;
                    self.gather(&link.take_urgent(), gateway, baselines);
                }
                // What the broker did not take.
                _ = again.tick() => {}
            }
            self.deliver(gateway, tokens, counters).await;
        }
    }

    /// Reports what can wait, for ever.
    async fn send_regularly(
        &mut self,
        gateway: &Gateway,
        baselines: &Baselines,
        tokens: &ClientTokens,
        counters: &ReportCounters,
    ) {
        let mut interval = tokio::time::interval(FIRST_SEEN_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks: u64 = 0;
        loop {
            interval.tick().await;
            ticks = ticks.wrapping_add(1);
            self.collect(ticks.is_multiple_of(REGULAR_EVERY), gateway, baselines);
            self.deliver(gateway, tokens, counters).await;
        }
    }

    fn gather(&mut self, grants: &[Arc<Grant>], gateway: &Gateway, baselines: &Baselines) {
        for (grant, report) in gateway.0.observer.reports(grants) {
            let identity = grant.identity();
            baselines.want(identity);
            if report.alarm().is_some() {
                baselines.want_again(identity);
            }
            self.outbox.add(&grant, report);
        }
    }

    /// Everything when `all`, else what the broker has not heard of.
    fn collect(&mut self, all: bool, gateway: &Gateway, baselines: &Baselines) {
        let inner = &gateway.0;
        let fresh = inner.grants.take_fresh();
        let grants: Vec<_> = if all {
            inner.grants.all()
        } else {
            let unheard = fresh.into_iter();
            unheard.filter(|grant| grant.is_first_seen()).collect()
        };
        let time = inner.link.view.now(inner.link.clock.now());
        inner.grants.sweep(time, &inner.seen);
        inner.observe_notes();
        let orphans = inner.grants.take_orphans();
        self.outbox.lose(orphans.lost);
        for (grant, report) in orphans.reports {
            self.outbox.add(&grant, report);
        }
        if !inner.is_cut_off(inner.link.clock.now()) {
            for (suspension, report) in inner.cut_off.untold() {
                baselines.want(suspension.identity);
                self.outbox.suspect(&suspension, report);
            }
        }
        self.outbox.add_shadow_routes(inner.shadow.take());
        self.gather(&grants, gateway, baselines);
    }

    /// Sends what there is, until all is taken or the broker cannot be reached.
    async fn deliver(
        &mut self,
        gateway: &Gateway,
        tokens: &ClientTokens,
        counters: &ReportCounters,
    ) {
        loop {
            if self.outbox.sealed().is_none() {
                self.seq += 1;
                if !self.outbox.seal(self.epoch, self.seq) {
                    self.seq -= 1;
                    break;
                }
            }
            let Some(parcel) = self.outbox.sealed() else {
                break;
            };
            match send(tokens, parcel).await {
                Delivery::Taken(receipt) => {
                    counters.sent.fetch_add(parcel.entries, Ordering::Relaxed);
                    gateway.0.cut_off.told(&parcel.suspected, receipt.rev);
                    let bytes = parcel.body.len() as u64;
                    counters.bytes.fetch_add(bytes, Ordering::Relaxed);
                    self.outbox.taken();
                    for wanted in receipt.wanted {
                        let seen = &gateway.0.seen;
                        if let Some(text) = seen.text_of(wanted.token, &wanted.digest) {
                            self.outbox.show(text);
                        }
                    }
                }
                // A broker that has just started, or another one of many.
                Delivery::NamesMissing => {
                    if !self.outbox.name_all() {
                        counters.failed.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
                Delivery::Refused(status) => {
                    tracing::error!(
                        status = status.as_u16(),
                        entries = parcel.entries,
                        "the broker refused reports"
                    );
                    self.outbox.lose(parcel.entries);
                    self.outbox.done();
                }
                Delivery::Later => {
                    counters.failed.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
        let lost = self.outbox.take_lost();
        counters.dropped.fetch_add(lost, Ordering::Relaxed);
    }
}

/// What the broker says of a report. Other members are its business.
#[derive(Default, Deserialize)]
struct Receipt {
    #[serde(default)]
    wanted: Vec<Wanted>,
    /// Where in the log everything is that the report led to.
    #[serde(default)]
    rev: Option<Rev>,
}

/// A token that the broker wants to see: its log does not know it.
#[derive(Deserialize)]
struct Wanted {
    token: NodeId,
    digest: String,
}

enum Delivery {
    Taken(Receipt),
    /// Sending it again would not help.
    Refused(StatusCode),
    /// It was not counted: the broker has not been told what is spoken of.
    NamesMissing,
    Later,
}

async fn send(tokens: &ClientTokens, parcel: &Parcel) -> Delivery {
    let Ok(url) = tokens.url("v1/reports") else {
        return Delivery::Later;
    };
    let mut request = reqwest::Request::new(Method::POST, url);
    request
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(MEDIA_TYPE));
    *request.body_mut() = Some(parcel.body.clone().into());
    *request.timeout_mut() = Some(Duration::from_secs(5));
    match tokens.send(request).await {
        // It was taken, whatever can be read of the answer.
        Ok(response) if response.status().is_success() => {
            let body = read_limited(response, MAX_RECEIPT_BYTES).await;
            let receipt = body.map(|body| serde_json::from_slice(&body).unwrap_or_default());
            Delivery::Taken(receipt.unwrap_or_default())
        }
        Ok(response) => match response.status() {
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT => Delivery::Later,
            StatusCode::CONFLICT => Delivery::NamesMissing,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                tracing::error!(
                    "the broker is of an earlier release and does not read these reports"
                );
                Delivery::Later
            }
            status if status.is_client_error() => Delivery::Refused(status),
            _ => Delivery::Later,
        },
        Err(error) => {
            tracing::debug!(error = %error, "reports wait for the broker");
            Delivery::Later
        }
    }
}

/// A token as reports name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reported {
    token: NodeId,
    identity: NodeId,
    digest: [u8; 8],
}
