//! A third party with an HTTP interface, described instead of programmed: which call finds, makes, tries and
//! ends a key, and where in an answer things stand (JSON pointers, RFC 6901). Enough for interfaces like those
//! of Stripe, OpenAI or Datadog; `policies/`-like review of a file instead of a driver each.
//!
//! **What an answer means.** A status that the description lists means what it says there. Of the others,
//! those that say that the request was not taken (4xx, without 408 and 409) mean that it did not happen, and
//! everything else, also a body that is too long, is cut off, or has nothing where the pointer points, means
//! that nobody knows. Redirects are not followed: the key would go with them.
//!
//! **What it misses.** Interfaces that sign requests (AWS has a driver of its own), that answer XML, or that
//! make a key in several calls. A vendor whose "who am I" answers 200 to anything: found out before a
//! rotation begins, by a key that cannot be right.

mod check;
mod read;
mod settings;
mod template;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::HeaderValue;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use zeroize::Zeroizing;

pub use self::settings::{Create, Find, Request, Revoke, Settings, Shown, Verify};
use self::template::{Filling, fill, fill_json, fill_path};
use super::driver::{Credential, Driver, Made, Order, Unsuitable};
use super::machine::{Answer, Creation, Reference};
use super::{base, told};
use crate::outbound::{self, Caller};

/// The longest answer that is read: a page of a hundred keys has some 50 KiB.
const LONGEST_ANSWER: usize = 256 * 1024;
/// The most pages of one list.
const MOST_PAGES: usize = 50;

/// A described third party.
pub struct Described {
    settings: Settings,
    outside: Caller,
    longest_call: Duration,
}

impl Described {
    /// What is described, within the reach of `outside`; no call takes longer than that, with all its pages.
    pub fn new(
        settings: Settings,
        outside: Caller,
        longest_call: Duration,
    ) -> Result<Self, Unsuitable> {
        let reached = outside.reach().check(&settings.base);
        reached.map_err(base::not_reached)?;
        Ok(Self {
            settings,
            outside,
            longest_call,
        })
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::time::timeout(self.longest_call, call)
            .await
            .unwrap_or_else(|_| Err(Failure::After("no answer in time".to_owned())))
    }

    /// Sends a request of the description. Who sends it fills in how that is shown, whatever the request is about: a
    /// `{reference}` there is the sender's own.
    async fn send(
        &self,
        request: &Request,
        (shown, sender): (&Shown, &Credential<'_>),
        filling: &Filling<'_>,
        more: &[(&str, &str)],
    ) -> Result<Response, Failure> {
        let of_sender = self.of(sender);
        let refused = |why: &str| Failure::Before(why.to_owned());
        let path = fill_path(&request.path, filling);
        let mut url = self
            .settings
            .base
            .join(&path)
            .map_err(|_| refused("the path is none"))?;
        // A reference of dots is a step up, however it is quoted.
        if path.split('?').next() != Some(url.path()) {
            return Err(refused("the path leads elsewhere"));
        }
        if !more.is_empty() {
            let mut query = url.query_pairs_mut();
            for (name, value) in more {
                query.append_pair(name, value);
            }
        }
        if url.origin() != self.settings.base.origin() {
            return Err(refused("the path leads elsewhere"));
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| refused("the method is none"))?;
        let call = self.outside.request(method, url);
        let mut call = call
            .map_err(|not_connected| refused(&not_connected.to_string()))?
            .timeout(self.longest_call);
        for (name, value) in &request.headers {
            call = call.header(name, header_value(value, filling)?);
        }
        call = match shown {
            Shown::Header { header, value } => {
                call.header(header, header_value(value, &of_sender)?)
            }
            Shown::Basic { user, password } => {
                let user = fill(user, &of_sender);
                if user.contains(':') {
                    return Err(refused("the credential does not fit before a colon"));
                }
                call.basic_auth(user.as_str(), Some(fill(password, &of_sender).as_str()))
            }
        };
        if let Some(json) = &request.json {
            call = call.json(&fill_json(json, filling));
        } else if let Some(form) = &request.form {
            let filled: Vec<(&String, Zeroizing<String>)> = form
                .iter()
                .map(|(name, value)| (name, fill(value, filling)))
                .collect();
            let pairs: Vec<(&str, &str)> = filled
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            call = call.form(&pairs);
        }
        call.send().await.map_err(|error| {
            if let Some(not_connected) = outbound::refused(&error) {
                Failure::Before(not_connected.to_string())
            } else if error.is_connect() || error.is_builder() {
                Failure::Before("it cannot be reached".to_owned())
            } else if error.is_timeout() {
                Failure::After("no answer in time".to_owned())
            } else {
                Failure::After("the connection failed".to_owned())
            }
        })
    }

    fn of<'a>(&self, credential: &'a Credential<'a>) -> Filling<'a> {
        Filling {
            reference: &credential.reference.0,
            secret: Some(credential.secret),
            key: "",
        }
    }

    async fn found(&self, manager: &Credential<'_>) -> Result<Answer, Failure> {
        let find = &self.settings.find;
        let (filling, sender) = (self.of(manager), (&self.settings.manager, manager));
        let mut found = BTreeSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let more: Vec<(&str, &str)> = match (&find.pages, &cursor) {
                (Some(pages), Some(cursor)) => vec![(pages.parameter.as_str(), cursor.as_str())],
                _ => Vec::new(),
            };
            let response = self.send(&find.request, sender, &filling, &more).await?;
            let status = response.status();
            if !find.found.contains(&status.as_u16()) {
                return Err(Failure::After(format!("it answered {status}")));
            }
            let page = json(response).await?;
            let items = page
                .pointer(&find.items)
                .and_then(Value::as_array)
                .ok_or_else(nonsense)?;
            for item in items {
                if find
                    .only
                    .iter()
                    .any(|(pointer, value)| item.pointer(pointer) != Some(value))
                {
                    continue;
                }
                let called = text_at(item, &find.reference).ok_or_else(nonsense)?;
                found.insert(told::reference(&called).ok_or_else(nonsense)?);
                if found.len() > told::MOST_REFERENCES {
                    return Err(Failure::After("the list of keys does not end".to_owned()));
                }
            }
            cursor = find
                .pages
                .as_ref()
                .and_then(|pages| text_at(&page, &pages.next))
                .filter(|next| !next.is_empty());
            if cursor.is_none() {
                return Ok(Answer::Found(found));
            }
        }
        Err(Failure::After("the list of keys does not end".to_owned()))
    }

