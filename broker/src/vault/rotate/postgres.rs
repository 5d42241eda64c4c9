//! Passwords of PostgreSQL: two roles that take turns.
//!
//! One role logs in, the other rests. The resting one gets a new password and may log in; when everybody
//! has moved over, the first may log in no more. A single role whose password is changed would lock out
//! everybody who has not heard of it yet.
//!
//! **What it needs.** Both roles are members of the role that owns what they use, and the manager may alter
//! them: before PostgreSQL 16 `CREATEROLE`, since then `ADMIN OPTION` on both.
//!
//! **What nobody sees.** The server is told a SCRAM verifier (RFC 5802, RFC 7677), which is computed here:
//! the password itself is in no statement, so it is in none of the server's logs either.
//!
//! **What it misses.** A server whose `pg_hba.conf` lets these roles in without a password: then everything
//! "works". It is found out before the rotation begins, by a password that cannot be right. A role that is
//! in the middle of a query when the end comes: ended is who may log in, and sessions that are left after
//! draining are closed.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use ring::{digest, hmac, pbkdf2};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use zeroize::Zeroizing;

use super::driver::{Credential, Driver, Made, Order, Unsuitable};
use super::machine::{Answer, Creation, Reference};
use crate::vault::SecretValue;

/// As many as PostgreSQL itself takes (`scram_iterations`).
const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();

/// Where the server is, and who takes turns.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name or address.
    pub host: String,
    /// Port.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// The database that is logged in to.
    pub database: String,
    /// The two roles.
    pub roles: [String; 2],
    /// A file of PEM certificates to believe instead of the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<std::path::PathBuf>,
    /// No TLS: for a server on this machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
}

const fn usual_port() -> u16 {
    5_432
}

/// PostgreSQL.
pub struct Postgres {
    settings: Settings,
    longest_call: Duration,
}

impl Postgres {
    /// Two roles of a server; no call takes longer than that.
    pub fn new(settings: Settings, longest_call: Duration) -> Result<Self, Unsuitable> {
        let [one, other] = &settings.roles;
        if one == other || one.is_empty() || other.is_empty() {
            return Err(Unsuitable::Settings(
                "`roles` must be two roles: one logs in while the other one rests".to_owned(),
            ));
        }
        let here = matches!(settings.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if settings.plain && !here && !settings.host.starts_with('/') {
            return Err(Unsuitable::Settings(
                "`plain` is for a server on this machine: passwords would cross the network in clear"
                    .to_owned(),
            ));
        }
        Ok(Self {
            settings,
            longest_call,
        })
    }

    fn other_role(&self, role: &str) -> Option<&String> {
        let [one, other] = &self.settings.roles;
        match role {
            role if role == one => Some(other),
            role if role == other => Some(one),
            _ => None,
        }
    }

    async fn in_time(&self, call: impl Future<Output = Answer>) -> Answer {
        tokio::time::timeout(self.longest_call, call)
            .await
            .unwrap_or_else(|_| Answer::Unclear("no answer in time".to_owned()))
    }

    async fn connect(&self, as_whom: &Credential<'_>) -> Result<PgConnection, sqlx::Error> {
        let mode = match (self.settings.plain, &self.settings.ca_file) {
            (true, _) => PgSslMode::Disable,
            (false, _) => PgSslMode::VerifyFull,
        };
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.settings.host)
            .port(self.settings.port)
            .database(&self.settings.database)
            .username(&as_whom.reference.0)
            .password(as_whom.secret.expose())
            .application_name("lanyard")
            .statement_cache_capacity(0)
            .ssl_mode(mode)
            .disable_statement_logging();
        if let Some(file) = &self.settings.ca_file {
            options = options.ssl_root_cert(file);
        }
        PgConnection::connect_with(&options).await
    }

