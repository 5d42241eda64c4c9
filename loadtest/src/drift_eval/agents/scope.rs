//! What the owner of a session would have declared: what clean sessions of the same task did.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_drift::TaskFit;
use lanyard_token::TaskScope;

use super::session::{Session, ToolCall};

/// What a scope restricts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// Operations that go somewhere, and where to.
    OperationsThatGoSomewhere,
    /// Reading as well.
    EveryOperation,
}

/// The scopes of all tasks that had a clean session.
pub(super) struct Scopes {
    width: Width,
    scopes: BTreeMap<(String, String), TaskScope>,
}

/// The scope of one session's token.
#[derive(Clone, Copy)]
pub(super) struct Declared<'a> {
    width: Width,
    scope: &'a TaskScope,
}

impl Scopes {
    pub(super) fn of(clean: &[&Session], width: Width) -> Self {
        let mut done: BTreeMap<(&str, &str), [BTreeSet<&str>; 2]> = BTreeMap::new();
        for session in clean {
            let [operations, destinations] = done.entry(session.task()).or_default();
            for call in &session.calls {
                operations.insert(&call.operation);
                destinations.extend(call.destinations.iter().map(String::as_str));
            }
        }
        let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
        let scopes = done
            .into_iter()
            .filter_map(|((role, task), [operations, destinations])| {
                // A task too wide for a token would be issued without a scope.
                let scope = TaskScope::new(
                    Some(owned(operations)),
                    Some(owned(destinations)),
                    None,
                    None,
                )
                .ok()?;
                Some(((role.to_owned(), task.to_owned()), scope))
            })
            .collect();
        Self { width, scopes }
    }

    /// `None` when nobody could have declared one: the token of such a session has no task scope.
    pub(super) fn of_task(&self, session: &Session) -> Option<Declared<'_>> {
        let (role, task) = session.task();
        self.scopes
            .get(&(role.to_owned(), task.to_owned()))
            .map(|scope| Declared {
                width: self.width,
                scope,
            })
    }
}

impl Declared<'_> {
    /// How a call to one of its destinations fits.
    pub(super) fn fit(&self, call: &ToolCall, to: Option<&str>) -> TaskFit {
        let watched = self.width == Width::EveryOperation || call.goes_somewhere;
        if watched && !self.scope.allows_operation(&call.operation) {
            TaskFit::OutsideOperation
        } else if to.is_some_and(|to| !self.scope.allows_destination(to)) {
            TaskFit::OutsideDestination
        } else {
            TaskFit::Inside
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::testing::{call, session};
    use super::*;

    #[test]
    fn a_scope_is_what_clean_sessions_of_the_same_task_did() {
        let clean = session("t", vec![call("read", &[]), call("send", &["bob"])]);
        let scopes = Scopes::of(&[&clean], Width::OperationsThatGoSomewhere);
        let declared = scopes.of_task(&clean).unwrap();
        let fit = |operation, to: &str| declared.fit(&call(operation, &[to]), Some(to));
        assert_eq!(fit("send", "bob"), TaskFit::Inside);
        assert_eq!(fit("send", "eve"), TaskFit::OutsideDestination);
        assert_eq!(fit("pay", "bob"), TaskFit::OutsideOperation);
        assert!(scopes.of_task(&session("another", vec![])).is_none());
    }

    #[test]
    fn reading_is_restricted_only_where_every_operation_is() {
        let clean = session("t", vec![call("read", &[])]);
        let fit = |width| {
            let scopes = Scopes::of(&[&clean], width);
            scopes
                .of_task(&clean)
                .unwrap()
                .fit(&call("list", &[]), None)
        };
        assert_eq!(fit(Width::OperationsThatGoSomewhere), TaskFit::Inside);
        assert_eq!(fit(Width::EveryOperation), TaskFit::OutsideOperation);
    }
}
