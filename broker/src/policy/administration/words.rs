//! Administration in Cedar's words.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Context, Entities, Entity, EntityId, EntityUid, RestrictedExpression};

use super::super::words::{Unfit, Words, moment, word, words};
use super::{Act, Action, On};

/// The one there is.
const SYSTEM: &str = "lanyard";

impl Words {
    /// An action of administration.
    pub(in crate::policy) fn action(&self, action: Action) -> EntityUid {
        self.action_called(action.word())
    }

    /// The first action of ours that a schema which knows administration does not know.
    pub(in crate::policy) fn missing_action(&self) -> Option<Action> {
        let mut all = Action::ALL.iter().copied();
        all.find(|action| self.actions().get(&self.action(*action)).is_none())
    }

    /// What an act is about.
    pub(in crate::policy) fn on(&self, act: &Act<'_>) -> Result<EntityUid, Unfit> {
        match act.on {
            On::System => {
                let kind = self.system.clone().ok_or("no entity `Lanyard::System`")?;
                Ok(EntityUid::from_type_name_and_id(
                    kind,
                    EntityId::new(SYSTEM),
                ))
            }
            On::Owner(name) => Ok(self.owner(name)),
            On::Identity(party) => Ok(self.identity(party.name)),
        }
    }

    /// What stands above what an act is about.
    pub(super) fn above(&self, act: &Act<'_>) -> Vec<EntityUid> {
        match &act.on {
            On::System | On::Owner(_) => Vec::new(),
            On::Identity(party) => self.parents(party).into_iter().collect(),
        }
    }

    /// Everything that stands in such a request.
    pub(in crate::policy) fn act_entities(&self, act: &Act<'_>) -> Result<Entities, Unfit> {
        let mut entities = vec![self.party(&act.who)?];
        match &act.on {
            On::System => entities.push(Entity::with_uid(self.on(act)?)),
            On::Owner(name) => {
                let members = HashMap::from([("name".to_owned(), word(name))]);
                let owner = Entity::new(self.owner(name), members, HashSet::new());
                entities.push(owner.map_err(|error| error.to_string())?);
            }
            On::Identity(party) if party.name != act.who.name => entities.push(self.party(party)?),
            On::Identity(_) => {}
        }
        entities.extend(self.action_and_groups(&self.action(act.action)));
        Entities::from_entities(entities, None).map_err(|error| error.to_string())
    }

    /// The circumstances of an act.
    pub(in crate::policy) fn act_context(&self, act: &Act<'_>) -> Result<Context, Unfit> {
        let scopes = act.scopes.iter().map(lanyard_token::Scope::as_str);
        let mut pairs = vec![
            (
                "own".to_owned(),
                RestrictedExpression::new_bool(act.is_own()),
            ),
            (
                "wider".to_owned(),
                RestrictedExpression::new_bool(act.wider),
            ),
            ("scopes".to_owned(), words(scopes)),
        ];
        pairs.extend(moment(act.time)?);
        if let Some(network) = act.network {
            let network = RestrictedExpression::new_ip(network.to_string());
            pairs.push(("network".to_owned(), network));
        }
        Context::from_pairs(pairs).map_err(|error| error.to_string())
    }
}
