//! A pager's budget on streams of scores that drift, jump, burst and are not numbers.

use lanyard_drift::Budget;
use proptest::prelude::*;

/// As many windows as the recorded people have, roughly.
const WINDOWS: usize = 4_000;
const SHARES: [f64; 3] = [0.01, 0.025, 0.05];

/// A stream of scores whose level wanders, whose scale grows, with jumps and bursts.
#[derive(Clone, Debug)]
struct Stream {
    seed: u64,
    scale: f64,
    growth: f64,
    wander: f64,
    memory: f64,
    tail: f64,
    jumps: Vec<(usize, f64)>,
    bursts: Vec<(usize, usize)>,
}

fn streams() -> impl Strategy<Value = Stream> {
    (
        any::<u64>(),
        -9.0..9.0f64,
        -1.0..1.0f64,
        0.0..0.05f64,
        0.0..0.9f64,
        1.0..3.0f64,
        prop::collection::vec((0..WINDOWS, -3.0..3.0f64), 0..4),
        prop::collection::vec((0..WINDOWS, 1usize..60), 0..5),
    )
        .prop_map(
            |(seed, scale, growth, wander, memory, tail, jumps, bursts)| Stream {
                seed,
                scale: 10f64.powf(scale),
                growth: 10f64.powf(growth / WINDOWS as f64),
                wander,
                memory,
                tail,
                jumps,
                bursts,
            },
        )
}

impl Stream {
    fn scores(&self) -> Vec<f64> {
        let mut chance = Chance(self.seed);
        let (mut level, mut carried, mut scale) = (0.0, 0.0, self.scale);
        (0..WINDOWS)
            .map(|at| {
                level += self.wander * chance.normal();
                let jumps = self.jumps.iter().filter(|(when, _)| *when == at);
                level += jumps.map(|(_, height)| height).sum::<f64>();
                scale *= self.growth;
                carried = self.memory * carried + chance.normal();
                let shape = carried.signum() * carried.abs().powf(self.tail);
                let bursting =
                    |(start, length): &(usize, usize)| (*start..start + length).contains(&at);
                let burst = if self.bursts.iter().any(bursting) {
                    20.0
                } else {
                    0.0
                };
                scale * (level + shape + burst)
            })
            .collect()
    }
}

/// xorshift64* and the sum of twelve: enough chance for a stream of scores.
struct Chance(u64);

