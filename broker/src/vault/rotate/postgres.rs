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
//! in the middle of a query when the end comes: ended is who may log in, and sessions that are left when they are not
//! waited for any longer are closed. Where the manager has no right to close them they go on, and somebody is told.

mod passage;
mod settings;
mod tls;
mod verifier;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use self::passage::Passage;
pub use self::settings::Settings;
use self::verifier::scram_verifier;
use super::base;
use super::driver::{Credential, Driver, InUse, Made, Order, Unsuitable};
use super::machine::{Answer, Creation, Reference};
use crate::outbound::{self, NotConnected, Reach};

/// PostgreSQL.
pub struct Postgres {
    settings: Settings,
    reach: Reach,
    longest_call: Duration,
}

impl Postgres {
    /// Two roles of a server within reach; no call takes longer than that.
    pub fn new(
        settings: Settings,
        reach: Reach,
        longest_call: Duration,
    ) -> Result<Self, Unsuitable> {
        // A socket of this machine is this machine.
        let written = if settings.is_socket() {
            Some(Ipv4Addr::LOCALHOST.into())
        } else {
            settings.host.parse::<IpAddr>().ok()
        };
        if let Some(address) = written
            && !reach.allows(address)
        {
            return Err(base::not_reached(NotConnected::Address(address)));
        }
        Ok(Self {
            settings,
            reach,
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
        let (host, port) = (self.settings.host.as_str(), self.settings.port);
        let options = PgConnectOptions::new_without_pgpass()
            .port(port)
            .database(&self.settings.database)
            .username(&as_whom.reference.0)
            .password(as_whom.secret.expose())
            .application_name("lanyard")
            .statement_cache_capacity(0)
            // A passage, or a socket of this machine, has no TLS of its own.
            .ssl_mode(PgSslMode::Disable)
            .disable_statement_logging();
        let passage = if self.settings.is_socket() {
            let folder = format!("{host}/.s.PGSQL.{port}");
            Passage::open(UnixStream::connect(folder).await?, port)?
        } else {
            let server = self.reach.connect(host, port).await;
            let server = server.map_err(not_connected)?;
            if !self.settings.plain {
                let ca_file = self.settings.ca_file.as_deref();
                let server = tls::begin(server, host, ca_file).await;
                Passage::open(
                    server.map_err(|error| sqlx::Error::Tls(error.into()))?,
                    port,
                )?
            } else if server.peer_addr()?.ip().is_loopback() {
                Passage::open(server, port)?
            } else {
                // Somebody else says what the name of this machine is.
                return Err(not_connected(NotConnected::Name(host.to_owned())));
            }
        };
        let connection = PgConnection::connect_with(&options.socket(passage.folder())).await?;
        passage.used();
        Ok(connection)
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
        let Err(error) = closed else {
            return Answer::Revoked;
        };
        let why = match code(&error).as_deref() {
            Some(INSUFFICIENT_PRIVILEGE) => {
                "the manager needs `GRANT pg_signal_backend`".to_owned()
            }
            _ => said(&error),
        };
        tracing::warn!(
            role = %role.0, why,
            "a role was ended, and whoever is logged in with it may still be: close its sessions"
        );
        // The role is ended all the same: "no" to what comes after is no "no" to that.
        if is_certain(&error) {
            Answer::Revoked
        } else {
            Answer::Unclear(why)
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
    ) -> BoxFuture<'a, InUse> {
        Box::pin(async move {
            let sessions = self.sessions(manager, reference);
            match tokio::time::timeout(self.longest_call, sessions).await {
                Ok(Ok(true)) => InUse::Yes,
                Ok(Ok(false)) => InUse::No,
                Ok(Err(error)) => InUse::Unclear(said(&error)),
                Err(_) => InUse::Unclear("no answer in time".to_owned()),
            }
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
/// `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";
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

/// As sqlx would have said it.
fn not_connected(error: NotConnected) -> sqlx::Error {
    match error {
        NotConnected::Failed { source, .. } => sqlx::Error::Io(source),
        refused => sqlx::Error::Configuration(Box::new(refused)),
    }
}

/// For the operator. The server's own words are left out: they may repeat what they were told.
fn said(error: &sqlx::Error) -> String {
    match (code(error), error) {
        (Some(code), _) => format!("PostgreSQL said {code}"),
        (None, sqlx::Error::Io(error)) => format!("the connection failed: {}", error.kind()),
        (None, sqlx::Error::Tls(_)) => "TLS failed".to_owned(),
        (None, sqlx::Error::Configuration(error)) => match outbound::refused(error.as_ref()) {
            Some(refused) => refused.to_string(),
            None => "the connection cannot be set up".to_owned(),
        },
        _ => "the answer was none that PostgreSQL gives".to_owned(),
    }
}