    async fn made(&self, manager: &Credential<'_>, order: &Order<'_>) -> Result<Made, Failure> {
        let create = &self.settings.create;
        let filling = Filling {
            key: order.idempotency_key,
            ..self.of(manager)
        };
        let mut request = create.request.clone();
        if let Some(header) = &create.idempotency_header {
            request
                .headers
                .insert(header.clone(), order.idempotency_key.to_owned());
        }
        let response = self
            .send(&request, (&self.settings.manager, manager), &filling, &[])
            .await?;
        let status = response.status();
        if !create.made.contains(&status.as_u16()) {
            return Err(Failure::of(status));
        }
        let body = json(response).await?;
        let reference = text_at(&body, &create.reference).ok_or_else(nonsense)?;
        let secret = Zeroizing::new(text_at(&body, &create.secret).ok_or_else(nonsense)?);
        let (reference, secret) = told::made(&reference, secret).ok_or_else(nonsense)?;
        Ok(Made {
            answer: Answer::Created(reference),
            secret: Some(secret),
        })
    }

    async fn tried(&self, credential: &Credential<'_>) -> Result<Answer, Failure> {
        let verify = &self.settings.verify;
        let sender = (&self.settings.credential, credential);
        let filling = self.of(credential);
        let response = self.send(&verify.request, sender, &filling, &[]).await?;
        let status = response.status().as_u16();
        Ok(if verify.works.contains(&status) {
            Answer::Works
        } else if verify.dead.contains(&status) {
            Answer::Dead
        } else {
            Answer::Unclear(format!("it answered {status}"))
        })
    }

    async fn revoked(
        &self,
        manager: &Credential<'_>,
        reference: &Reference,
    ) -> Result<Answer, Failure> {
        let revoke = &self.settings.revoke;
        let filling = Filling {
            reference: &reference.0,
            ..self.of(manager)
        };
        let response = self
            .send(
                &revoke.request,
                (&self.settings.manager, manager),
                &filling,
                &[],
            )
            .await?;
        let status = response.status();
        if revoke.ended.contains(&status.as_u16()) {
            Ok(Answer::Revoked)
        } else {
            Err(Failure::of(status))
        }
    }
}

impl Driver for Described {
    fn creation(&self, _in_force: Option<&Reference>) -> Result<Creation, Unsuitable> {
        Ok(if self.settings.create.idempotency_header.is_some() {
            Creation::Repeatable
        } else {
            Creation::Returned
        })
    }

    fn find<'a>(&'a self, manager: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.in_time(self.found(manager))
                .await
                .unwrap_or_else(Failure::into_answer)
        })
    }

    fn create<'a>(&'a self, manager: &'a Credential<'a>, order: Order<'a>) -> BoxFuture<'a, Made> {
        Box::pin(async move {
            self.in_time(self.made(manager, &order))
                .await
                .unwrap_or_else(|failure| failure.into_answer().into())
        })
    }

    fn verify<'a>(&'a self, credential: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            match self.in_time(self.tried(credential)).await {
                Ok(answer) => answer,
                // Not even "no" to the request says anything about the credential.
                Err(Failure::Before(why) | Failure::After(why)) => Answer::Unclear(why),
            }
        })
    }

    fn revoke<'a>(
        &'a self,
        manager: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.in_time(self.revoked(manager, reference))
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
}

impl Failure {
    fn of(status: StatusCode) -> Self {
        let why = format!("it answered {status}");
        let perhaps = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT);
        if status.is_client_error() && !perhaps {
            Self::Before(why)
        } else {
            Self::After(why)
        }
    }

    fn into_answer(self) -> Answer {
        match self {
            Self::Before(why) => Answer::Refused(why),
            Self::After(why) => Answer::Unclear(why),
        }
    }
}

fn nonsense() -> Failure {
    Failure::After("the answer is not what the description says".to_owned())
}

/// Numbers are names too, with some vendors.
fn text_at(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

async fn json(response: Response) -> Result<Value, Failure> {
    let body = told::body(response, LONGEST_ANSWER).await;
    let body = body.map_err(|broken| Failure::After(broken.words().to_owned()))?;
    // Reading it takes a depth of 128 and no more.
    serde_json::from_slice(&body).map_err(|_| nonsense())
}

/// A header with everything filled in. What was kept by an earlier version was judged by its rules, and a value with a
/// line break would become another header: it is looked at again where it goes in.
fn header_value(template: &str, filling: &Filling<'_>) -> Result<HeaderValue, Failure> {
    let refused = || Failure::Before("the credential does not fit into a header".to_owned());
    if template.contains("{secret}")
        && let Some(secret) = filling.secret
    {
        secret.for_header().map_err(|_| refused())?;
    }
    let mut value = HeaderValue::from_str(&fill(template, filling)).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok(value)
}
