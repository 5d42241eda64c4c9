//! A request in Cedar's words: entities, action and context.
//!
//! Only what a decision can look at is built: who asks, who acts, the scopes in question. Nothing leads a condition
//! from there to an owner, a label or an audience itself, so that it is enough to be below them.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use lanyard_token::Audience;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::asked::{Asked, Party, Task};
use super::using::USE;

/// The kinds of things there are, parsed once.
#[derive(Clone, Debug)]
pub(super) struct Words {
    identity: EntityTypeName,
    owner: EntityTypeName,
    tag: EntityTypeName,
    audience: EntityTypeName,
    scope: EntityTypeName,
    action: EntityTypeName,
    /// What administration acts on; absent when the schema has no word of administration.
    pub(super) system: Option<EntityTypeName>,
    /// What responses are about; a schema of an earlier release has no word for it.
    pub(super) abuse: Option<EntityTypeName>,
    /// What egress is given; absent when the schema has no word of it.
    pub(super) secret: Option<EntityTypeName>,
    /// The action of responding, if the schema has it.
    pub(super) respond: Option<EntityUid>,
    /// The action of issuing, with the groups above it.
    pub(super) issue: EntityUid,
    actions: Entities,
}

/// Labels of roles of administration begin so.
const ROLE: &str = "role.";

/// What cannot be put to Cedar, in words: a fault of the bundle's schema or of ours, never the caller's.
pub(super) type Unfit = String;

impl Words {
    /// What the schema calls them. A schema without them is refused: no request could be put to its policies.
    pub(super) fn of(schema: &Schema) -> Result<Self, Unfit> {
        let known: HashSet<&EntityTypeName> = schema.entity_types().collect();
        let kind = |name: &str| {
            let kind: EntityTypeName = format!("Lanyard::{name}")
                .parse()
                .map_err(|error: cedar_policy::ParseErrors| error.to_string())?;
            if known.contains(&kind) {
                Ok(kind)
            } else {
                Err(format!("no entity `{kind}`"))
            }
        };
        let actions = schema
            .action_entities()
            .map_err(|error| error.to_string())?;
        let action: EntityTypeName = "Lanyard::Action"
            .parse()
            .map_err(|error: cedar_policy::ParseErrors| error.to_string())?;
        let respond = EntityUid::from_type_name_and_id(action.clone(), EntityId::new("respond"));
        let issue = EntityUid::from_type_name_and_id(action.clone(), EntityId::new("issue"));
        if actions.get(&issue).is_none() {
            return Err(format!("no action `{issue}`"));
        }
        let administer =
            EntityUid::from_type_name_and_id(action.clone(), EntityId::new("administer"));
        let administers = actions.get(&administer).is_some();
        let uses = EntityUid::from_type_name_and_id(action.clone(), EntityId::new(USE));
        let uses = actions.get(&uses).is_some();
        Ok(Self {
            system: administers.then(|| kind("System")).transpose()?,
            action,
            identity: kind("Identity")?,
            owner: kind("Owner")?,
            tag: kind("Tag")?,
            audience: kind("Audience")?,
            scope: kind("Scope")?,
            abuse: kind("Abuse").ok(),
            secret: uses.then(|| kind("Secret")).transpose()?,
            respond: actions.get(&respond).is_some().then_some(respond),
            issue,
            actions,
        })
    }

    /// The actions of the schema.
    pub(super) const fn actions(&self) -> &Entities {
        &self.actions
    }

