//! Access keys of an AWS IAM user: two at most, of which the secret half is told once.
//!
//! A key whose answer was lost is in the list and known to nobody; with two keys taken, no third can be made.
//! So it is found and deleted before another one is tried: the user must be Lanyard's alone, and every key
//! that appears while a rotation makes one is taken for its own.
//!
//! **How a key is tried.** `sts:GetCallerIdentity`, which needs no permission and no policy can deny: what it
//! refuses is not a key any more. But for one thing: when the clock of this machine is off, a good key is refused with
//! the word for a wrong one.
//!
//! **What it misses.** IAM tells its regions after seconds: a new key may be refused by one server and taken
//! by the next, and a deleted one the other way round. A rotation asks again until it has waited long enough.
//! Roles and temporary credentials (`AssumeRole`) need no rotation; have them where you can.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use futures::future::BoxFuture;
use reqwest::{Method, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::driver::{Credential, Driver, Made, Order, Unsuitable};
use super::machine::{Answer, Creation, Reference};
use super::plan::Table;
use super::{base, told};
use crate::clock::Clock;
use crate::outbound::{self, Caller};

/// The longest answer that is read: a list of two keys has 1 KiB.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The longest name of an IAM user.
const LONGEST_USER: usize = 64;

/// Whose keys, and where.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The IAM user, which has no other keys than ours.
    pub user: String,
    /// Where IAM is.
    #[serde(default = "iam")]
    pub iam: Url,
    /// Where STS is.
    #[serde(default = "sts")]
    pub sts: Url,
    /// The region that requests are signed for; IAM has one for each partition.
    #[serde(default = "usual_region")]
    pub region: String,
    /// Certificates to believe instead of those of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<std::path::PathBuf>,
}

#[expect(clippy::expect_used, reason = "a constant that a test reads")]
fn iam() -> Url {
    Url::parse("https://iam.amazonaws.com/").expect("it is a URL")
}

#[expect(clippy::expect_used, reason = "a constant that a test reads")]
fn sts() -> Url {
    Url::parse("https://sts.amazonaws.com/").expect("it is a URL")
}

fn usual_region() -> String {
    "us-east-1".to_owned()
}

impl Settings {
    /// Reads what somebody wrote.
    pub(super) fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let address = "an address such as `https://iam.amazonaws.com/`";
        let settings = Self {
            user: table.required("user", "the name of an IAM user")?,
            iam: table.optional("iam", address)?.unwrap_or_else(iam),
            sts: table.optional("sts", address)?.unwrap_or_else(sts),
            region: table
                .optional("region", "a region such as `us-east-1`")?
                .unwrap_or_else(usual_region),
            ca_file: table.optional("ca_file", "the path of a file")?,
        };
        table.finish()?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether it can be used as it stands.
    fn check(&self) -> Result<(), Unsuitable> {
        let wrong = |text: String| Err(Unsuitable::Settings(text));
        let of_user = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte);
        if !(1..=LONGEST_USER).contains(&self.user.len()) || !self.user.bytes().all(of_user) {
            return wrong(format!(
                "`third_party.user` is 1 to {LONGEST_USER} letters, digits and `+=,.@-_`"
            ));
        }
        let of_region =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.region.is_empty() || !self.region.bytes().all(of_region) {
            return wrong("`third_party.region` is a region such as `us-east-1`".to_owned());
        }
        for (member, url) in [("iam", &self.iam), ("sts", &self.sts)] {
            base::check(&format!("third_party.{member}"), url)?;
        }
        Ok(())
    }
}

/// AWS IAM.
pub struct AwsIam {
    settings: Settings,
    outside: Caller,
    clock: Arc<dyn Clock>,
    longest_call: Duration,
}

/// A service of AWS.
#[derive(Clone, Copy)]
enum Service {
    Iam,
    Sts,
}

impl AwsIam {
    /// The keys of a user, within the reach of `outside`; no call takes longer than that.
    pub fn new(
        settings: Settings,
        outside: Caller,
        clock: Arc<dyn Clock>,
        longest_call: Duration,
    ) -> Result<Self, Unsuitable> {
        for url in [&settings.iam, &settings.sts] {
            outside.reach().check(url).map_err(base::not_reached)?;
        }
        Ok(Self {
            settings,
            outside,
            clock,
            longest_call,
        })
    }

