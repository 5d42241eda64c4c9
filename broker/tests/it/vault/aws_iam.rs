//! The AWS driver against moto, whose IAM checks who calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use lanyard::clock::SystemClock;
use lanyard::vault::SecretValue;
use lanyard::vault::rotate::aws_iam::{AwsIam, Settings};
use lanyard::vault::rotate::driver::{Credential, Driver, Order};
use lanyard::vault::rotate::machine::{Answer, Reference};

use super::http::odd;
use super::servers::{Moto, PATIENCE, secret, to_this_machine};

/// An account: its users, and who may manage their keys.
pub(super) struct Accounts {
    pub(super) server: Moto,
    keeper: (String, String),
}

impl Accounts {
    /// With these users, none of which has a key.
    pub(super) async fn start(users: &[String]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        const MAY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*","sts:*"],"Resource":"*"}]}"#;
        let keeper = [
            vec![("Action", "CreateUser"), ("UserName", "keeper")],
            vec![
                ("Action", "PutUserPolicy"),
                ("UserName", "keeper"),
                ("PolicyName", "keeps"),
                ("PolicyDocument", MAY),
            ],
            vec![("Action", "CreateAccessKey"), ("UserName", "keeper")],
        ];
        let each = users
            .iter()
            .map(|user| vec![("Action", "CreateUser"), ("UserName", user.as_str())]);
        let calls: Vec<_> = each.chain(keeper).collect();
        let server = Moto::start(calls.len());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut last = String::new();
        for mut call in calls {
            call.push(("Version", "2010-05-08"));
            let answer = http
                .post(server.url())
                .header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=anybody/20260101/us-east-1/iam/aws4_request, \
                     SignedHeaders=host, Signature=0",
                )
                .form(&call)
                .send()
                .await
                .unwrap();
            let status = answer.status();
            last = answer.text().await.unwrap();
            assert!(status.is_success(), "{last}");
        }
        let part = |name: &str| {
            let (_, rest) = last.split_once(&format!("<{name}>")).unwrap();
            rest.split('<').next().unwrap().to_owned()
        };
        Self {
            server,
            keeper: (part("AccessKeyId"), part("SecretAccessKey")),
        }
    }
}

/// A user whose keys are rotated.
pub(super) struct Account {
    pub(super) accounts: Arc<Accounts>,
    pub(super) driver: AwsIam,
    reference: Reference,
    secret: SecretValue,
}

impl Account {
    pub(super) async fn new() -> Self {
        let accounts = Accounts::start(&["shop".to_owned()]).await;
        Self::of(Arc::new(accounts), "shop")
    }

    /// One of the users of an account.
    pub(super) fn of(accounts: Arc<Accounts>, user: &str) -> Self {
        let driver = driver(&accounts.server.url(), user);
        let (id, half) = accounts.keeper.clone();
        Self {
            accounts,
            driver,
            reference: Reference(id),
            secret: secret(half),
        }
    }

    /// A key made by hand: its id and its secret half.
    pub(super) async fn make(&self) -> (String, String) {
        let made = self.driver.create(&self.manager(), order()).await;
        let Answer::Created(reference) = made.answer else {
            panic!("{:?}", made.answer);
        };
        (reference.0, made.secret.unwrap().expose().to_owned())
    }

    /// Ids of the user's keys.
    pub(super) async fn keys(&self) -> BTreeSet<String> {
        match self.driver.find(&self.manager()).await {
            Answer::Found(found) => found.into_iter().map(|reference| reference.0).collect(),
            answer => panic!("{answer:?}"),
        }
    }

    /// Ends every key of the user.
    pub(super) async fn end_all(&self) {
        for id in self.keys().await {
            let ended = self.driver.revoke(&self.manager(), &Reference(id)).await;
            assert_eq!(ended, Answer::Revoked);
        }
    }

    /// The id and the secret half of whoever may.
    pub(super) fn manager_text(&self) -> (String, String) {
        (self.reference.0.clone(), self.secret.expose().to_owned())
    }

    pub(super) fn manager(&self) -> Credential<'_> {
        Credential {
            reference: &self.reference,
            secret: &self.secret,
        }
    }
}

