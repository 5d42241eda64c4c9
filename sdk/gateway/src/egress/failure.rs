//! What becomes of a call that failed on its way.

use std::error::Error;

use http_body_util::LengthLimitError;

use super::answer::Problem;
use super::caller_body::{BrokenOff, of_the_body};
use super::upstream::Unreachable;

/// What a caller is told of a call that failed; the operator is told where it did.
pub(super) fn failed(error: &(dyn Error + 'static)) -> Problem {
    if is_caused_by::<LengthLimitError>(error) || is_caused_by::<BrokenOff>(error) {
        return of_the_body(error);
    }
    let reason = match cause::<Unreachable>(error) {
        Some(Unreachable::Refused) => "address_refused",
        Some(Unreachable::Unresolved(_)) => "unresolved",
        Some(Unreachable::Connect(_)) => "connect",
        None => "http",
    };
    tracing::warn!(
        name: "lanyard.egress.unreachable",
        { lanyard.reason = reason },
        "a third party cannot be reached"
    );
    Problem::Unreachable
}

pub(super) fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    cause::<E>(error).is_some()
}

fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
