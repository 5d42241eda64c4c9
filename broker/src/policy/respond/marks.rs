//! What stands above a policy of responses: which step, for whom, how often, and who may undo it.
//!
//! | | |
//! | --- | --- |
//! | `@response("suspend")` | a permit asks for this step; a forbid leaves the next milder one at most |
//! | `@canary("10%")` | it counts for this share of identities, always the same ones |
//! | `@cap("5/min")`, `@cap("2/hour/owner")` | past that its step is the next milder one |
//! | `@override("security owner")` | who may clear a verdict that it answered |

use cedar_policy::{ActionConstraint, Effect, Policy};
use lanyard_drift::ladder::Response;
use lanyard_drift::stable_hash;

use super::super::asked::Party;

/// The most a cap may count: more is none.
const MOST: u64 = 10_000;
/// Milliseconds.
const MINUTE: u64 = 60_000;
const HOUR: u64 = 3_600_000;

/// The words of one policy of responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Which step.
    pub response: Response,
    /// Whom it is tried on; `None`: everybody.
    pub canary: Option<Share>,
    /// How often; `None`: as often as the ladder allows.
    pub cap: Option<Cap>,
    /// Who may clear its verdicts; `None`: every administrator who may clear.
    pub may_override: Option<Overriders>,
}

/// A share of identities, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

/// How many steps of a policy may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// So many.
    pub most: usize,
    /// Within so many milliseconds.
    pub within: u64,
    /// Counted for each owner by itself, or for all together.
    pub per_owner: bool,
}

/// Who may clear a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overriders(Vec<String>);

/// Administrators of the identity's own owner.
const OWNER: &str = "owner";

/// The values as they stand there.
#[derive(Default)]
pub(in super::super) struct Written<'p> {
    pub(in super::super) response: Option<&'p str>,
    pub(in super::super) canary: Option<&'p str>,
    pub(in super::super) cap: Option<&'p str>,
    pub(in super::super) may_override: Option<&'p str>,
}

/// What is wrong, and what to do about it.
type Wrong = (String, String);

/// Reads them; `None` for a policy that is about something else.
pub(in super::super) fn read(
    policy: &Policy,
    written: &Written<'_>,
) -> Result<Option<Marks>, Wrong> {
    let about = is_about_responses(policy)?;
    let response = match (written.response, about) {
        (Some(word), true) => step(word)?,
        (None, false) => return without_response(written).map(|()| None),
        (None, true) => {
            return Err((
                "a policy of responses without `@response`".to_owned(),
                format!("say which step: {}", steps()),
            ));
        }
        (Some(_), false) => {
            return Err((
                "`@response` stands on a policy that is not about responses".to_owned(),
                "write `action == Lanyard::Action::\"respond\"` in its head".to_owned(),
            ));
        }
    };
    let on_forbid = policy.effect() == Effect::Forbid;
    for (name, value) in [("cap", written.cap), ("override", written.may_override)] {
        if on_forbid && value.is_some() {
            return Err((
                format!("`@{name}` stands on a forbid"),
                "a forbid carries nothing out: put it on the permit".to_owned(),
            ));
        }
    }
    if on_forbid && response == Response::Observe {
        return Err((
            "a forbid of `observe`".to_owned(),
            "what happened is always written down: forbid `alert` or a stricter step".to_owned(),
        ));
    }
    Ok(Some(Marks {
        response,
        canary: written.canary.map(share).transpose()?,
        cap: written.cap.map(cap).transpose()?,
        may_override: written.may_override.map(overriders).transpose()?,
    }))
}

impl Marks {
    /// Whether the second of two policies can leave nothing of the first.
    pub(in super::super) fn compare(permit: &Option<Self>, forbid: &Option<Self>) -> bool {
        match (permit, forbid) {
            (None, None) => true,
            (Some(permit), Some(forbid)) => {
                forbid.response <= permit.response && forbid.canary.is_none()
            }
            _ => false,
        }
    }
}

impl Share {
    /// Whether an identity is in it: the same ones every time, and others for another policy.
    #[must_use]
    pub fn holds(self, policy: &str, identity: &str) -> bool {
        stable_hash(format!("{policy}\n{identity}").as_bytes()) % WHOLE < self.0
    }
}

impl Overriders {
    /// Whether somebody may clear a verdict on an identity of this owner.
    #[must_use]
    pub fn admit(&self, who: &Party<'_>, owner: &str) -> bool {
        self.0
            .iter()
            .any(|word| who.tags.contains(word) || (word == OWNER && who.owner == owner))
    }