fn driver(at: &str, user: &str) -> AwsIam {
    let at: url::Url = at.parse().unwrap();
    AwsIam::new(
        Settings {
            ca_file: None,
            user: user.to_owned(),
            iam: at.clone(),
            sts: at,
            region: "us-east-1".to_owned(),
        },
        to_this_machine(),
        Arc::new(SystemClock),
        PATIENCE,
    )
    .unwrap()
}

fn order() -> Order<'static> {
    Order {
        idempotency_key: "any",
        proposed: None,
    }
}

#[tokio::test]
async fn a_key_is_made_works_and_ends_and_a_third_one_is_refused() {
    let account = Account::new().await;
    let (driver, manager) = (&account.driver, account.manager());
    assert_eq!(driver.verify(&manager).await, Answer::Works);
    assert_eq!(driver.find(&manager).await, Answer::Found([].into()));
    let mut made = Vec::new();
    for _ in 0..2 {
        let new = driver.create(&manager, order()).await;
        let Answer::Created(reference) = new.answer else {
            panic!("{:?}", new.answer);
        };
        made.push((reference, new.secret.unwrap()));
    }
    let third = driver.create(&manager, order()).await;
    assert!(
        matches!(third.answer, Answer::Refused(_)),
        "{:?}",
        third.answer
    );
    let names = made
        .iter()
        .map(|(reference, _)| reference.clone())
        .collect();
    assert_eq!(driver.find(&manager).await, Answer::Found(names));
    let (reference, made_secret) = &made[0];
    let key = Credential {
        reference,
        secret: made_secret,
    };
    assert_eq!(driver.verify(&key).await, Answer::Works);
    let wrong = secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
    let wrong = Credential {
        reference,
        secret: &wrong,
    };
    assert_eq!(driver.verify(&wrong).await, Answer::Dead);
    for _ in 0..2 {
        assert_eq!(driver.revoke(&manager, reference).await, Answer::Revoked);
    }
    assert_eq!(driver.verify(&key).await, Answer::Dead);
    // A key of the user itself may not manage keys: AWS says no, and nothing happened.
    let (reference, secret) = &made[1];
    let weak = Credential { reference, secret };
    assert!(matches!(
        driver.create(&weak, order()).await.answer,
        Answer::Refused(_)
    ));
}

/// A refusal as the query interface words it.
async fn refuses(code: &str, message: &str) -> AwsIam {
    let document = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ErrorResponse>"
    );
    let url = odd(move || (StatusCode::FORBIDDEN, document.clone()).into_response()).await;
    driver(&url, "shop")
}

#[tokio::test]
async fn a_key_is_not_dead_because_a_clock_is_off() {
    let (reference, secret) = (Reference("AKIA4711".to_owned()), secret("half".to_owned()));
    let key = Credential {
        reference: &reference,
        secret: &secret,
    };
    for (code, message) in [
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261126T130000Z is now earlier than 20261126T134500Z (20261126T140000Z - 15 min.)",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature not yet current: 20261126T150000Z is still later than 20261126T141500Z (20261126T140000Z + 15 min.)",
        ),
        ("RequestExpired", "Request has expired."),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
    ] {
        let driver = refuses(code, message).await;
        let says_so = |why: &str| why.contains("clock") && why.contains(code);
        match driver.verify(&key).await {
            Answer::Unclear(why) => assert!(says_so(&why), "{code}: {why}"),
            answer => panic!("{code}: {answer:?}"),
        }
        // For certain nothing was made or ended either.
        for answer in [
            driver.create(&key, order()).await.answer,
            driver.revoke(&key, &reference).await,
        ] {
            match answer {
                Answer::Refused(why) => assert!(says_so(&why), "{code}: {why}"),
                answer => panic!("{code}: {answer:?}"),
            }
        }
    }
    for (code, message) in [
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ),
        ("SignatureDoesNotMatch", ""),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
    ] {
        let driver = refuses(code, message).await;
        assert_eq!(driver.verify(&key).await, Answer::Dead, "{code}: {message}");
    }
}
