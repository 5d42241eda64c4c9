//! How a client says who it is: HTTP Basic, two form parameters (RFC 6749 section 2.3), or another issuer's
//! token (RFC 7523 section 2.2); never two of them.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use super::form::{Form, Submitted};
use crate::http::problem::Problem;
use crate::issue::limits::Network;
use crate::issue::{Client, Issue, Refused};

/// What `client_assertion_type` says.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the request says about its client.
enum Claimed {
    /// It has a key.
    Key {
        id: String,
        secret: Zeroizing<String>,
        by_header: bool,
    },
    /// Another issuer vouches for it.
    Vouched {
        id: Option<String>,
        assertion: Zeroizing<String>,
    },
}

/// The client of a request, if it says who it is.
pub(super) async fn authenticate(
    issue: &Issue,
    submitted: &Submitted,
) -> Result<Option<Client>, Problem> {
    let Some(claimed) = claimed(&submitted.parts.headers, &submitted.form)? else {
        return Ok(None);
    };
    let network = network(submitted);
    let (client, by_header) = match &claimed {
        Claimed::Key {
            id,
            secret,
            by_header,
        } => (issue.authenticate(id, secret, network), *by_header),
        Claimed::Vouched { id, assertion } => {
            let vouched = issue.authenticate_vouched(id.as_deref(), assertion, network);
            (vouched.await, false)
        }
    };
    client.map(Some).map_err(|why| match why {
        // Only these are no fault of the client.
        Refused::TooMany(_) => super::answer::refused(&why),
        Refused::Assertion(fault) if fault.is_ours() => super::answer::refused(&why),
        _ => invalid_client(by_header).because(why.reason()),
    })
}

/// The client of a request that needs one.
pub(super) async fn require(issue: &Issue, submitted: &Submitted) -> Result<Client, Problem> {
    authenticate(issue, submitted)
        .await?
        .ok_or_else(|| invalid_client(false).because(Refused::NoClient.reason()))
}

/// Where a request comes from, as far as it is known.
pub(super) fn network(submitted: &Submitted) -> Option<Network> {
    address(submitted).map(Network::of)
}

/// The address itself: what policies see, and nobody keeps.
pub(super) fn address(submitted: &Submitted) -> Option<IpAddr> {
    let peer = submitted
        .parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()?;
    Some(peer.0.ip().to_canonical())
}

/// RFC 6749 section 5.2: the challenge only for whoever used the header.
pub(super) fn invalid_client(by_header: bool) -> Problem {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "client authentication failed",
    );
    if by_header {
        problem.challenge("Basic realm=\"lanyard\", charset=\"UTF-8\"")
    } else {
        problem
    }
}

fn claimed(headers: &HeaderMap, form: &Form) -> Result<Option<Claimed>, Problem> {
    let header = header(headers)?;
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let assertion = assertion(form)?;
    if let Some(assertion) = assertion {
        if header.is_some() || secret.is_some() {
            return Err(two_authentications());
        }
        return Ok(Some(Claimed::Vouched {
            id: id.map(str::to_owned),
            assertion,
        }));
    }
    match (header, id, secret) {
        (Some(_), _, Some(_)) => Err(two_authentications()),
        (Some((known, _)), Some(id), None) if id != known => Err(Problem::invalid_request(
            "`client_id` is another than the header's",
        )
        .because("two_clients")),
        (Some((id, secret)), _, None) => Ok(Some(Claimed::Key {
            id,
            secret,
            by_header: true,
        })),
        (None, Some(id), Some(secret)) => Ok(Some(Claimed::Key {
            id: id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            by_header: false,
        })),
        // A public client, or half of one: nobody here is.
        (None, None, Some(_)) => Err(invalid_client(false).because("secret_without_id")),
        (None, _, None) => Ok(None),
    }
}

fn two_authentications() -> Problem {
    Problem::invalid_request("use one way of client authentication").because("two_authentications")
}

/// Both of its parameters, or none.
fn assertion(form: &Form) -> Result<Option<Zeroizing<String>>, Problem> {
    let parameters = (
        form.get("client_assertion_type"),
        form.get("client_assertion"),
    );
    match parameters {
        (None, None) => Ok(None),
        (Some(JWT_BEARER), Some(assertion)) => Ok(Some(Zeroizing::new(assertion.to_owned()))),
        _ => Err(invalid_client(false).because("client_assertion")),
    }
}

/// HTTP Basic, with both halves form-encoded inside (RFC 6749 section 2.3.1).
fn header(headers: &HeaderMap) -> Result<Option<(String, Zeroizing<String>)>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(
            Problem::invalid_request("more than one Authorization header")
                .because("two_authorizations"),
        );
    }
    let refused = || invalid_client(true).because("malformed_basic");
    let (scheme, encoded) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(refused());
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).map_err(|_| refused())?);
    let text = std::str::from_utf8(&decoded).map_err(|_| refused())?;
    let (id, secret) = text.split_once(':').ok_or_else(refused)?;
    Ok(Some((
        decode(id).ok_or_else(refused)?.into_owned(),
        Zeroizing::new(decode(secret).ok_or_else(refused)?.into_owned()),
    )))
}

/// Our ids and keys need no escapes, but a careful client escapes anyway.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    if text.contains(['&', '=']) {
        return None;
    }
    let (decoded, _) = form_urlencoded::parse(text.as_bytes()).next()?;
    (!decoded.contains('\u{fffd}')).then_some(decoded)
}