    /// Changes a role. The statement is put together by the server itself, which knows how names are quoted.
    async fn alter(
        &self,
        manager: &Credential<'_>,
        template: &'static str,
        role: &Reference,
        verifier: Option<&str>,
    ) -> Result<PgConnection, Failure> {
        let mut connection = self.connect(manager).await.map_err(Failure::Before)?;
        let row = sqlx::query("SELECT format($1, $2, $3)")
            .bind(template)
            .bind(&role.0)
            .bind(verifier)
            .fetch_one(&mut connection)
            .await
            .map_err(Failure::Before)?;
        let statement = Zeroizing::new(row.try_get::<String, _>(0).map_err(Failure::Before)?);
        connection
            .execute(sqlx::raw_sql(AssertSqlSafe(statement.as_str())))
            .await
            .map_err(Failure::After)?;
        Ok(connection)
    }

    async fn found(&self, manager: &Credential<'_>) -> Result<Answer, sqlx::Error> {
        let mut connection = self.connect(manager).await?;
        let rows = sqlx::query(
            "SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1) AND rolcanlogin",
        )
        .bind(&self.settings.roles[..])
        .fetch_all(&mut connection)
        .await?;
        let found: Result<BTreeSet<Reference>, sqlx::Error> = rows
            .iter()
            .map(|row| row.try_get(0).map(Reference))
            .collect();
        found.map(Answer::Found)
    }

    async fn made(&self, manager: &Credential<'_>, order: Order<'_>) -> Answer {
        let Some(proposed) = order.proposed else {
            return Answer::Refused("a role's password is ours to choose, and none was".to_owned());
        };
        let verifier = match scram_verifier(proposed.secret) {
            Ok(verifier) => verifier,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let altered = self
            .alter(
                manager,
                "ALTER ROLE %I WITH LOGIN PASSWORD %L",
                proposed.reference,
                Some(&verifier),
            )
            .await;
        match altered {
            Ok(_) => Answer::Created(proposed.reference.clone()),
            Err(failure) => failure.into_answer(),
        }
    }

    async fn revoked(&self, manager: &Credential<'_>, role: &Reference) -> Answer {
        let altered = self
            .alter(
                manager,
                "ALTER ROLE %I WITH NOLOGIN PASSWORD NULL",
                role,
                None,
            )
            .await;
        let mut connection = match altered {
            Ok(connection) => connection,
            Err(Failure::After(error)) if code(&error).as_deref() == Some(UNDEFINED_OBJECT) => {
                return Answer::Revoked;
            }
            Err(failure) => return failure.into_answer(),
        };
        // Who is logged in stays logged in, whatever became of the password.
        let closed = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1",
        )
        .bind(&role.0)
        .execute(&mut connection)
        .await;
        match closed {
            Ok(_) => Answer::Revoked,
            Err(error) => Failure::After(error).into_answer(),
        }
    }

    async fn sessions(
        &self,
        manager: &Credential<'_>,
        role: &Reference,
    ) -> Result<bool, sqlx::Error> {
        let mut connection = self.connect(manager).await?;
        sqlx::query("SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = $1")
            .bind(&role.0)
            .fetch_one(&mut connection)
            .await?
            .try_get(0)
    }

    async fn tried(&self, credential: &Credential<'_>) -> Answer {
        let tried = async {
            let mut connection = self.connect(credential).await?;
            connection.execute("SELECT 1").await.map(|_| ())
        };
        match tried.await {
            Ok(()) => Answer::Works,
            Err(error) if is_login_refused(&error) => Answer::Dead,
            Err(error) => Answer::Unclear(said(&error)),
        }
    }
}

impl Driver for Postgres {
    fn creation(&self, in_force: Option<&Reference>) -> Result<Creation, Unsuitable> {
        let [first, _] = &self.settings.roles;
        let next = match in_force {
            Some(role) => self
                .other_role(&role.0)
                .ok_or_else(|| Unsuitable::Stranger(role.0.clone()))?,
            None => first,
        };
        Ok(Creation::Proposed(Reference(next.clone())))
    }

