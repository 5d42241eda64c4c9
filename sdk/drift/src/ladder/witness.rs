//! Whose word a response rests on, and what that word is good for.
//!
//! A gateway that was taken over reports what it likes about the credentials that it serves, also walks
//! through objects that nobody made. So a verdict names the gateways that *carry* it: leave one of them
//! out, and it is grave no more. What all grave verdicts on a credential's tokens are carried by, is the
//! word of that gateway alone, and on such a word a token may be recycled or narrowed and a credential
//! paused once an hour, never ended.
//!
//! **Catches** one liar, whatever rule it says was broken and however many honest gateways saw the same
//! token do ordinary things. **Misses** two that lie together, and a liar beside an honest gateway that
//! sees a thief at the same credential within the hour: its lie then only hastens what was coming.
//! **Warms up** with the second gateway that sees it too; **recovers** with the memory of an hour. Why not
//! a vote of the majority: of two gateways there is none, and a thief may come by one of ten.

use super::subject::SubjectId;
use super::{History, Policy};
use crate::event::Millis;

/// The gateways that carry every one of these verdicts; none: they hold without any one gateway.
pub(super) fn behind_all(verdicts: &[Vec<SubjectId>]) -> Vec<SubjectId> {
    let Some((first, others)) = verdicts.split_first() else {
        return Vec::new();
    };
    let everywhere = |gateway: &&SubjectId| others.iter().all(|carried| carried.contains(gateway));
    let mut behind: Vec<SubjectId> = first.iter().filter(everywhere).copied().collect();
    behind.sort_unstable();
    behind.dedup();
    behind
}

/// Whether a node was paused within the hour: on one gateway's word that is all there is, or a liar who
/// goes on lying would keep it paused for ever.
pub(super) fn was_paused(node: SubjectId, history: &History, policy: &Policy, now: Millis) -> bool {
    history.suspended.iter().any(|(paused, until)| {
        let began = until.0.saturating_sub(policy.longest_suspension);
        *paused == node && now.since(Millis(began)) <= policy.recycling_memory
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_gateway_carries_everywhere_is_its_word_alone() {
        let table: [(&[&[u64]], &[u64]); 9] = [
            (&[], &[]),
            (&[&[1]], &[1]),
            (&[&[1], &[1]], &[1]),
            (&[&[1], &[2]], &[]),
            (&[&[]], &[]),
            (&[&[1], &[]], &[]),
            (&[&[2, 1]], &[1, 2]),
            (&[&[1, 2], &[2, 3]], &[2]),
            (&[&[1, 2], &[2, 1], &[3]], &[]),
        ];
        for (carried, expected) in table {
            let verdicts = carried.iter().map(|gateways| subjects(gateways));
            let behind = behind_all(&verdicts.collect::<Vec<_>>());
            assert_eq!(behind, subjects(expected), "{carried:?}");
        }
    }

    #[test]
    fn a_pause_on_one_word_is_not_repeated_within_the_hour() {
        let policy = Policy::default();
        let mut history = History::default();
        let began = Millis(10_000_000);
        history.add_suspended(SubjectId(3), began.plus(policy.longest_suspension));
        let hour = policy.recycling_memory;
        for (node, at, expected) in [(3, hour, true), (3, hour + 1, false), (4, 0, false)] {
            let paused = was_paused(SubjectId(node), &history, &policy, began.plus(at));
            assert_eq!(paused, expected, "{node} {at}");
        }
    }

    fn subjects(numbers: &[u64]) -> Vec<SubjectId> {
        numbers.iter().copied().map(SubjectId).collect()
    }
}
