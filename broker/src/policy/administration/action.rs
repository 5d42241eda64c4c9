//! What administrators can do, as they and policies name it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// Something an administrator can do. Each route of administration is one of these, see `http/admin`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)+
        }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// As policies write it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

actions! {
    /// See owners.
    OwnersRead = "owners:read",
    /// Make owners, and say how to reach them.
    OwnersWrite = "owners:write",
    /// Let a disabled owner's identities work again.
    OwnersEnable = "owners:enable",
    /// End everything of an owner.
    OwnersDisable = "owners:disable",
    /// Give everything of an owner to another.
    OwnersTransfer = "owners:transfer",
    /// See identities, also those that nobody uses.
    IdentitiesRead = "identities:read",
    /// Make identities, and change what they may ask for.
    IdentitiesWrite = "identities:write",
    /// Let a disabled identity, or a key that was ended, work again.
    IdentitiesEnable = "identities:enable",
    /// End everything of an identity.
    IdentitiesDisable = "identities:disable",
    /// Give an identity to another owner.
    IdentitiesTransfer = "identities:transfer",
    /// Whatever gives an administrator something, beside the action itself.
    AdministratorsWrite = "administrators:write",
    /// See which keys there are, and how old.
    KeysRead = "keys:read",
    /// Make keys.
    KeysWrite = "keys:write",
    /// End keys.
    KeysRevoke = "keys:revoke",
    /// See gateways.
    GatewaysRead = "gateways:read",
    /// Enrol gateways.
    GatewaysWrite = "gateways:write",
    /// See what is to be approved.
    ApprovalsRead = "approvals:read",
    /// Ask for approval.
    ApprovalsAsk = "approvals:ask",
    /// Approve.
    ApprovalsGive = "approvals:give",
    /// Refuse, or take back.
    ApprovalsRefuse = "approvals:refuse",
    /// See what descends from what.
    LineageRead = "lineage:read",
    /// End tokens, keys, identities or owners.
    TokensRevoke = "tokens:revoke",
    /// Pause them.
    TokensSuspend = "tokens:suspend",
    /// End a pause.
    TokensResume = "tokens:resume",
    /// See which policies are in force.
    PolicyRead = "policy:read",
    /// Have policies read again.
    PolicyReload = "policy:reload",
    /// See signing keys.
    SigningKeysRead = "signing_keys:read",
    /// Rotate signing keys, or declare one stolen.
    SigningKeysWrite = "signing_keys:write",
    /// See which credentials of third parties there are, and who used them; never what they are.
    SecretsRead = "secrets:read",
    /// Put in, put in force and retire credentials of third parties.
    SecretsWrite = "secrets:write",
    /// Have third parties exchange them as planned, carry on, or undo an exchange that is under way.
    SecretsRotate = "secrets:rotate",
    /// Give one to another owner.
    SecretsTransfer = "secrets:transfer",
    /// See what may be called at third parties.
    IntegrationsRead = "integrations:read",
    /// Say what may be called at third parties, with which secret, and which gateways carry it.
    IntegrationsWrite = "integrations:write",
    /// See verdicts, what led to them, and by what is judged.
    DriftRead = "drift:read",
    /// Say that a verdict was a mistake.
    DriftClear = "drift:clear",
    /// Announce deployments, and say how often the pager may ring.
    DriftOrders = "drift:orders",
    /// Try other thresholds on recorded windows.
    DriftTry = "drift:try",
    /// Judge by other thresholds from now on.
    DriftThresholds = "drift:thresholds",
    /// See how the broker is.
    StatusRead = "status:read",
}

impl Action {
    /// Whether it lets somebody do more than before: about an administrator it takes [`Self::AdministratorsWrite`] too.
    pub const fn gives(self) -> bool {
        matches!(
            self,
            Self::OwnersEnable
                | Self::OwnersTransfer
                | Self::IdentitiesWrite
                | Self::IdentitiesEnable
                | Self::IdentitiesTransfer
                | Self::KeysWrite
                | Self::TokensResume
        )
    }

    /// Whether it ends or pauses what somebody has: done to an owner, it is done to the owner's administrators too.
    pub const fn ends(self) -> bool {
        matches!(
            self,
            Self::OwnersDisable
                | Self::OwnersTransfer
                | Self::IdentitiesDisable
                | Self::IdentitiesTransfer
                | Self::KeysRevoke
                | Self::TokensRevoke
                | Self::TokensSuspend
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// No action is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no action is called `{0}`: they are called {list}", list = list())]
pub struct UnknownAction(String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.iter().copied();
        all.find(|action| action.word() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn list() -> String {
    let words: Vec<_> = Action::ALL.iter().map(|action| action.word()).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_found_by_its_word_and_no_other() {
        for action in Action::ALL {
            assert_eq!(action.word().parse(), Ok(*action));
        }
        assert!("owners:delete".parse::<Action>().is_err());
        assert!("administer".parse::<Action>().is_err());
    }
}
