//! Another issuer's token as proof (RFC 7523 section 2.2): a workload that its platform vouches for needs no
//! key of its own that it could lose.
//!
//! What it takes: the operator trusts the issuer (`federation.issuers`), an administrator pinned one subject of
//! it to an identity, and the token is for this broker, signed by a key the issuer publishes, and not shown
//! before. Issuer and subject are compared letter for letter.
//!
//! What it misses: whoever controls the issuer is whoever it says. A platform that gives one subject to many
//! (all branches, all pull requests) has pinned many. Whether a token was shown before is remembered in memory;
//! so what may have been shown before this broker started is refused: whatever was signed before, or in the
//! seconds after it that clocks may differ. Several brokers would each remember their own.

mod assertion;
mod fetch;
mod keys;
mod once;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

pub use assertion::{Assertion, AssertionFault};

use crate::clock::UnixMillis;
use crate::outbound::Reach;
use assertion::LEEWAY_SECONDS;
use fetch::Fetcher;
use keys::IssuerKeys;
use once::Once;

/// What the operator decided about other issuers.
#[derive(Clone, Debug, Default)]
pub struct FederationSettings {
    /// Whose tokens may be proof at all. Nobody else is ever asked for keys.
    pub issuers: Vec<TrustedIssuer>,
    /// Whether issuers may lie on loopback and private networks.
    pub private_addresses: bool,
}

/// An issuer, and where its keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// The `iss` of its tokens, byte for byte.
    pub issuer: String,
    /// Its key set; `None`: where its discovery document says, on the issuer's own origin.
    pub keys_at: Option<Url>,
}

/// Why issuers cannot be trusted as the operator wrote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FederationError {
    /// It is no address.
    #[error("`federation.issuers`: `{issuer}` is not an address")]
    Address { issuer: String },
    /// It lies where nobody from outside is.
    #[error(
        "`federation.issuers`: `{issuer}` lies on a private address: `federation.private_addresses = true` allows it"
    )]
    Private { issuer: String },
    /// No connection can be made from here.
    #[error("no connections to issuers can be made")]
    Client(#[from] reqwest::Error),
}

/// The issuers that are trusted, their keys, and what they vouched for already.
pub struct Federation {
    issuers: HashMap<String, Arc<IssuerKeys>>,
    once: Mutex<Once>,
    /// What was shown before is not remembered.
    since: UnixMillis,
}

impl Federation {
    /// Nothing is fetched yet.
    pub fn open(settings: &FederationSettings, now: UnixMillis) -> Result<Self, FederationError> {
        let mut issuers = HashMap::new();
        if !settings.issuers.is_empty() {
            let fetcher = Arc::new(Fetcher::new(settings.private_addresses)?);
            for trusted in &settings.issuers {
                check_address(trusted, settings.private_addresses)?;
                let keys = IssuerKeys::new(trusted.clone(), Arc::clone(&fetcher));
                issuers.insert(trusted.issuer.clone(), Arc::new(keys));
            }
        }
        Ok(Self {
            issuers,
            once: Mutex::default(),
            since: now,
        })
    }

    /// Whether the operator trusts this issuer.
    pub fn trusts(&self, issuer: &str) -> bool {
        self.issuers.contains_key(issuer)
    }

    /// Whether the issuer it names signed it.
    pub async fn check_signature(
        &self,
        assertion: &Assertion,
        now: UnixMillis,
    ) -> Result<(), AssertionFault> {
        let issuer = self.issuers.get(assertion.issuer());
        let keys = issuer.ok_or(AssertionFault::Issuer)?;
        let key = keys
            .find(assertion.kid(), assertion.algorithm(), now)
            .await?;
        assertion.check_signature(&key)
    }

    /// Whether it is shown for the first time; from now on it was shown.
    pub fn check_first_use(
        &self,
        assertion: &Assertion,
        now: UnixMillis,
    ) -> Result<(), AssertionFault> {
        // From a clock that is ahead it is good some seconds before its `iat`, and may have been shown then.
        let forgotten = self.since.seconds().saturating_add(LEEWAY_SECONDS);
        if assertion.issued_at() <= forgotten {
            return Err(AssertionFault::BeforeStart);
        }
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        once.take(assertion.fingerprint(), assertion.unusable_from(), now)
    }
}

fn check_address(trusted: &TrustedIssuer, private_too: bool) -> Result<(), FederationError> {
    let issuer = &trusted.issuer;
    let url = Url::parse(issuer).map_err(|_| FederationError::Address {
        issuer: issuer.clone(),
    })?;
    // What a name leads to is looked at whenever it is resolved.
    let reach = reach(private_too);
    let mut written = [Some(&url), trusted.keys_at.as_ref()].into_iter().flatten();
    if written.any(|url| reach.check(url).is_err()) {
        return Err(FederationError::Private {
            issuer: issuer.clone(),
        });
    }
    Ok(())
}

/// Where issuers may be.
fn reach(private_too: bool) -> Reach {
    if private_too {
        Reach::anywhere()
    } else {
        Reach::public()
    }
}
