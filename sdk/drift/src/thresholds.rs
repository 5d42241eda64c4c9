//! Every number the engine decides by, with its reason.

use serde::{Deserialize, Serialize};

/// Weights (in nats, natural logarithm of a likelihood ratio) from which evidence counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// From here the window is anomalous. Costs the owner a recycled token: milliseconds.
    pub notable: f64,
    /// From here it counts as one of the two witnesses that make a window malicious.
    pub strong: f64,
}

/// The engine's thresholds. [`Default`] gives the product's.
///
/// None of them was chosen because a labelled test said so: they are odds. 2 nats are odds of
/// 7 to 1, met by chance in about 5 % of windows, which is where recycling may begin because it
/// costs nothing; 6 nats are odds of 400 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Own calls below which statistics never say malicious. Measured: with 1,000 calls half of
    /// the masquerades are recognised, with 200 a quarter.
    pub minimum_history: u64,
    /// Whole minutes below which rates are not compared: a mean of fewer is a guess.
    pub minimum_minutes: u32,
    /// Log-odds that the identity is in other hands, by what it calls and in which order.
    pub order: Bar,
    /// Slow average of the evidence against the anchor, in nats per hundred calls. Half a percent of
    /// honest windows are above the lower bar: measured on recorded behaviour (docs/drift.md).
    pub estrangement: Bar,
    /// Sum of the fast detector, in nats: one false alarm in ten thousand calls of the development people
    /// of the recordings, each beside all others (docs/drift.md). Gateways alarm from the lower bar on.
    pub sudden: Bar,
    /// Operations never used before.
    pub operations: Bar,
    /// Runs of object numbers, distinct objects.
    pub enumeration: Bar,
    /// Bytes per minute.
    pub volume: Bar,
    /// Calls per minute, and the pauses between them.
    pub cadence: Bar,
    /// Source networks and clients.
    pub origin: Bar,
    /// Destinations never seen before.
    pub destination: Bar,
    /// Denied and missing answers.
    pub refusals: Bar,
    /// Own calls from which the enumeration bounds follow the own habits. Lower than
    /// `minimum_history`: longest runs and busiest minutes show early.
    pub established_calls: u64,
    /// The least bound for a run of neighbouring numbers, with a history. Chance does not reach it
    /// (see the enumeration module), a page of a list view does not either.
    pub run_floor: u32,
    /// How many times its own longest run an identity may go.
    pub run_factor: u32,
    /// The bound for a run without history. A job that reads a list from the start must be able to
    /// become known; a thief of a token that new gets this many objects.
    pub cold_run: u32,
    /// Whole minutes behind an operation's objects before its bound for distinct objects follows
    /// the habits. Busy minutes come seldom, a batch once an hour: what was seen in fewer minutes
    /// is not yet the busiest.
    pub settled_minutes: u32,
    /// The least bound for distinct objects of one operation in one minute, once settled: ten
    /// times a page of twenty.
    pub distinct_floor: u32,
    /// How many times its own busiest minute an identity may go.
    pub distinct_factor: u32,
    /// The same bound until then: some services read thousands from the first minute.
    pub cold_distinct: u32,
    /// Windows with a mild anomaly in one family, without a stronger one between them, after which
    /// it counts as a changed habit. One hour of
    /// regular reports; the frozen anchor still remembers how it was.
    pub persistence: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        let odds = Bar {
            notable: 2.0,
            strong: 6.0,
        };
        Self {
            minimum_history: 1_000,
            minimum_minutes: 10,
            order: odds,
            estrangement: Bar {
                notable: 150.0,
                strong: 170.0,
            },
            sudden: Bar {
                notable: 100.0,
                strong: 200.0,
            },
            operations: odds,
            enumeration: odds,
            volume: odds,
            // Rates follow the load of others: the pace alone must be further out.
            cadence: Bar {
                notable: 3.0,
                strong: 8.0,
            },
            origin: odds,
            destination: odds,
            refusals: Bar {
                notable: 3.0,
                strong: 12.0,
            },
            established_calls: 500,
            run_floor: 30,
            run_factor: 4,
            cold_run: 500,
            settled_minutes: 60,
            distinct_floor: 200,
            distinct_factor: 8,
            cold_distinct: 2_000,
            persistence: 60,
        }
    }
}