    /// A call of the query interface: the document, or what became of it.
    async fn call(
        &self,
        service: Service,
        as_whom: &Credential<'_>,
        parameters: &[(&str, &str)],
    ) -> Result<Zeroizing<String>, Failure> {
        let (url, name, version) = match service {
            Service::Iam => (&self.settings.iam, "iam", "2010-05-08"),
            Service::Sts => (&self.settings.sts, "sts", "2011-06-15"),
        };
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        const TYPE: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
        let unsigned = |_| Failure::Before("the request cannot be signed".to_owned());
        let identity = Credentials::new(
            as_whom.reference.0.as_str(),
            as_whom.secret.expose(),
            None,
            None,
            "lanyard",
        )
        .into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.settings.region)
            .name(name)
            .time(UNIX_EPOCH + Duration::from_millis(self.clock.now().0))
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| Failure::Before("the request cannot be signed".to_owned()))?
            .into();
        let signable = SignableRequest::new(
            "POST",
            url.as_str(),
            std::iter::once(TYPE),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(unsigned)?;
        let (instructions, _) = sign(signable, &params).map_err(unsigned)?.into_parts();
        let request = self.outside.request(Method::POST, url.clone());
        let mut request = request
            .map_err(|refused| Failure::Before(refused.to_string()))?
            .timeout(self.longest_call)
            .header(TYPE.0, TYPE.1);
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await.map_err(|error| {
            if let Some(refused) = outbound::refused(&error) {
                Failure::Before(refused.to_string())
            } else if error.is_connect() || error.is_builder() {
                Failure::Before("it cannot be reached".to_owned())
            } else if error.is_timeout() {
                Failure::After("no answer in time".to_owned())
            } else {
                Failure::After("the connection failed".to_owned())
            }
        })?;
        let status = response.status();
        let document = text(response).await?;
        if status.is_success() {
            return Ok(document);
        }
        let (code, message) = error_said(&document).ok_or_else(nonsense)?;
        if is_of_clocks(&code, &message) {
            return Err(Failure::Clocks { code });
        }
        Err(Failure::Said { status, code })
    }

    async fn found(&self, manager: &Credential<'_>) -> Result<Answer, Failure> {
        let user = self.settings.user.as_str();
        let document = self
            .call(
                Service::Iam,
                manager,
                &[
                    ("Action", "ListAccessKeys"),
                    ("UserName", user),
                    ("MaxItems", "100"),
                ],
            )
            .await?;
        let tree = roxmltree::Document::parse(&document).map_err(|_| nonsense())?;
        let list = element(tree.root(), "AccessKeyMetadata").ok_or_else(nonsense)?;
        let more = element(tree.root(), "IsTruncated").and_then(|more| more.text().map(str::trim));
        if more == Some("true") {
            return Err(Failure::After(
                "the user has more keys than a user can have".to_owned(),
            ));
        }
        let mut found = BTreeSet::new();
        for member in list.children().filter(roxmltree::Node::is_element) {
            let id = child_text(member, "AccessKeyId").ok_or_else(nonsense)?;
            found.insert(told::reference(&id).ok_or_else(nonsense)?);
        }
        Ok(Answer::Found(found))
    }

    async fn made(&self, manager: &Credential<'_>) -> Result<Made, Failure> {
        let user = self.settings.user.as_str();
        let document = self
            .call(
                Service::Iam,
                manager,
                &[("Action", "CreateAccessKey"), ("UserName", user)],
            )
            .await?;
        let tree = roxmltree::Document::parse(&document).map_err(|_| nonsense())?;
        let key = element(tree.root(), "AccessKey").ok_or_else(nonsense)?;
        let reference = child_text(key, "AccessKeyId").ok_or_else(nonsense)?;
        let secret = Zeroizing::new(child_text(key, "SecretAccessKey").ok_or_else(nonsense)?);
        let (reference, secret) = told::made(&reference, secret).ok_or_else(nonsense)?;
        Ok(Made {
            answer: Answer::Created(reference),
            secret: Some(secret),
        })
    }

    async fn tried(&self, credential: &Credential<'_>) -> Answer {
        let asked = self
            .call(Service::Sts, credential, &[("Action", "GetCallerIdentity")])
            .await;
        match asked {
            Ok(document) if document.contains("GetCallerIdentityResult") => Answer::Works,
            Ok(_) => Answer::Unclear("the answer is none of STS".to_owned()),
            Err(Failure::Said { code, .. })
                if matches!(
                    code.as_str(),
                    "InvalidClientTokenId" | "SignatureDoesNotMatch"
                ) =>
            {
                Answer::Dead
            }
            Err(failure) => match failure.into_answer() {
                Answer::Refused(why) => Answer::Unclear(why),
                answer => answer,
            },
        }
    }

    async fn revoked(
        &self,
        manager: &Credential<'_>,
        reference: &Reference,
    ) -> Result<Answer, Failure> {
        let user = self.settings.user.as_str();
        let asked = self
            .call(
                Service::Iam,
                manager,
                &[
                    ("Action", "DeleteAccessKey"),
                    ("UserName", user),
                    ("AccessKeyId", &reference.0),
                ],
            )
            .await;
        match asked {
            Ok(_) => Ok(Answer::Revoked),
            Err(Failure::Said { code, .. }) if code == "NoSuchEntity" => Ok(Answer::Revoked),
            Err(failure) => Err(failure),
        }
    }
}

