//! A token's task scope, resolved against the routes.

use std::sync::atomic::{AtomicU64, Ordering};

use lanyard_drift::TaskFit;
use lanyard_token::TaskScope;

use super::super::route::{RouteIndex, RouteTable};

/// Which routes a task names, as one bit each, and how many calls are left here.
///
/// Calls are counted by each gateway for itself: a task of ten calls allows ten at each of them,
/// which is why a task that must not be done twice also names its destination.
pub(crate) struct Task {
    /// `None`: not restricted.
    operations: Option<Box<[u64]>>,
    destinations: Option<Box<[Box<str>]>>,
    calls_left: Option<AtomicU64>,
    expires_at: Option<u64>,
}

impl Task {
    pub(crate) fn resolve(task: &TaskScope, routes: &RouteTable) -> Self {
        let operations = task.operations().map(|_| {
            let mut words = vec![0_u64; routes.operations().len().div_ceil(64)].into_boxed_slice();
            for (index, name) in routes.operations().enumerate() {
                if task.allows_operation(name)
                    && let Some(word) = words.get_mut(index / 64)
                {
                    *word |= 1 << (index % 64);
                }
            }
            words
        });
        Self {
            operations,
            destinations: task
                .destinations()
                .map(|list| list.map(Box::from).collect()),
            calls_left: task.calls.map(AtomicU64::new),
            expires_at: task.expires_at,
        }
    }

    pub(crate) fn is_open_at(&self, seconds: u64) -> bool {
        self.expires_at.is_none_or(|end| seconds < end)
    }

    /// How a call fits. One that does takes a call from those left.
    pub(crate) fn fit(&self, route: RouteIndex, destination: Option<&str>) -> TaskFit {
        if !self.allows_operation(route) {
            return TaskFit::OutsideOperation;
        }
        if !self.allows_destination(destination) {
            return TaskFit::OutsideDestination;
        }
        if self.take_call() {
            TaskFit::Inside
        } else {
            TaskFit::CallsSpent
        }
    }

    fn allows_operation(&self, route: RouteIndex) -> bool {
        let index = usize::from(route.0);
        self.operations.as_ref().is_none_or(|words| {
            words
                .get(index / 64)
                .is_some_and(|word| word >> (index % 64) & 1 == 1)
        })
    }

    /// On a route that names no destination there is none to leave. Compared as it stands on the
    /// wire: an escaped spelling of an allowed destination is not it.
    fn allows_destination(&self, destination: Option<&str>) -> bool {
        match (&self.destinations, destination) {
            (Some(allowed), Some(destination)) => allowed.iter().any(|own| **own == *destination),
            _ => true,
        }
    }

    fn take_call(&self) -> bool {
        self.calls_left.as_ref().is_none_or(|left| {
            left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::super::route::Route;
    use super::*;

    fn routes() -> RouteTable {
        let routes = ["/a", "/b", "/c/{to}"].map(|template| Route::new(Method::GET, template));
        RouteTable::build(&"aud".parse().unwrap(), routes).unwrap()
    }

    fn task(
        operations: Option<&[&str]>,
        destinations: Option<&[&str]>,
        calls: Option<u64>,
    ) -> Task {
        let list = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        let scope =
            TaskScope::new(operations.map(list), destinations.map(list), calls, None).unwrap();
        Task::resolve(&scope, &routes())
    }

    #[test]
    fn only_operations_that_the_task_names_fit() {
        let task = task(Some(&["GET /a", "GET /elsewhere"]), None, None);
        assert_eq!(task.fit(RouteIndex(0), None), TaskFit::Inside);
        assert_eq!(task.fit(RouteIndex(1), None), TaskFit::OutsideOperation);
    }

    #[test]
    fn only_destinations_that_the_task_names_fit() {
        let task = task(None, Some(&["x.example"]), None);
        assert_eq!(task.fit(RouteIndex(2), Some("x.example")), TaskFit::Inside);
        assert_eq!(
            task.fit(RouteIndex(2), Some("y.example")),
            TaskFit::OutsideDestination
        );
        assert_eq!(
            task.fit(RouteIndex(2), Some("x%2Eexample")),
            TaskFit::OutsideDestination
        );
        assert_eq!(task.fit(RouteIndex(0), None), TaskFit::Inside);
    }

    #[test]
    fn a_call_that_does_not_fit_takes_none_of_those_left() {
        let task = task(Some(&["GET /a"]), None, Some(2));
        assert_eq!(task.fit(RouteIndex(0), None), TaskFit::Inside);
        assert_eq!(task.fit(RouteIndex(1), None), TaskFit::OutsideOperation);
        assert_eq!(task.fit(RouteIndex(0), None), TaskFit::Inside);
        assert_eq!(task.fit(RouteIndex(0), None), TaskFit::CallsSpent);
    }
}
