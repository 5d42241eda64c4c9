//! The PostgreSQL driver against a real server.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lanyard::vault::SecretValue;
use lanyard::vault::rotate::driver::{Credential, Driver, InUse, Order};
use lanyard::vault::rotate::machine::{Answer, Creation, Reference};
use lanyard::vault::rotate::postgres::{Postgres, Settings};
use ring::{digest, hmac, pbkdf2};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use tokio::sync::Mutex;

use super::servers::{
    PATIENCE, PostgresServer, SUPERUSER, SUPERUSER_PASSWORD, secret, this_machine,
};

/// Who makes and ends passwords.
const KEEPER: &str = "keeper";
/// Its own.
const KEEPS: &str = "keeps";

/// Somebody who may do everything there.
pub(super) type Root = Arc<Mutex<PgConnection>>;

/// Two roles that take turns, on a server that others may share.
pub(super) struct There {
    pub(super) server: Arc<PostgresServer>,
    /// Logged in once: a debug build needs long for that.
    root: Root,
    pub(super) roles: [String; 2],
    driver: Postgres,
    manager: Reference,
    password: SecretValue,
}

impl There {
    pub(super) async fn new() -> Self {
        let server = PostgresServer::start();
        let root = let_manage(&server, &["shop".to_owned()]).await;
        Self::of(Arc::new(server), root, "shop")
    }

    /// The roles of somebody who may be managed.
    pub(super) fn of(server: Arc<PostgresServer>, root: Root, whose: &str) -> Self {
        let roles = roles(whose);
        let driver = Postgres::new(
            Settings {
                host: "127.0.0.1".to_owned(),
                port: server.port,
                database: "postgres".to_owned(),
                roles: roles.clone(),
                ca_file: None,
                plain: true,
            },
            this_machine(),
            PATIENCE,
        )
        .unwrap();
        Self {
            server,
            root,
            roles,
            driver,
            manager: Reference(KEEPER.to_owned()),
            password: secret(KEEPS.to_owned()),
        }
    }

    /// The first role gets a first password by hand.
    pub(super) async fn first(&self) -> (String, String) {
        let [first, _] = &self.roles;
        let mut root = self.root.lock().await;
        root.execute(AssertSqlSafe(format!(
            "ALTER ROLE {first} LOGIN PASSWORD 'the-first-one'"
        )))
        .await
        .unwrap();
        (first.clone(), "the-first-one".to_owned())
    }

    /// Neither may log in any more.
    pub(super) async fn end_all(&self) {
        let mut root = self.root.lock().await;
        for role in &self.roles {
            root.execute(AssertSqlSafe(format!("ALTER ROLE {role} NOLOGIN")))
                .await
                .unwrap();
        }
    }

    /// Which of the two may log in.
    pub(super) async fn logging_in(&self) -> BTreeSet<String> {
        let mut root = self.root.lock().await;
        let rows = sqlx::query(
            "SELECT rolname::text FROM pg_authid WHERE rolname = ANY($1) AND rolcanlogin AND rolpassword IS NOT NULL",
        )
        .bind(&self.roles[..])
        .fetch_all(&mut *root)
        .await
        .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Somebody who uses a role.
    async fn log_in(&self, role: &str, password: &str) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.server.port)
            .username(role)
            .password(password)
            .database("postgres");
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// The name of who manages, and its password.
    pub(super) fn manager_text() -> (String, String) {
        (KEEPER.to_owned(), KEEPS.to_owned())
    }

    fn manager(&self) -> Credential<'_> {
        Credential {
            reference: &self.manager,
            secret: &self.password,
        }
    }
}

fn roles(whose: &str) -> [String; 2] {
    ["a", "b"].map(|turn| format!("{whose}_{turn}"))
}

/// Makes who manages, and for each of these the roles that take turns.
pub(super) async fn let_manage(server: &PostgresServer, each: &[String]) -> Root {
    let mut root = superuser(server).await;
    let keeper = format!(
        "CREATE ROLE {KEEPER} LOGIN CREATEROLE PASSWORD '{}'",
        quickly_verified(KEEPS)
    );
    root.execute(AssertSqlSafe(keeper)).await.unwrap();
    let grant = format!("GRANT pg_signal_backend TO {KEEPER}");
    root.execute(AssertSqlSafe(grant)).await.unwrap();
    for whose in each {
        let [one, other] = roles(whose);
        let made = format!(
            "CREATE ROLE {whose} NOLOGIN; CREATE ROLE {one} NOLOGIN IN ROLE {whose}; \
             CREATE ROLE {other} NOLOGIN IN ROLE {whose}; \
             GRANT {one}, {other} TO {KEEPER} WITH ADMIN OPTION"
        );
        root.execute(AssertSqlSafe(made)).await.unwrap();
    }
    Arc::new(Mutex::new(root))
}

