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
        Refused::NoClient | Refused::MalformedKey | Refused::Client(_) => invalid_client(false),
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
            Denied::Scope => bad("invalid_scope", why.to_string()),
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
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "try again later",
            )
            .retry_after(1)
        }
    };
    problem.because(refused.reason())
}
