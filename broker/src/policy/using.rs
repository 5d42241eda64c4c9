//! Which gateway may use which credential of a third party: asked before each lease.
//!
//! As with administration, a permit has to hold, no forbid may, and a policy that fails denies. A bundle whose schema
//! has no word of it was written before there was egress: nothing is handed out under it.

pub mod matrix;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use cedar_policy::{Context, Entities, Entity, EntityId, EntityUid, Request, RestrictedExpression};
use time::OffsetDateTime;

use super::administration::Judged;
use super::asked::Party;
use super::bundle::{Bundle, Effect, Rule};
use super::words::{Unfit, Words, moment, word};

/// The action, as policies write it.
pub(super) const USE: &str = "use";

/// A gateway is about to be given a credential.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The gateway.
    pub gateway: Party<'a>,
    /// The name of the secret.
    pub secret: &'a str,
    /// Who answers for that, by name.
    pub secret_owner: &'a str,
    /// The integration it is for.
    pub integration: &'a str,
    /// Who answers for that, by name.
    pub integration_owner: &'a str,
    /// Where from, when it is known.
    pub network: Option<IpAddr>,
    /// When.
    pub time: OffsetDateTime,
}

impl Bundle {
    /// Decides whether it is.
    pub fn may_use(&self, asked: &Use<'_>) -> Result<Judged<'_>, Unfit> {
        let Some(secret) = self.words.secret(asked.secret) else {
            return Ok(Judged::default());
        };
        let action = self.words.action_called(USE);
        let mut principals: Vec<EntityUid> =
            self.words.parents(&asked.gateway).into_iter().collect();
        principals.push(self.words.identity(asked.gateway.name));
        let (request, entities) = self.words.put_use(asked, &secret)?;
        Ok(self.judged(&request, &entities, (&action, &[&secret], &principals)))
    }

    /// The question, as Cedar takes it; `None`: the schema has no word of secrets.
    pub(super) fn put_use(&self, asked: &Use<'_>) -> Result<Option<(Request, Entities)>, Unfit> {
        let secret = self.words.secret(asked.secret);
        secret
            .map(|secret| self.words.put_use(asked, &secret))
            .transpose()
    }

    /// Whether there is a permit of it at all.
    pub fn permits_use(&self) -> bool {
        let mut rules = self.rules();
        rules.any(|rule| rule.effect == Effect::Permit && self.is_about_use(rule))
    }

    /// Whether a policy can have a say in that.
    pub fn is_about_use(&self, rule: &Rule) -> bool {
        self.words.secret("").is_some() && self.has_a_say(rule, &self.words.action_called(USE))
    }
}

impl Words {
    /// A secret; `None`: the schema has no word of them.
    fn secret(&self, name: &str) -> Option<EntityUid> {
        let kind = self.secret.clone()?;
        Some(EntityUid::from_type_name_and_id(kind, EntityId::new(name)))
    }

    fn put_use(&self, asked: &Use<'_>, secret: &EntityUid) -> Result<(Request, Entities), Unfit> {
        let action = self.action_called(USE);
        let principal = self.identity(asked.gateway.name);
        let entities = self.use_entities(asked, secret, &action)?;
        let context = circumstances(asked)?;
        let request = Request::new(principal, action, secret.clone(), context, None)
            .map_err(|error| error.to_string())?;
        Ok((request, entities))
    }

    fn use_entities(
        &self,
        asked: &Use<'_>,
        secret: &EntityUid,
        action: &EntityUid,
    ) -> Result<Entities, Unfit> {
        let members = HashMap::from([
            ("name".to_owned(), word(asked.secret)),
            ("owner".to_owned(), word(asked.secret_owner)),
        ]);
        let secret = Entity::new(secret.clone(), members, HashSet::new())
            .map_err(|error| error.to_string())?;
        let mut entities = vec![self.party(&asked.gateway)?, secret];
        entities.extend(self.action_and_groups(action));
        Entities::from_entities(entities, None).map_err(|error| error.to_string())
    }
}

fn circumstances(asked: &Use<'_>) -> Result<Context, Unfit> {
    let own = asked.gateway.owner == asked.secret_owner;
    let mut pairs = vec![
        ("integration".to_owned(), word(asked.integration)),
        (
            "integration_owner".to_owned(),
            word(asked.integration_owner),
        ),
        ("own".to_owned(), RestrictedExpression::new_bool(own)),
    ];
    pairs.extend(moment(asked.time)?);
    if let Some(network) = asked.network {
        let network = RestrictedExpression::new_ip(network.to_string());
        pairs.push(("network".to_owned(), network));
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}