/// A SCRAM verifier (RFC 5803) of a single round. A debug build takes a quarter of a second for the usual 4,096, and who
/// manages logs in for every call.
fn quickly_verified(password: &str) -> String {
    let salt = [7; 16];
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::MIN,
        &salt,
        password.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client = hmac::sign(&key, b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
    format!(
        "SCRAM-SHA-256$1:{}${}:{}",
        encoded(&salt),
        encoded(stored.as_ref()),
        encoded(server.as_ref())
    )
}

pub(super) async fn superuser(server: &PostgresServer) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(server.port)
        .username(SUPERUSER)
        .password(SUPERUSER_PASSWORD)
        .database("postgres");
    let begun = std::time::Instant::now();
    loop {
        match PgConnection::connect_with(&options).await {
            Ok(connection) => return connection,
            // It listens before it can be used.
            Err(_) if begun.elapsed().as_secs() < 30 => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_role_gets_a_password_works_and_ends_and_the_server_never_hears_the_password() {
    let there = There::new().await;
    let (driver, manager) = (&there.driver, there.manager());
    assert_eq!(driver.find(&manager).await, Answer::Found([].into()));
    let Creation::Proposed(role) = driver.creation(None).unwrap() else {
        panic!("a password is proposed");
    };
    let password = secret("4UnsnJEXp1fSwmKVVZyu".to_owned());
    let new = || Credential {
        reference: &role,
        secret: &password,
    };
    assert_eq!(driver.verify(&new()).await, Answer::Dead);
    for again in 0..2 {
        let made = driver
            .create(
                &manager,
                Order {
                    idempotency_key: "the-same",
                    proposed: Some(new()),
                },
            )
            .await;
        assert_eq!(made.answer, Answer::Created(role.clone()), "{again}");
    }
    assert_eq!(driver.verify(&new()).await, Answer::Works);
    let wrong = secret("4UnsnJEXp1fSwmKVVZyv".to_owned());
    let wrong = Credential {
        reference: &role,
        secret: &wrong,
    };
    assert_eq!(driver.verify(&wrong).await, Answer::Dead);
    assert_eq!(
        driver.find(&manager).await,
        Answer::Found([role.clone()].into())
    );
    assert_eq!(driver.is_used(&manager, &role).await, InUse::No);

    let mut session = there.log_in(&role.0, password.expose()).await;
    assert_eq!(driver.is_used(&manager, &role).await, InUse::Yes);

    for again in 0..2 {
        assert_eq!(
            driver.revoke(&manager, &role).await,
            Answer::Revoked,
            "{again}"
        );
    }
    assert_eq!(driver.verify(&new()).await, Answer::Dead);
    assert!(
        session.execute("SELECT 1").await.is_err(),
        "a session that was open is closed"
    );
    let gone = Reference("nobody".to_owned());
    assert_eq!(driver.revoke(&manager, &gone).await, Answer::Revoked);
    let log = there.server.log();
    assert!(
        log.contains("ALTER ROLE shop_a"),
        "it writes statements down"
    );
    assert!(
        !log.contains(password.expose()),
        "and no password is among them"
    );
}

#[tokio::test]
async fn a_role_whose_sessions_cannot_be_closed_is_ended_and_somebody_is_told_which_right_is_missing()
 {
    let there = There::new().await;
    let (role, password) = there.first().await;
    // Whoever inherits from a role may close its sessions too.
    let weaker = format!(
        "REVOKE pg_signal_backend, {role} FROM {KEEPER}; ALTER ROLE {KEEPER} NOINHERIT; \
         GRANT {role} TO {KEEPER} WITH ADMIN OPTION"
    );
    let mut root = there.root.lock().await;
    root.execute(AssertSqlSafe(weaker)).await.unwrap();
    let mut session = there.log_in(&role, &password).await;
    let (driver, manager, role) = (&there.driver, there.manager(), Reference(role));
    for again in 0..2 {
        let told = Told::default();
        let ended = {
            let _told = tracing::subscriber::set_default(told.subscriber());
            driver.revoke(&manager, &role).await
        };
        assert_eq!(ended, Answer::Revoked, "{again}");
        let told = told.text();
        assert!(
            told.contains("WARN")
                && told.contains("GRANT pg_signal_backend")
                && told.contains(&role.0),
            "{again}: {told}"
        );
    }
    let password = secret(password);
    let credential = Credential {
        reference: &role,
        secret: &password,
    };
    assert_eq!(driver.verify(&credential).await, Answer::Dead);
    session.execute("SELECT 1").await.unwrap();
    assert_eq!(driver.is_used(&manager, &role).await, InUse::Yes);
}

/// What was written to the log.
#[derive(Clone, Default)]
struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl Told {
    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        let told = self.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || told.clone())
            .finish()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_the_server_does_not_say_is_nothing_certain() {
    let there = There::new().await;
    let (driver, manager) = (&there.driver, there.manager());
    let role = Reference("shop_a".to_owned());
    // No line in pg_hba.conf for this database: the same code as a role that may not log in.
    let elsewhere = Postgres::new(
        Settings {
            host: "127.0.0.1".to_owned(),
            port: super::servers::free_port(),
            database: "postgres".to_owned(),
            roles: ["shop_a".to_owned(), "shop_b".to_owned()],
            ca_file: None,
            plain: true,
        },
        this_machine(),
        PATIENCE,
    )
    .unwrap();
    let password = secret("anything".to_owned());
    let credential = Credential {
        reference: &role,
        secret: &password,
    };
    assert!(matches!(
        elsewhere.verify(&credential).await,
        Answer::Unclear(_)
    ));
    assert!(matches!(elsewhere.find(&manager).await, Answer::Unclear(_)));
    // Nothing was ever sent.
    assert!(matches!(
        elsewhere.revoke(&manager, &role).await,
        Answer::Refused(_)
    ));
    // A manager that may not.
    let stranger = Credential {
        reference: &role,
        secret: &password,
    };
    assert!(matches!(
        driver.revoke(&stranger, &role).await,
        Answer::Refused(_)
    ));
}