    fn find<'a>(&'a self, manager: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.in_time(async {
                self.found(manager)
                    .await
                    .unwrap_or_else(|error| Answer::Unclear(said(&error)))
            })
            .await
        })
    }

    fn create<'a>(&'a self, manager: &'a Credential<'a>, order: Order<'a>) -> BoxFuture<'a, Made> {
        Box::pin(async move { self.in_time(self.made(manager, order)).await.into() })
    }

    fn verify<'a>(&'a self, credential: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(self.in_time(self.tried(credential)))
    }

    fn revoke<'a>(
        &'a self,
        manager: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(self.in_time(self.revoked(manager, reference)))
    }

    fn is_used<'a>(
        &'a self,
        manager: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async move {
            tokio::time::timeout(self.longest_call, self.sessions(manager, reference))
                .await
                .ok()?
                .ok()
        })
    }
}

/// Where a change failed.
enum Failure {
    /// Before the server was told of it.
    Before(sqlx::Error),
    /// While it was told, or later.
    After(sqlx::Error),
}

impl Failure {
    fn into_answer(self) -> Answer {
        match self {
            Self::Before(error) => Answer::Refused(said(&error)),
            Self::After(error) if is_certain(&error) => Answer::Refused(said(&error)),
            Self::After(error) => Answer::Unclear(said(&error)),
        }
    }
}

/// `undefined_object`: there is no such role.
const UNDEFINED_OBJECT: &str = "42704";
/// `invalid_password`; also what a role that does not exist is told.
const INVALID_PASSWORD: &str = "28P01";
/// `invalid_authorization_specification`: among others, a role that may not log in.
const INVALID_AUTHORIZATION: &str = "28000";

fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .map(std::borrow::Cow::into_owned)
}

/// A statement that the server refuses did not happen. What it says while it goes down (classes 08 and 57)
/// may come after the deed.
fn is_certain(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| !code.starts_with("08") && !code.starts_with("57"))
}

/// Whether the server refused the credential itself. A line that is missing in `pg_hba.conf` has the same code
/// and says nothing about the credential; the server's routine tells them apart, in every language.
fn is_login_refused(error: &sqlx::Error) -> bool {
    match code(error).as_deref() {
        Some(INVALID_PASSWORD) => true,
        Some(INVALID_AUTHORIZATION) => error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>())
            .and_then(sqlx::postgres::PgDatabaseError::routine)
            .is_some_and(|routine| routine == "InitializeSessionUserId"),
        _ => false,
    }
}

/// For the operator. The server's own words are left out: they may repeat what they were told.
fn said(error: &sqlx::Error) -> String {
    match (code(error), error) {
        (Some(code), _) => format!("PostgreSQL said {code}"),
        (None, sqlx::Error::Io(error)) => format!("the connection failed: {}", error.kind()),
        (None, sqlx::Error::Tls(_)) => "TLS failed".to_owned(),
        _ => "the answer was none that PostgreSQL gives".to_owned(),
    }
}

/// What `ALTER ROLE … PASSWORD` takes instead of a password:
/// `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY` (RFC 5802 section 3, SASLprep is the identity on the
/// letters and digits that we choose).
fn scram_verifier(password: &SecretValue) -> Result<Zeroizing<String>, crate::crypto::CryptoError> {
    let salt = crate::crypto::random::<16>()?;
    Ok(scram_verifier_with(password.expose().as_bytes(), &salt))
}

fn scram_verifier_with(password: &[u8], salt: &[u8]) -> Zeroizing<String> {
    let mut salted = Zeroizing::new([0_u8; digest::SHA256_OUTPUT_LEN]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        SCRAM_ITERATIONS,
        salt,
        password,
        &mut *salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    Zeroizing::new(format!(
        "SCRAM-SHA-256${SCRAM_ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 section 3: `user` logs in with `pencil`. Whoever keeps the verifier accepts the proof there.
    #[test]
    fn a_server_that_keeps_the_verifier_accepts_the_proof_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = scram_verifier_with(b"pencil", &salt);
        let stored = verifier
            .rsplit('$')
            .next()
            .unwrap()
            .split(':')
            .next()
            .unwrap();
        let stored = STANDARD.decode(stored).unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &stored),
            message.as_bytes(),
        );
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let client_key: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(proof, signature)| proof ^ signature)
            .collect();
        assert_eq!(
            digest::digest(&digest::SHA256, &client_key).as_ref(),
            stored
        );
    }
}
