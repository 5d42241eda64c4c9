//! A small world: a service with habits, at a gateway, with a judge behind it. Its randomness is
//! a fixed sequence, so every run of a test sees the same calls.

use lanyard_drift::{
    Absorption, Baseline, Event, Millis, Object, OperationId, Outcome, Signal, Thresholds,
    TokenReport, Tracker, Verdict, judge, stable_hash,
};

/// A repeatable source of numbers.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 += 1;
        stable_hash(&self.0.to_le_bytes()) % limit
    }
}

pub(crate) fn op(name: &str) -> OperationId {
    OperationId::of(name)
}

/// `GET /orders/{id}` for one order, from the owner's network and client.
pub(crate) fn order(id: u64) -> Event {
    Event {
        object: Some(Object::of(&id.to_string())),
        ..owner(Event::of(op("GET /orders/{id}")))
    }
}

pub(crate) fn owner(event: Event) -> Event {
    Event {
        source: Some(stable_hash(b"10.1.2.0/24")),
        client: Some(stable_hash(b"orders-service/2.1")),
        ..event
    }
}

/// The same call from a network and a client that the owner never used.
pub(crate) fn stolen(event: Event) -> Event {
    Event {
        source: Some(stable_hash(b"203.0.113.0/24")),
        client: Some(stable_hash(b"curl/8.5")),
        ..event
    }
}

/// A call as the owner makes them: mostly reading scattered orders, two calls in a second.
pub(crate) fn usual(dice: &mut Dice) -> Event {
    match dice.below(20) {
        0..12 => order(1 + dice.below(5_000)),
        12..17 => owner(Event {
            object: Some(Object::of(&(1 + dice.below(800)).to_string())),
            ..Event::of(op("GET /customers/{id}"))
        }),
        17..19 => owner(Event::of(op("POST /orders"))),
        _ => owner(Event::of(op("GET /health"))),
    }
}

/// An identity with one live token at one gateway, and the judge behind it.
pub(crate) struct Identity {
    pub(crate) baseline: Baseline,
    pub(crate) thresholds: Thresholds,
    pub(crate) tracker: Tracker,
    pub(crate) now: Millis,
    pub(crate) dice: Dice,
    pub(crate) refused: Vec<Absorption>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let thresholds = Thresholds::default();
        let baseline = Baseline::empty();
        let now = Millis(1_700_000_000_000);
        Self {
            tracker: Tracker::new(now, baseline.bounds(&thresholds)),
            baseline,
            thresholds,
            now,
            dice: Dice::new(1),
            refused: Vec::new(),
        }
    }

    /// An identity that has made this many calls as usual.
    pub(crate) fn with_history(calls: u64) -> Self {
        let mut identity = Self::new();
        for _ in 0..calls / 100 {
            identity.usual_window();
        }
        identity.recycle();
        identity
    }

    /// A new token, whose tracker knows the baseline.
    pub(crate) fn recycle(&mut self) {
        self.tracker = Tracker::new(self.now, self.baseline.bounds(&self.thresholds));
    }

    /// One call with an ordinary answer, after a pause.
    pub(crate) fn call(&mut self, event: &Event, pause: u64) -> Signal {
        self.now = Millis(self.now.0 + pause);
        let signal = self.tracker.observe(event, self.now);
        if !matches!(signal, Signal::HardRule(_)) {
            let bytes = 1_000 + self.dice.below(2_000);
            self.tracker.settle(
                &Outcome {
                    status: Some(200),
                    request_bytes: Some(200),
                    response_bytes: Some(bytes),
                },
                self.now,
            );
        }
        signal
    }

    pub(crate) fn usual_call(&mut self) -> Signal {
        let event = usual(&mut self.dice);
        let pause = 300 + self.dice.below(400);
        self.call(&event, pause)
    }

    /// What the tracker has, judged.
    pub(crate) fn judged(&mut self) -> (TokenReport, Verdict) {
        let report = self.tracker.report().unwrap_or_default();
        let verdict = judge(&report, &self.baseline, None, &self.thresholds, self.now);
        (report, verdict)
    }

    /// A hundred usual calls: reported, judged, offered for learning.
    pub(crate) fn usual_window(&mut self) -> Verdict {
        for _ in 0..100 {
            self.usual_call();
        }
        self.judge_and_learn()
    }

    pub(crate) fn judge_and_learn(&mut self) -> Verdict {
        let (report, verdict) = self.judged();
        let absorption = self.baseline.absorb(&report, &verdict, &self.thresholds);
        if absorption != Absorption::Learned {
            self.refused.push(absorption);
        }
        verdict
    }
}