    /// An action, by name.
    pub(super) fn action_called(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.action.clone(), EntityId::new(name))
    }

    /// An action with the groups it is in.
    pub(super) fn action_and_groups(&self, action: &EntityUid) -> impl Iterator<Item = Entity> {
        self.actions.iter().filter_map(move |entity| {
            let uid = entity.uid();
            let fits = uid == *action || self.actions.is_ancestor_of(&uid, action);
            fits.then(|| entity.clone())
        })
    }

    /// An owner, by name.
    pub(super) fn owner(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.owner.clone(), EntityId::new(name))
    }

    /// An identity, by name. An id is taken as it is, never parsed, so it cannot break out of its quotes.
    pub(super) fn identity(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.identity.clone(), EntityId::new(name))
    }

    /// An audience.
    pub(super) fn audience(&self, audience: &Audience) -> EntityUid {
        EntityUid::from_type_name_and_id(self.audience.clone(), EntityId::new(audience.as_str()))
    }

    /// A scope at an audience; with an empty name a token that allows nothing in particular.
    pub(super) fn scope(&self, audience: &Audience, name: &str) -> EntityUid {
        let id = EntityId::new(format!("{audience}#{name}"));
        EntityUid::from_type_name_and_id(self.scope.clone(), id)
    }

    /// What an identity stands below: its owner, its kind and its labels.
    ///
    /// Labels have no colon, so nobody can be given `kind:administrator` by hand; one that has is left out here
    /// too, since a log may hold what an administration of another version let through.
    pub(super) fn parents(&self, party: &Party<'_>) -> HashSet<EntityUid> {
        let tag =
            |name: &str| EntityUid::from_type_name_and_id(self.tag.clone(), EntityId::new(name));
        let mut parents = HashSet::with_capacity(party.tags.len() + 2);
        parents.insert(self.owner(party.owner));
        parents.insert(tag(&format!("kind:{}", party.kind)));
        let labels = party.tags.iter().filter(|label| !label.contains(':'));
        parents.extend(labels.map(|label| tag(label)));
        parents
    }

    /// Everything that stands in a request for these scopes.
    pub(super) fn entities<'s>(
        &self,
        asked: &Asked<'_>,
        scopes: impl Iterator<Item = &'s str>,
    ) -> Result<Entities, Unfit> {
        let unfit = |error: cedar_policy::EntityAttrEvaluationError| error.to_string();
        let mut entities = vec![self.party(&asked.subject)?];
        if let Some(actor) = asked
            .actor
            .as_ref()
            .filter(|actor| actor.name != asked.subject.name)
        {
            entities.push(self.party(actor)?);
        }
        let audience = self.audience(asked.audience);
        for name in scopes {
            let members = HashMap::from([
                ("name".to_owned(), word(name)),
                ("audience".to_owned(), word(asked.audience.as_str())),
            ]);
            let uid = self.scope(asked.audience, name);
            let parents = HashSet::from([audience.clone()]);
            entities.push(Entity::new(uid, members, parents).map_err(unfit)?);
        }
        entities.extend(self.action_and_groups(&self.issue));
        Entities::from_entities(entities, None).map_err(|error| error.to_string())
    }

    pub(super) fn party(&self, party: &Party<'_>) -> Result<Entity, Unfit> {
        let roles = party.tags.iter().filter_map(|tag| tag.strip_prefix(ROLE));
        let mut members = HashMap::from([
            ("name".to_owned(), word(party.name)),
            ("kind".to_owned(), word(party.kind)),
            ("owner".to_owned(), word(party.owner)),
            (
                "tags".to_owned(),
                words(party.tags.iter().map(String::as_str)),
            ),
            ("roles".to_owned(), words(roles)),
            (
                "audiences".to_owned(),
                words(party.audiences.iter().map(Audience::as_str)),
            ),
            (
                "scopes".to_owned(),
                words(party.scopes.iter().map(lanyard_token::Scope::as_str)),
            ),
            ("max_lifetime".to_owned(), number(party.max_lifetime)),
        ]);
        let days = [
            ("age_days", party.age_days),
            ("unused_days", party.unused_days),
        ];
        for (name, days) in days {
            if let Some(days) = days {
                members.insert(name.to_owned(), number(days));
            }
        }
        Entity::new(self.identity(party.name), members, self.parents(party))
            .map_err(|error| error.to_string())
    }

    /// The circumstances.
    pub(super) fn context(&self, asked: &Asked<'_>) -> Result<Context, Unfit> {
        let mut pairs = moment(asked.time)?.to_vec();
        pairs.extend([
            ("proof".to_owned(), word(asked.proof.word())),
            ("grant".to_owned(), word(asked.grant.word())),
            ("lifetime".to_owned(), number(asked.lifetime)),
            ("risk".to_owned(), word(asked.risk.word())),
            (
                "approvals".to_owned(),
                words(asked.approvals.iter().map(String::as_str)),
            ),
            ("binding".to_owned(), word(asked.binding.word())),
        ]);
        if let Some(actor) = &asked.actor {
            let actor = RestrictedExpression::new_entity_uid(self.identity(actor.name));
            pairs.push(("actor".to_owned(), actor));
        }
        if let Some(network) = asked.network {
            let network = RestrictedExpression::new_ip(network.to_string());
            pairs.push(("network".to_owned(), network));
        }
        if let Some(limits) = &asked.task {
            pairs.push(("task".to_owned(), task(limits)?));
        }
        if let Some(oidc) = asked.oidc {
            let members = [
                ("issuer".to_owned(), word(&oidc.issuer)),
                ("subject".to_owned(), word(&oidc.subject)),
            ];
            let record = RestrictedExpression::new_record(members);
            pairs.push((
                "oidc".to_owned(),
                record.map_err(|error| error.to_string())?,
            ));
        }
        Context::from_pairs(pairs).map_err(|error| error.to_string())
    }
}

/// `time` and `hour`.
pub(super) fn moment(time: OffsetDateTime) -> Result<[(String, RestrictedExpression); 2], Unfit> {
    let time = time.to_offset(UtcOffset::UTC);
    // Cedar reads whole milliseconds; whole seconds are enough.
    let written = time
        .replace_nanosecond(0)
        .map_err(|error| error.to_string())?
        .format(&Rfc3339)
        .map_err(|error| error.to_string())?;
    Ok([
        (
            "time".to_owned(),
            RestrictedExpression::new_datetime(written),
        ),
        ("hour".to_owned(), number(u64::from(time.hour()))),
    ])
}

fn task(task: &Task<'_>) -> Result<RestrictedExpression, Unfit> {
    let (operations, destinations, calls) = match task {
        Task::Scope(scope) => (
            scope.operations().map(words),
            scope.destinations().map(words),
            scope.calls,
        ),
        Task::Limits {
            operations,
            destinations,
            calls,
        } => {
            let list = |items: &&[String]| words(items.iter().map(String::as_str));
            (
                operations.as_ref().map(list),
                destinations.as_ref().map(list),
                *calls,
            )
        }
    };
    let members = [
        ("operations", operations),
        ("destinations", destinations),
        ("calls", calls.map(number)),
    ];
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    RestrictedExpression::new_record(members).map_err(|error| error.to_string())
}

pub(super) fn word(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

pub(super) fn words<'t>(texts: impl Iterator<Item = &'t str>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.map(word))
}

/// Cedar's numbers are signed; more than it can count is as good as its largest.
pub(super) fn number(number: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX))
}
