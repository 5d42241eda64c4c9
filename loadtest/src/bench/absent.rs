//! What is not there to be measured: why, which cases are left out for it, and which targets have no figure then.

use std::fmt;

/// One reason.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Absent {
    why: String,
    cases: Vec<&'static str>,
    targets: Vec<&'static str>,
}

impl Absent {
    /// Of targets alone.
    pub(super) fn of(why: impl Into<String>, targets: &[&'static str]) -> Self {
        Self {
            why: why.into(),
            cases: Vec::new(),
            targets: targets.to_vec(),
        }
    }

    /// Why a target has no figure, if it is for this.
    pub(super) fn reason_of(&self, target: &str) -> Option<&str> {
        self.targets.contains(&target).then_some(self.why.as_str())
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        match self.cases.as_slice() {
            [] => Ok(()),
            cases => write!(f, " (left out: {})", cases.join("; ")),
        }
    }
}

/// What is there; otherwise the reason is noted, once whatever number of cases it takes along.
pub(super) fn present<T>(
    absent: &mut Vec<Absent>,
    found: Result<T, impl fmt::Display>,
    cases: &[&'static str],
    targets: &[&'static str],
) -> Option<T> {
    let why = match found {
        Ok(found) => return Some(found),
        Err(why) => why.to_string(),
    };
    if let Some(same) = absent.iter_mut().find(|absent| absent.why == why) {
        same.cases.extend(cases);
        same.targets.extend(targets);
    } else {
        absent.push(Absent {
            cases: cases.to_vec(),
            ..Absent::of(why, targets)
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once_with_all_cases_it_takes_along() {
        let mut absent = Vec::new();
        let gone = || Err::<(), _>("envoy is not installed");
        assert!(present(&mut absent, gone(), &["Envoy"], &["P6"]).is_none());
        assert!(present(&mut absent, gone(), &["Envoy, asked"], &[]).is_none());
        assert!(present(&mut absent, Ok::<_, String>(()), &["nginx"], &["P7"]).is_some());
        let said: Vec<String> = absent.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            ["envoy is not installed (left out: Envoy; Envoy, asked)"]
        );
        assert_eq!(absent[0].reason_of("P6"), Some("envoy is not installed"));
        assert_eq!(absent[0].reason_of("P7"), None);
    }
}