    /// The words, for whoever is refused.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

/// All of them, in hundredths of a percent.
const WHOLE: u64 = 10_000;

/// Only a head that names the action counts: "everything" is said about tokens, and whoever forbids an identity
/// everything does not mean that nothing is done about it any more.
fn is_about_responses(policy: &Policy) -> Result<bool, Wrong> {
    let is_it = |action: &cedar_policy::EntityUid| action.id().unescaped() == "respond";
    match policy.action_constraint() {
        ActionConstraint::Eq(action) => Ok(is_it(&action)),
        ActionConstraint::In(actions) if actions.iter().any(is_it) => Err((
            "`respond` stands beside other actions".to_owned(),
            "write a policy of its own, with `action == Lanyard::Action::\"respond\"`".to_owned(),
        )),
        ActionConstraint::In(_) | ActionConstraint::Any => Ok(false),
    }
}

fn without_response(written: &Written<'_>) -> Result<(), Wrong> {
    let alone = [
        ("canary", written.canary),
        ("cap", written.cap),
        ("override", written.may_override),
    ];
    match alone.iter().find(|(_, value)| value.is_some()) {
        Some((name, _)) => Err((
            format!("`@{name}` stands on a policy that is not about responses"),
            "it goes with `@response`".to_owned(),
        )),
        None => Ok(()),
    }
}

fn step(word: &str) -> Result<Response, Wrong> {
    let known = Response::ALL.iter().find(|step| step.word() == word);
    known.copied().ok_or_else(|| {
        (
            format!("`{word}` is no response"),
            format!("write one of {}", steps()),
        )
    })
}

fn steps() -> String {
    Response::ALL.map(Response::word).join(", ")
}

/// `10%`, `0.5%`.
fn share(text: &str) -> Result<Share, Wrong> {
    let hundredths = || {
        let number = text.strip_suffix('%')?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let part: u64 = format!("{part:0<2}").parse().ok()?;
        let share = whole.checked_mul(100)?.checked_add(part)?;
        (1..=WHOLE).contains(&share).then_some(Share(share))
    };
    hundredths().ok_or_else(|| {
        (
            format!("`{text}` is no share of identities"),
            "write more than 0% and at most 100%, with two digits at most: `10%`, `0.5%`"
                .to_owned(),
        )
    })
}

/// `5/min`, `2/hour/owner`.
fn cap(text: &str) -> Result<Cap, Wrong> {
    let read = || {
        let mut parts = text.split('/');
        let most: u64 = parts
            .next()
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?
            .parse()
            .ok()?;
        let within = match parts.next()? {
            "min" => MINUTE,
            "hour" => HOUR,
            _ => return None,
        };
        let per_owner = match parts.next() {
            None => false,
            Some("owner") => true,
            Some(_) => return None,
        };
        let most = (1..=MOST).contains(&most).then_some(most)?;
        let cap = Cap {
            most: usize::try_from(most).ok()?,
            within,
            per_owner,
        };
        parts.next().is_none().then_some(cap)
    };
    read().ok_or_else(|| {
        (
            format!("`{text}` is no cap"),
            format!("write 1 to {MOST} per min or hour, of each owner or of all: `5/min`, `2/hour/owner`"),
        )
    })
}

/// `security`, `security owner`.
fn overriders(text: &str) -> Result<Overriders, Wrong> {
    let byte =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() || !words.iter().all(|word| word.bytes().all(byte)) {
        return Err((
            format!("`{text}` names nobody who may override"),
            "write labels of administrators, or `owner` for those of the identity's own owner"
                .to_owned(),
        ));
    }
    Ok(Overriders(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_more_than_nothing_and_at_most_everybody() {
        for (text, hundredths) in [("10%", 1_000), ("0.5%", 50), ("0.01%", 1), ("100%", 10_000)] {
            assert_eq!(share(text), Ok(Share(hundredths)), "{text}");
        }
        for bad in [
            "", "%", "10", "0%", "0.00%", "100.01%", "101%", "-1%", "1.234%", "1.%", ".5%", "1e1%",
        ] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cap_is_a_number_within_a_time() {
        let five = Cap {
            most: 5,
            within: 60_000,
            per_owner: false,
        };
        assert_eq!(cap("5/min"), Ok(five));
        let two = Cap {
            most: 2,
            within: 3_600_000,
            per_owner: true,
        };
        assert_eq!(cap("2/hour/owner"), Ok(two));
        for bad in [
            "",
            "5",
            "5/",
            "0/min",
            "-5/min",
            "5/day",
            "5/min/team",
            "5/min/owner/x",
            "99999/min",
            "/min",
        ] {
            assert!(cap(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_canary_meets_its_share_of_identities_and_always_the_same() {
        let tenth = Share(1_000);
        let names: Vec<String> = (0..10_000).map(|n| format!("service-{n}")).collect();
        let met: Vec<&String> = names
            .iter()
            .filter(|name| tenth.holds("new", name))
            .collect();
        assert!((800..1_200).contains(&met.len()), "{}", met.len());
        assert!(met.iter().all(|name| tenth.holds("new", name)));
        let both = met.iter().filter(|name| tenth.holds("other", name)).count();
        assert!(both < met.len() / 2, "another policy meets others: {both}");
        assert!(names.iter().all(|name| Share(WHOLE).holds("new", name)));
    }
}