impl Driver for AwsIam {
    fn creation(&self, _in_force: Option<&Reference>) -> Result<Creation, Unsuitable> {
        Ok(Creation::Returned)
    }

    fn find<'a>(&'a self, manager: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.found(manager)
                .await
                .unwrap_or_else(Failure::into_answer)
        })
    }

    fn create<'a>(&'a self, manager: &'a Credential<'a>, _order: Order<'a>) -> BoxFuture<'a, Made> {
        Box::pin(async move {
            self.made(manager)
                .await
                .unwrap_or_else(|failure| failure.into_answer().into())
        })
    }

    fn verify<'a>(&'a self, credential: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(self.tried(credential))
    }

    fn revoke<'a>(
        &'a self,
        manager: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.revoked(manager, reference)
                .await
                .unwrap_or_else(Failure::into_answer)
        })
    }
}

/// Where a call failed. The texts are for the operator, and say nothing of what was answered.
enum Failure {
    /// It did not happen.
    Before(String),
    /// It may have happened.
    After(String),
    /// AWS has another time than this machine, and did nothing.
    Clocks { code: String },
    /// AWS said why not.
    Said { status: StatusCode, code: String },
}

impl Failure {
    fn into_answer(self) -> Answer {
        match self {
            Self::Before(why) => Answer::Refused(why),
            Self::After(why) => Answer::Unclear(why),
            Self::Clocks { code } => Answer::Refused(format!(
                "the clock of this machine differs from that of AWS: it said {code}"
            )),
            // "Entity temporarily unmodifiable" and the like are answers too: nothing was done.
            Self::Said { status, code } if status.is_client_error() => {
                Answer::Refused(format!("AWS said {code}"))
            }
            Self::Said { code, .. } => Answer::Unclear(format!("AWS said {code}")),
        }
    }
}

fn nonsense() -> Failure {
    Failure::After("the answer is none that AWS gives".to_owned())
}

fn element<'a, 'i>(root: roxmltree::Node<'a, 'i>, name: &str) -> Option<roxmltree::Node<'a, 'i>> {
    root.descendants()
        .find(|node| node.tag_name().name() == name)
}

fn child_text(node: roxmltree::Node<'_, '_>, name: &str) -> Option<String> {
    let text = node
        .children()
        .find(|child| child.tag_name().name() == name)?
        .text()?
        .trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The code and the message of an error. Codes are short words; whatever else stands there is not repeated.
fn error_said(document: &str) -> Option<(String, String)> {
    let tree = roxmltree::Document::parse(document).ok()?;
    let error = element(tree.root(), "Error")?;
    let code = child_text(error, "Code")?;
    let is_word = code.len() <= 64
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    is_word.then(|| (code, child_text(error, "Message").unwrap_or_default()))
}

/// Whether a request was refused because of when it was signed, which says nothing about the key. The query interface
/// says so in the message alone: the code is the one of a wrong key.
fn is_of_clocks(code: &str, message: &str) -> bool {
    let too = |when: &str| message.starts_with(when);
    match code {
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            too("Signature expired") || too("Signature not yet current")
        }
        "RequestExpired" | "RequestTimeTooSkewed" => true,
        _ => false,
    }
}

async fn text(response: reqwest::Response) -> Result<Zeroizing<String>, Failure> {
    let body = told::body(response, LONGEST_ANSWER).await;
    let body = body.map_err(|broken| Failure::After(broken.words().to_owned()))?;
    std::str::from_utf8(&body)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| nonsense())
}
