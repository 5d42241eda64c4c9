//! The PostgreSQL driver against a real server.

use std::collections::BTreeSet;

use lanyard::vault::SecretValue;
use lanyard::vault::rotate::driver::{Credential, Driver, Order};
use lanyard::vault::rotate::machine::{Answer, Creation, Reference};
use lanyard::vault::rotate::postgres::{Postgres, Settings};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor, Row};

use super::servers::{PATIENCE, PostgresServer, SUPERUSER, SUPERUSER_PASSWORD, secret};

pub(super) struct There {
    pub(super) server: PostgresServer,
    driver: Postgres,
    manager: Reference,
    password: SecretValue,
}

impl There {
    pub(super) async fn new() -> Self {
        let server = PostgresServer::start();
        let mut root = superuser(&server).await;
        for statement in [
            "CREATE ROLE shop NOLOGIN",
            "CREATE ROLE shop_a NOLOGIN IN ROLE shop",
            "CREATE ROLE shop_b NOLOGIN IN ROLE shop",
            "CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeps'",
            "GRANT shop_a, shop_b TO keeper WITH ADMIN OPTION",
            "GRANT pg_signal_backend TO keeper",
        ] {
            root.execute(statement).await.unwrap();
        }
        let driver = Postgres::new(
            Settings {
                host: "127.0.0.1".to_owned(),
                port: server.port,
                database: "postgres".to_owned(),
                roles: ["shop_a".to_owned(), "shop_b".to_owned()],
                ca_file: None,
                plain: true,
            },
            PATIENCE,
        )
        .unwrap();
        Self {
            server,
            driver,
            manager: Reference("keeper".to_owned()),
            password: secret("keeps".to_owned()),
        }
    }

    /// The first role gets a first password by hand.
    pub(super) async fn first(&self) -> (String, String) {
        superuser(&self.server)
            .await
            .execute("ALTER ROLE shop_a LOGIN PASSWORD 'the-first-one'")
            .await
            .unwrap();
        ("shop_a".to_owned(), "the-first-one".to_owned())
    }

    /// Neither may log in any more.
    pub(super) async fn end_all(&self) {
        let mut root = superuser(&self.server).await;
        for statement in ["ALTER ROLE shop_a NOLOGIN", "ALTER ROLE shop_b NOLOGIN"] {
            root.execute(statement).await.unwrap();
        }
    }

    /// Which of the two may log in.
    pub(super) async fn logging_in(&self) -> BTreeSet<String> {
        let mut root = superuser(&self.server).await;
        let rows = sqlx::query(
            "SELECT rolname::text FROM pg_authid WHERE rolname LIKE 'shop\\__' AND rolcanlogin AND rolpassword IS NOT NULL",
        )
        .fetch_all(&mut root)
        .await
        .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn manager(&self) -> Credential<'_> {
        Credential {
            reference: &self.manager,
            secret: &self.password,
        }
    }
}

async fn superuser(server: &PostgresServer) -> PgConnection {
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
    assert_eq!(driver.is_used(&manager, &role).await, Some(false));

    let mut session = PgConnection::connect_with(
        &PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(there.server.port)
            .username(&role.0)
            .password(password.expose())
            .database("postgres"),
    )
    .await
    .unwrap();
    assert_eq!(driver.is_used(&manager, &role).await, Some(true));

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
