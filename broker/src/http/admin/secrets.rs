//! `/v1/secrets`: credentials of third parties. A value comes in and never goes out here.

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::handler::Handler;
use http::StatusCode;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::Rooms;
use super::answer::{Answer, Document, Part, created, ok};
use super::identities::Transfer;
use crate::clock::UnixMillis;
use crate::http::caller::Administrator;
use crate::http::duties::{Duties, Duty};
use crate::http::problem::Problem;
use crate::policy::administration::Action::{SecretsRead, SecretsTransfer, SecretsWrite};
use crate::store::event::Version;
use crate::vault::integrations::UseView;
use crate::vault::{
    InvalidValue, LONGEST_VALUE, NewVersion, SecretValue, SecretView, VaultError, WhoView,
};

/// The longest value, however JSON escapes it, and the members around it.
const LONGEST_BODY: usize = 6 * LONGEST_VALUE + 4_096;

/// The routes of secrets.
pub(super) fn routes() -> Duties<Rooms> {
    let (reads, writes) = (Duty::of(SecretsRead), Duty::of(SecretsWrite));
    Duties::new()
        .get("/v1/secrets", reads, list)
        .post(
            "/v1/secrets",
            writes,
            put.layer(DefaultBodyLimit::max(LONGEST_BODY)),
        )
        .get("/v1/secrets/{secret}", reads, show)
        .post("/v1/secrets/{secret}/activate", writes, activate)
        .post("/v1/secrets/{secret}/retire", writes, retire)
        .post(
            "/v1/secrets/{secret}/transfer",
            Duty::of(SecretsTransfer),
            transfer,
        )
        .get("/v1/secrets/{secret}/who", reads, who)
}

#[derive(Serialize)]
struct Secrets {
    secrets: Vec<SecretView>,
}

async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(Secrets {
        secrets: rooms.vault.list(),
    })
}

/// A value to keep.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    name: String,
    owner: Option<String>,
    value: Wiped,
    reference: Option<String>,
    #[serde(default)]
    pending: bool,
}

async fn put(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(put): Document<Put>,
) -> Answer {
    let new = NewVersion {
        name: put.name,
        owner: put.owner,
        value: SecretValue::parse(put.value.0)?,
        reference: put.reference,
        pending: put.pending,
    };
    created(rooms.vault.put(new, by).await?)
}

async fn show(State(rooms): State<Rooms>, _: Administrator, Part(secret): Part) -> Answer {
    ok(rooms.vault.show(&secret)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Activation {
    version: Version,
    reason: Option<String>,
}

async fn activate(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(secret): Part,
    Document(asked): Document<Activation>,
) -> Answer {
    let reason = asked.reason.as_deref();
    let activated = rooms.vault.activate(&secret, asked.version, by, reason);
    ok(activated.await?)
}

/// One version, or all of them; one of the two is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retirement {
    version: Option<Version>,
    #[serde(default)]
    all: bool,
    reason: Option<String>,
}

async fn retire(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(secret): Part,
    Document(asked): Document<Retirement>,
) -> Answer {
    if asked.version.is_some() == asked.all {
        return Err(Problem::invalid_request(
            "name a `version`, or say `all`: true",
        ));
    }
    let reason = asked.reason.as_deref();
    let retired = rooms.vault.retire(&secret, asked.version, by, reason);
    ok(retired.await?)
}

async fn transfer(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(secret): Part,
    Document(Transfer { to, reason }): Document<Transfer>,
) -> Answer {
    let transferred = rooms.vault.transfer(&secret, &to, by, reason.as_deref());
    ok(transferred.await?)
}

/// Who had it then, and what gateways told of its use until now.
#[derive(Serialize)]
struct Who {
    #[serde(flatten)]
    view: WhoView,
    /// How often, until now, whenever `at` is.
    uses_until: UnixMillis,
    uses: Vec<UseView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    at: Option<String>,
}

async fn who(
    State(rooms): State<Rooms>,
    _: Administrator,
    Part(secret): Part,
    when: Result<Query<When>, QueryRejection>,
) -> Answer {
    let refused = || {
        Problem::invalid_request(
            "`at` is a time, such as 2026-11-25T20:00:00Z, or milliseconds since 1970",
        )
    };
    let Query(When { at }) = when.map_err(|_| refused())?;
    let now = rooms.clock.now();
    let at = at.as_deref().map_or(Some(now), instant);
    let at = at.ok_or_else(refused)?;
    if at > now {
        return Err(Problem::invalid_request(
            "`at` is still to come: who will have the secret then is not known",
        ));
    }
    let view = rooms.vault.who(&secret, at).await?;
    let uses = rooms.integrations.uses(view.secret);
    let view = rooms.integrations.named(view);
    ok(Who {
        view,
        uses_until: now,
        uses,
    })
}

/// A time as people or programs write it.
fn instant(text: &str) -> Option<UnixMillis> {
    if let Ok(millis) = text.parse() {
        return Some(UnixMillis(millis));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let millis = time.unix_timestamp_nanos() / 1_000_000;
    Some(UnixMillis(u64::try_from(millis).ok()?))
}

/// A text out of JSON that is wiped when dropped.
struct Wiped(Zeroizing<String>);

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Wiped;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wiped, E> {
                Ok(Wiped(Zeroizing::new(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Wiped, E> {
                Ok(Wiped(Zeroizing::new(text)))
            }
        }
        deserializer.deserialize_string(Text)
    }
}

/// What an administrator is told of a value that is not kept; nothing of the value.
impl From<InvalidValue> for Problem {
    fn from(error: InvalidValue) -> Self {
        Self::invalid_request(format!("`value` {error}")).because("secret_value")
    }
}

/// What an administrator is told.
impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let words = error.to_string();
        match error {
            VaultError::NotFound { .. } => Self::not_found(words),
            VaultError::Name(_) | VaultError::Invalid { .. } | VaultError::OwnerNeeded { .. } => {
                Self::invalid_request(words)
            }
            VaultError::OtherOwner { .. } => Self::conflict(words).because("other_owner"),
            VaultError::OwnerDisabled { .. } => Self::conflict(words).because("owner_disabled"),
            VaultError::BeingExchanged { .. } => {
                Self::conflict(words).because("rotation_under_way")
            }
            VaultError::Move(_) => Self::conflict(words).because("secret_version"),
            VaultError::Lease(_) => Self::conflict(words).because("secret_lease"),
            VaultError::Store(error) => error.into(),
            VaultError::NotReadBack | VaultError::Seal(_) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a secret was not kept"
                );
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", words)
                    .because("secret_seal")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_and_as_programs_write_it() {
        for text in [
            "1767225600000",
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00+01:00",
        ] {
            assert_eq!(instant(text), Some(UnixMillis(1_767_225_600_000)), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "-1",
            "1969-12-31T23:59:59Z",
            "2026-01-01",
            "1e12",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