impl Chance {
    fn unit(&mut self) -> f64 {
        let mut x = self.0 | 1;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// The realised share, overall and per quarter, against the asked one: 1 is exact.
fn against_asked(share: f64, scores: &[f64]) -> (f64, Vec<f64>) {
    let mut budget = Budget::new(share);
    let pages: Vec<bool> = scores.iter().map(|score| budget.observe(*score)).collect();
    let quarters = pages.chunks(scores.len() / 4);
    let quarters = quarters.map(|quarter| {
        let paged = quarter.iter().filter(|page| **page).count();
        paged as f64 / quarter.len() as f64 / share
    });
    (budget.realised() / share, quarters.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn drifting_scores_page_as_often_as_asked_in_every_quarter(stream in streams()) {
        let scores = stream.scores();
        for share in SHARES {
            let (overall, quarters) = against_asked(share, &scores);
            prop_assert!((overall - 1.0).abs() <= 0.10, "{share}: {overall} overall");
            for quarter in quarters {
                prop_assert!((quarter - 1.0).abs() <= 0.40, "{share}: {quarter} in a quarter");
            }
        }
    }

    #[test]
    fn scores_that_fall_from_the_start_do_not_silence_the_pager_for_long(
        seed in any::<u64>(),
        height in 0.5..4.0f64,
    ) {
        let mut chance = Chance(seed);
        let falling = |n: usize| height * (-(n as f64) / 300.0).exp();
        let scores: Vec<f64> = (0..1_200).map(|n| falling(n) + chance.normal()).collect();
        for share in [0.025, 0.05] {
            let (overall, quarters) = against_asked(share, &scores);
            prop_assert!((overall - 1.0).abs() <= 0.10, "{share}: {overall} overall");
            for quarter in quarters {
                prop_assert!((quarter - 1.0).abs() <= 0.40, "{share}: {quarter} in a quarter");
            }
        }
    }

    #[test]
    fn the_scale_of_scores_does_not_matter(stream in streams(), power in -100i32..100) {
        let scores = stream.scores();
        let (mut one, mut other) = (Budget::new(0.025), Budget::new(0.025));
        for score in scores {
            // A power of two changes no digit.
            prop_assert_eq!(one.observe(score), other.observe(score * f64::from(power).exp2()));
        }
    }

    #[test]
    fn whatever_comes_the_budget_is_not_overdrawn(
        scores in prop::collection::vec(any::<f64>(), 0..2_000),
        share in any::<f64>(),
    ) {
        let mut budget = Budget::new(share);
        let owed = |budget: &Budget| budget.share() * budget.windows() as f64;
        for score in scores {
            budget.observe(score);
            // As many as a page in the smallest tail that still has a place, and no more.
            prop_assert!(budget.pages() as f64 <= owed(&budget) + 12.0);
        }
    }

    #[test]
    fn a_budget_read_back_goes_on_as_if_nothing_had_happened(stream in streams(), at in 0..WINDOWS) {
        let scores = stream.scores();
        let (before, after) = scores.split_at(at);
        let mut kept = Budget::new(0.05);
        before.iter().for_each(|score| {
            kept.observe(*score);
        });
        let text = serde_json::to_string(&kept).unwrap();
        let mut read: Budget = serde_json::from_str(&text).unwrap();
        for score in after {
            prop_assert_eq!(kept.observe(*score), read.observe(*score));
        }
    }
}

#[test]
fn what_is_not_a_number_neither_pages_nor_counts() {
    let mut budget = Budget::new(0.05);
    for score in 0..100 {
        budget.observe(f64::from(score % 7));
    }
    let before = budget.clone();
    assert!(!budget.observe(f64::NAN));
    assert_eq!(budget, before);
}

#[test]
fn infinite_scores_stand_out_and_the_state_stays_writable() {
    let mut budget = Budget::new(0.05);
    for score in 0..100 {
        budget.observe(f64::from(score % 7));
    }
    assert!(budget.observe(f64::INFINITY));
    assert!(!budget.observe(f64::NEG_INFINITY));
    let text = serde_json::to_string(&budget).unwrap();
    assert_eq!(serde_json::from_str::<Budget>(&text).unwrap(), budget);
}

#[test]
fn windows_that_all_look_alike_wake_nobody() {
    let mut budget = Budget::new(0.05);
    assert!((0..10_000).all(|_| !budget.observe(1.0)));
    // And the first that stands out does, even after all that was owed.
    assert!(budget.observe(2.0));
}

#[test]
fn after_a_quiet_month_not_everything_pages() {
    let mut budget = Budget::new(0.01);
    for _ in 0..100_000 {
        budget.observe(0.0);
    }
    let mut chance = Chance(7);
    let pages = (0..1_000)
        .filter(|_| budget.observe(chance.normal()))
        .count();
    // Ten were asked for and sixteen owed, eight times as fast at most.
    assert!((10..=40).contains(&pages), "{pages} pages");
}

#[test]
fn a_burst_pages_a_few_times_and_then_holds_its_peace() {
    let mut budget = Budget::new(0.01);
    let mut chance = Chance(3);
    for _ in 0..1_000 {
        budget.observe(chance.normal());
    }
    let burst = (0..60)
        .filter(|_| budget.observe(100.0 + chance.normal()))
        .count();
    assert!((1..=6).contains(&burst), "{burst} pages for one burst");
}

#[test]
fn another_share_holds_from_then_on() {
    let mut budget = Budget::new(0.01);
    let mut chance = Chance(5);
    for _ in 0..2_000 {
        budget.observe(chance.normal());
    }
    let before = budget.pages();
    budget.aim(0.05);
    for _ in 0..2_000 {
        budget.observe(chance.normal());
    }
    let share = (budget.pages() - before) as f64 / 2_000.0;
    assert!((0.045..=0.055).contains(&share), "{share}");
}

#[test]
fn a_saved_budget_out_of_bounds_is_brought_back_within_them() {
    let text = r#"{"share": 40.0, "owed": -1e300, "windows": 3, "pages": 9, "recent": [1.0], "next": 4000}"#;
    let mut budget: Budget = serde_json::from_str(text).unwrap();
    assert!(budget.realised() <= 1.0);
    for score in 0..5_000 {
        budget.observe(f64::from(score % 101));
    }
    assert!((0.0..=0.5).contains(&budget.share()));
    assert!(
        budget.pages() > 9,
        "what was owed is bounded, so it pages again"
    );
}
