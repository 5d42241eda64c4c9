//! The description of an HTTP interface.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// Which calls an integration makes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the paths begin.
    pub base: Url,
    /// How whoever manages keys shows who it is.
    pub manager: Shown,
    /// How a key of this kind is shown.
    pub credential: Shown,
    /// Lists the keys that this integration may end.
    pub find: Find,
    /// Makes one.
    pub create: Create,
    /// Tries one.
    pub verify: Verify,
    /// Ends one.
    pub revoke: Revoke,
    /// Certificates to believe instead of those of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// How a credential is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Shown {
    /// In a header: `Authorization` and `Bearer {secret}`.
    Header {
        /// Its name.
        header: String,
        /// Its value.
        value: String,
    },
    /// As RFC 7617 has it.
    Basic {
        /// Before the colon.
        user: String,
        /// Behind it.
        password: String,
    },
}

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Below the base; may hold `{reference}` and `{key}`.
    pub path: String,
    /// Besides what is always sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON; its texts may hold `{reference}` and `{key}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// The body, as a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeMap<String, String>>,
}

/// The list of keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Find {
    /// How it is asked for.
    #[serde(flatten)]
    pub request: Request,
    /// Statuses that come with a list.
    #[serde(default = "ok")]
    pub found: Vec<u16>,
    /// Where in the answer the list stands.
    pub items: String,
    /// Where in an item its name stands.
    pub reference: String,
    /// What an item must have to be ours, such as `"/name" = "lanyard"`: others are nobody's business.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<String, Value>,
    /// When the list comes in pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
}

/// How the next page is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Where in the answer the next cursor stands; not there, `null` or empty: it was the last page.
    pub next: String,
    /// The query parameter that takes it.
    pub parameter: String,
}

/// How a key is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Create {
    /// How it is asked for.
    #[serde(flatten)]
    pub request: Request,
    /// Statuses that come with a new key.
    #[serde(default = "made")]
    pub made: Vec<u16>,
    /// Where its name stands.
    pub reference: String,
    /// Where the key itself stands.
    pub secret: String,
    /// The header that makes asking twice the same as asking once, and answers the same; none: what was lost is
    /// looked for and ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_header: Option<String>,
}

/// How a key is tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verify {
    /// A request that changes nothing.
    #[serde(flatten)]
    pub request: Request,
    /// Statuses of keys that work.
    #[serde(default = "ok")]
    pub works: Vec<u16>,
    /// Statuses of keys that are dead.
    #[serde(default = "unauthorized")]
    pub dead: Vec<u16>,
}

/// How a key is ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revoke {
    /// How it is asked for.
    #[serde(flatten)]
    pub request: Request,
    /// Statuses after which it is not there.
    #[serde(default = "ended")]
    pub ended: Vec<u16>,
}

pub(super) fn ok() -> Vec<u16> {
    vec![200]
}

pub(super) fn made() -> Vec<u16> {
    vec![200, 201]
}

pub(super) fn unauthorized() -> Vec<u16> {
    vec![401]
}

pub(super) fn ended() -> Vec<u16> {
    vec![200, 202, 204, 404, 410]
}

impl Request {
    pub(super) fn mentions(&self, placeholder: &str) -> bool {
        self.path.contains(placeholder)
            || self
                .json
                .as_ref()
                .is_some_and(|json| json.to_string().contains(placeholder))
            || self
                .form
                .as_ref()
                .is_some_and(|form| form.values().any(|value| value.contains(placeholder)))
    }
}

impl Shown {
    pub(super) fn mentions(&self, placeholder: &str) -> bool {
        match self {
            Self::Header { value, .. } => value.contains(placeholder),
            Self::Basic { user, password } => {
                user.contains(placeholder) || password.contains(placeholder)
            }
        }
    }
}
