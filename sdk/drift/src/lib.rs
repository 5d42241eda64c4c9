//! Does this credential still behave like itself?
//!
//! A stolen credential and a talked-into agent make valid calls. What gives them away is that
//! they leave the habits of the identity behind the token. This crate holds those habits and
//! compares: it has no clock, does no I/O, knows no tokens, and never sees a name, only ids and
//! hashes its callers choose. `now` is always an argument.
//!
//! # The way of an observation
//!
//! ```text
//! Event ─► Accumulator::admit ─► Admission (on the path: pass, or refuse at once)
//! Event ─► Tracker::observe ─► Signal (off the path: quiet, report now, or a hard rule is broken)
//! Outcome ─► Tracker::settle
//!            Tracker::report ─► TokenReport ─ merge ─► judge(report, baseline, peers) ─► Verdict
//!                                                                      ▲                    │
//!                                                      Baseline ◄──────┴── absorb ◄─────────┘
//! ```
//!
//! An [`Accumulator`] belongs to each live token at one gateway: a few words. A [`Tracker`] belongs to
//! each of them that is active: a few KiB, no allocation while it watches. What it saw leaves as a [`TokenReport`], whose counts add up and whose sketches merge
//! by maximum, so reports of many gateways can be put together in any order. [`judge()`] compares
//! a report with the [`Baseline`] of the identity and of its role, and answers with a [`Verdict`]
//! that carries its numbers. Habits outlive tokens: a token lives five minutes, a baseline years.
//!
//! # From verdicts to responses
//!
//! Reports of many gateways meet on a [`desk`]: a window per token, one per identity, and the habits
//! they are put beside. The [`ladder`] is the table that says what is done about a verdict, and how
//! much may be done per minute; the [`Budget`] says which windows a person is told of; a [`rehearsal`]
//! tells what other rules would have done. A broker, a simulation and a rehearsal run this one piece of code.
//!
//! # What is never done here
//!
//! * An absent channel is not a zero: a gateway that never sees responses has no byte counts, and
//!   nothing is concluded from that.
//! * A short history never weighs like a long one: below
//!   [`Thresholds::minimum_history`] own calls statistics alone reach [`Level::Anomalous`] at most.
//! * Two scores over the same input never count as two witnesses: see [`Family`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod accumulator;
mod baseline;
mod bigrams;
mod block;
mod bounds;
mod budget;
mod compact;
mod cusum;
pub mod desk;
mod enumeration;
mod event;
mod evidence;
mod habits;
mod judge;
mod known;
pub mod ladder;
mod model;
pub mod parcel;
mod rate;
pub mod rehearsal;
mod rendezvous;
mod report;
mod rhythm;
mod role;
mod signal;
mod sketch;
mod slow;
mod table;
mod takeover;
mod thresholds;
mod tracker;
mod verdict;
mod version;
mod wire;

pub use accumulator::{Accumulator, Admission, Missed};
pub use baseline::{Absorption, Baseline, Refusal};
pub use block::Block;
pub use bounds::Bounds;
pub use budget::Budget;
pub use compact::Compact;
pub use cusum::{Cusum, Pulse};
pub use event::{Event, Millis, Object, OperationId, Outcome, TaskFit, stable_hash};
pub use evidence::{Channel, Evidence, Family, Level, Measure, Strength};
pub use judge::judge;
pub use model::Contribution;
pub use rendezvous::rendezvous;
pub use report::TokenReport;
pub use rhythm::ResponseMix;
pub use role::{Others, Role};
pub use signal::{HardRule, Reason, Signal};
pub use takeover::Takeover;
pub use thresholds::{Bar, Thresholds};
pub use tracker::Tracker;
pub use verdict::Verdict;
pub use wire::Unreadable;
