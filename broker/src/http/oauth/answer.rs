//! What clients are told when there is no token (RFC 6749 section 5.2, RFC 8693 section 2.2.2,
//! RFC 8707 section 2, RFC 9396 section 5).

use http::StatusCode;

use super::client::invalid_client;
use crate::http::problem::Problem;
use crate::issue::Refused;
use crate::issue::mint::MintError;
use crate::issue::policy::Denied;

/// The one place where a refusal becomes an answer.
pub(super) fn refused(refused: &Refused) -> Problem {
    let bad =
        |error, description: String| Problem::new(StatusCode::BAD_REQUEST, error, description);
    let problem = match refused {
        Refused::Assertion(fault) if fault.is_ours() => later(),
        Refused::NoClient | Refused::MalformedKey | Refused::Client(_) | Refused::Assertion(_) => {
            invalid_client(false)
        }
        Refused::TooMany(wait) => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "ask again later",
        )
        .retry_after(wait.retry_after),
        // Nothing about which check it was, nor about which party does not fit.
        Refused::Subject(_) => Problem::invalid_request("the subject token is not acceptable"),
        Refused::Actor(_) | Refused::NotParty | Refused::ActorActs => {
            Problem::invalid_request("the actor is not acceptable")
        }
        Refused::Chain(why) => Problem::invalid_request(why.to_string()),
        Refused::FanOut => Problem::invalid_request(refused.to_string()),
        Refused::Denied(why) => match why {
            Denied::NoTarget | Denied::ManyTargets | Denied::Target => {
                bad("invalid_target", why.to_string())
            }
            Denied::Scope | Denied::Nothing => bad("invalid_scope", why.to_string()),
            Denied::Task | Denied::TaskEnded => {
                bad("invalid_authorization_details", why.to_string())
            }
            Denied::Lifetime => Problem::invalid_request(why.to_string()),
        },
        Refused::Mint(MintError::TooLong) => Problem::invalid_request(
            "the token would be too long: ask for fewer scopes or a shorter task",
        ),
        Refused::Mint(MintError::Store(error)) => return Problem::from(error.clone()),
        Refused::Mint(error) => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "no token can be made"
            );
            later()
        }
    };
    problem.because(refused.reason())
}

fn later() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "try again later",
    )
    .retry_after(1)
}

#[cfg(test)]
mod tests {
    use lanyard_token::Rejection;

    use super::*;
    use crate::issue::identity::Unusable;
    use crate::issue::limits::TooMany;
    use crate::store::StoreError;

    #[test]
    fn a_full_disk_is_told_as_try_again_later() {
        let problem = refused(&Refused::Mint(MintError::Store(StoreError::Full)));
        assert_eq!(
            (problem.status.as_u16(), problem.error),
            (503, "temporarily_unavailable")
        );
        assert_eq!(
            (problem.retry_after, problem.reason),
            (Some(1), "store_full")
        );
    }

    #[test]
    fn a_storm_is_told_how_long_to_wait() {
        let problem = refused(&Refused::TooMany(TooMany { retry_after: 7 }));
        assert_eq!(
            (problem.status.as_u16(), problem.retry_after),
            (429, Some(7))
        );
    }

    #[test]
    fn outsiders_do_not_learn_which_check_it_was_and_operators_do() {
        let told = |refusal: Refused| {
            let problem = refused(&refusal);
            (
                (problem.status, problem.error, problem.description.clone()),
                problem.reason,
            )
        };
        let subjects = [Rejection::Signature, Rejection::Revoked, Rejection::Expired];
        let subjects: Vec<_> = subjects.map(|why| told(Refused::Subject(why)).0).into();
        assert!(subjects.windows(2).all(|pair| pair.first() == pair.last()));
        let clients = [
            Unusable::Unknown,
            Unusable::Disabled,
            Unusable::Suspended,
            Unusable::Expired,
        ];
        let clients: Vec<_> = clients.map(|why| told(Refused::Client(why))).into();
        assert!(
            clients
                .windows(2)
                .all(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
        );
    }
}
