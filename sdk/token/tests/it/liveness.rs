//! The liveness rule as properties: no order of arrival and no repetition changes it.

use lanyard_token::{Dead, Liveness, NodeId, Rev};
use proptest::prelude::*;

/// Something learned from the feed.
#[derive(Clone, Debug)]
enum News {
    Watermark(u64, u64),
    Suspend(u64, u64, u64),
    Resume(u64, u64),
    Narrow(u64, u64),
    Floor(u64),
}

impl News {
    fn tell(&self, liveness: &mut Liveness) {
        match *self {
            Self::Watermark(node, at) => liveness.apply_watermark(self::node(node), rev(at)),
            Self::Suspend(node, at, until_ms) => {
                liveness.suspend_until(self::node(node), rev(at), until_ms);
            }
            Self::Resume(node, at) => liveness.resume(self::node(node), rev(at)),
            Self::Narrow(node, at) => liveness.narrow(self::node(node), rev(at)),
            Self::Floor(at) => liveness.raise_floor(rev(at)),
        }
    }
}

fn node(number: u64) -> NodeId {
    NodeId::from_u64(number)
}

fn rev(number: u64) -> Rev {
    Rev::new(0, number).unwrap()
}

/// Few nodes and revisions, so that news collide.
fn news() -> impl Strategy<Value = News> {
    let (node, at) = (0..6u64, 0..40u64);
    prop_oneof![
        4 => (node.clone(), at.clone()).prop_map(|(node, at)| News::Watermark(node, at)),
        2 => (node.clone(), at.clone(), 1..9u64)
            .prop_map(|(node, at, until)| News::Suspend(node, at, until)),
        2 => (node.clone(), at.clone()).prop_map(|(node, at)| News::Resume(node, at)),
        1 => (node, at.clone()).prop_map(|(node, at)| News::Narrow(node, at)),
        1 => at.prop_map(News::Floor),
    ]
}

fn all_news() -> impl Strategy<Value = Vec<News>> {
    proptest::collection::vec(news(), 0..40)
}

fn told(news: &[News]) -> Liveness {
    let mut liveness = Liveness::default();
    for item in news {
        item.tell(&mut liveness);
    }
    liveness
}

fn merged(one: &Liveness, other: &Liveness) -> Liveness {
    let mut both = one.clone();
    both.merge(other);
    both
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        a in all_news(), b in all_news(), c in all_news(),
    ) {
        let (a, b, c) = (told(&a), told(&b), told(&c));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
    }

    #[test]
    fn the_order_of_arrival_and_repetition_do_not_matter(
        (news, shuffled) in all_news().prop_flat_map(|news| (Just(news.clone()), Just(news).prop_shuffle())),
    ) {
        let twice = [news.clone(), shuffled.clone()].concat();
        prop_assert_eq!(told(&news), told(&shuffled));
        prop_assert_eq!(told(&news), told(&twice));
    }

    #[test]
    fn a_revocation_holds_whatever_is_learned_later(
        before in all_news(),
        revoked in 0..6u64,
        (at, minted) in (1..40u64).prop_flat_map(|at| (Just(at), 0..at)),
        after in all_news(),
    ) {
        let mut liveness = told(&before);
        liveness.apply_watermark(node(revoked), rev(at));
        for item in &after {
            item.tell(&mut liveness);
        }
        // Either the watermark still stands or the floor has risen above the token.
        prop_assert!(liveness.check(rev(minted), [node(9), node(revoked)].into_iter()).is_err());
        let forgotten = liveness.watermark(node(revoked)).is_none_or(|mark| mark < rev(at));
        prop_assert!(!forgotten || liveness.floor() >= rev(at));
    }

    #[test]
    fn a_token_minted_at_or_after_every_watermark_and_floor_lives(
        news in all_news(), minted in 40..50u64,
    ) {
        let liveness = told(&news);
        let nodes = || (0..6).map(node);
        match liveness.check(rev(minted), nodes()) {
            Ok(()) => prop_assert!(!nodes().any(|node| liveness.is_suspended(node))),
            Err(dead) => {
                prop_assert_eq!(dead, Dead::Suspended);
                prop_assert!(nodes().any(|node| liveness.is_suspended(node)));
            }
        }
    }

    #[test]
    fn forgetting_below_the_floor_changes_no_answer(news in all_news(), minted in 0..50u64) {
        // The same news with the floor last: everything was remembered until then.
        let (floors, rest): (Vec<News>, Vec<News>) =
            news.iter().cloned().partition(|item| matches!(item, News::Floor(_)));
        let remembered = told(&rest);
        let forgetful = told(&[floors, rest].concat());
        for number in 0..6 {
            let nodes = || [node(number)].into_iter();
            if rev(minted) >= forgetful.floor() {
                let revoked = |liveness: &Liveness| liveness.watermark(node(number)).is_some_and(|mark| mark > rev(minted));
                prop_assert_eq!(revoked(&remembered), revoked(&forgetful));
                prop_assert_eq!(remembered.is_narrowed(rev(minted), nodes()), forgetful.is_narrowed(rev(minted), nodes()));
            }
        }
    }
}
