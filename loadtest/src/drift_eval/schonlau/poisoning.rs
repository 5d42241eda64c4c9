//! Poisoning: somebody takes an identity over so slowly that its baseline might follow.
//!
//! Over 10, 30 or 60 windows the share of another person's calls grows in equal steps from none to all; then come 20
//! windows of that person alone, and what counts is how many of those are flagged, by belief or estrangement, at
//! thresholds that together flag 2.5 % of the owners' windows in the ordinary run; beside it stands what the same
//! thresholds hit there. The other person's calls stand in one block within each
//! window: shuffled in one by one they would give themselves away by transitions that nobody makes.
//!
//! The owner's part is what it went on to do after its known history, in order, without the windows that somebody
//! else typed (labels build the experiment here; the engine is not told). The other person comes from the
//! population and is left out of the peers, since a real one would be a stranger to them.

use std::collections::BTreeMap;

use lanyard_drift::OperationId;

use super::armed::Armed;
use super::{Members, number};
use crate::drift_eval::dice::Dice;
use crate::drift_eval::metrics::windows::share;
use crate::drift_eval::people::{KNOWN, People, WINDOW};
use crate::drift_eval::subject::{self, Subject};
use crate::drift_eval::tally::Tally;

/// Windows over which the share grows.
pub(in crate::drift_eval) const RAMPS: [&str; 3] = ["10", "30", "60"];
/// Windows of the other person alone.
const TAKEN_OVER: usize = 20;
/// Different donors for each identity: 25 identities give 1,500 take-over windows.
const DONORS: usize = 3;
/// Fixed, so that two runs tell the same.
const SEED: u64 = 2001;

/// Shares of take-over windows flagged, by the length of the ramp.
pub(super) fn take_overs(
    members: &Members<'_>,
    data: &People,
    armed: Armed,
    tally: &Tally,
) -> BTreeMap<&'static str, f64> {
    let mut flagged: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for person in &data.people {
        tally.step();
        let owner: Vec<OperationId> = person
            .windows()
            .enumerate()
            .filter(|(window, _)| !data.labels.is_masquerade(&person.identity, *window))
            .flat_map(|(_, calls)| calls)
            .copied()
            .collect();
        let mut dice = Dice::named(SEED, &person.identity);
        for _ in 0..DONORS {
            let Some(donor) = members.member(dice.below(members.count())) else {
                continue;
            };
            let peers = members.without(&[&person.identity, &donor.identity]);
            for ramp in RAMPS {
                let windows = number(ramp) as usize;
                let calls = ramped(&owner, donor.known(), windows, &mut dice);
                let stream = person.continued_by(calls);
                let scored = subject::score(&stream, Subject::knowing(person.known()), &peers);
                let both = scored.windows.iter().zip(&scored.estranged);
                let (hits, all) = flagged.entry(ramp).or_default();
                for (belief, estrangement) in both.skip(windows) {
                    *hits += usize::from(armed.flags((*belief, *estrangement)));
                    *all += 1;
                }
            }
        }
    }
    let shares = flagged.into_iter();
    shares
        .map(|(ramp, (hits, all))| (ramp, share(hits, all)))
        .collect()
}

/// The calls of a ramp and the take-over after it. Whoever runs out of calls begins again.
fn ramped(
    owner: &[OperationId],
    donor: &[OperationId],
    windows: usize,
    dice: &mut Dice,
) -> Vec<OperationId> {
    let mut own = owner.iter().copied().cycle();
    // Anywhere in the donor's history.
    let mut strange = donor.iter().copied().cycle().skip(dice.below(KNOWN));
    let mut calls = Vec::with_capacity((windows + TAKEN_OVER) * WINDOW);
    for window in 1..=windows + TAKEN_OVER {
        let block = (WINDOW * window / windows.max(1)).min(WINDOW);
        let before = dice.below(WINDOW - block + 1);
        calls.extend(own.by_ref().take(before));
        calls.extend(strange.by_ref().take(block));
        calls.extend(own.by_ref().take(WINDOW - block - before));
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(name: &str) -> Vec<OperationId> {
        vec![OperationId::of(name); 50]
    }

    fn strange_per_window(calls: &[OperationId]) -> Vec<usize> {
        let strange = OperationId::of("donor");
        calls
            .chunks(WINDOW)
            .map(|window| window.iter().filter(|call| **call == strange).count())
            .collect()
    }

    #[test]
    fn the_share_grows_in_equal_steps_to_all_and_stays_there() {
        let calls = ramped(&ids("own"), &ids("donor"), 10, &mut Dice::named(1, "x"));
        let mut expected: Vec<usize> = (1..=10).map(|step| step * 10).collect();
        expected.extend([WINDOW; TAKEN_OVER]);
        assert_eq!(strange_per_window(&calls), expected);
    }

    #[test]
    fn the_strange_calls_of_a_window_stand_together() {
        let calls = ramped(&ids("own"), &ids("donor"), 60, &mut Dice::named(1, "x"));
        for window in calls.chunks(WINDOW) {
            let changes = window.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes <= 2, "{changes}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_ramp_and_another_one_another() {
        let ramp = |name: &str| ramped(&ids("own"), &ids("donor"), 30, &mut Dice::named(1, name));
        assert_eq!(ramp("x"), ramp("x"));
        assert_ne!(ramp("x"), ramp("y"));
    }
}
