//! Token exchange (RFC 8693).

use std::time::Duration;

use lanyard_token::{Audience, ScopeSet, TaskScope};

use super::endpoint::{Form, form};
use crate::Secret;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What to exchange, and into what. The result is never wider than the subject.
#[derive(Clone, Copy)]
pub struct Exchange<'e> {
    subject: &'e Secret,
    actor: Option<&'e Secret>,
    audience: &'e Audience,
    scopes: Option<&'e ScopeSet>,
    task: Option<&'e TaskScope>,
    lifetime: Option<Duration>,
}

impl<'e> Exchange<'e> {
    /// Exchanges this token for one that is good at `audience`.
    #[must_use]
    pub const fn of(subject: &'e Secret, audience: &'e Audience) -> Self {
        Self {
            subject,
            actor: None,
            audience,
            scopes: None,
            task: None,
            lifetime: None,
        }
    }

    /// On behalf of the subject, by the holder of this token.
    #[must_use]
    pub const fn by(mut self, actor: &'e Secret) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Only these scopes; all of the subject's by default.
    #[must_use]
    pub const fn scopes(mut self, scopes: &'e ScopeSet) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Only for this task.
    #[must_use]
    pub const fn task(mut self, task: &'e TaskScope) -> Self {
        self.task = Some(task);
        self
    }

    /// At most this long.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    pub(super) fn form(&self) -> Form {
        let scopes = self.scopes.map(ToString::to_string);
        // A task always has a JSON form: texts, lists of texts and numbers.
        let task = self
            .task
            .and_then(|task| serde_json::to_string(&[task]).ok());
        let lifetime = self.lifetime.map(|lifetime| lifetime.as_secs().to_string());
        let mut members = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", self.subject.expose()),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", self.audience.as_str()),
        ];
        if let Some(actor) = self.actor {
            members.extend([
                ("actor_token", actor.expose()),
                ("actor_token_type", ACCESS_TOKEN),
            ]);
        }
        members.extend(scopes.as_deref().map(|scopes| ("scope", scopes)));
        members.extend(task.as_deref().map(|task| ("authorization_details", task)));
        members.extend(
            lifetime
                .as_deref()
                .map(|lifetime| ("requested_lifetime", lifetime)),
        );
        form(members)
    }
}
