//! The names behind tokens that the Unix socket hands out. Nobody else is given them: whoever had the owner could end the way
//! back in.

use lanyard_token::NodeId;

use super::input::{self, NewIdentity, NewOwner};
use super::{AdminError, Issue};
use crate::store::event::{By, Kind};

/// Owner and identity.
pub(super) const LOCAL_OWNER: &str = "lanyard";
pub(in crate::issue) const LOCAL_ADMINISTRATOR: &str = "local-administrator";

impl Issue {
    /// The identity behind tokens for administrators of this machine, made at its first use.
    pub(in crate::issue) async fn local_administrator(&self) -> Result<NodeId, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let found = self.state().read(|book| {
            let node = book.find_identity(LOCAL_ADMINISTRATOR)?;
            Some((node, book.identity(node)?.grant.kind))
        });
        match found {
            Some((node, Kind::Administrator)) => return Ok(node),
            Some(_) => return Err(input::is_the_sockets().into()),
            None => {}
        }
        let known = |owner| self.state().read(|book| book.find_owner(owner).is_some());
        if !known(LOCAL_OWNER) {
            let owner = NewOwner {
                name: LOCAL_OWNER.to_owned(),
                contact: None,
            };
            self.create_owner_alone(owner, By::Broker).await?;
        }
        let identity = NewIdentity {
            name: LOCAL_ADMINISTRATOR.to_owned(),
            owner: LOCAL_OWNER.to_owned(),
            kind: Kind::Administrator,
            tags: Vec::new(),
            audiences: Vec::new(),
            scopes: String::new(),
            max_lifetime: None,
        };
        Ok(self.create_identity_alone(identity, By::Broker).await?.id)
    }

    /// Who has one of these names and is not the Unix socket's, in words: earlier releases gave them to anybody.
    pub fn stranger_under_our_names(&self) -> Option<String> {
        self.state().read(|book| {
            let owner = book.find_owner(LOCAL_OWNER);
            let local = book.find_identity(LOCAL_ADMINISTRATOR);
            let found = local.and_then(|node| Some((node, book.identity(node)?)));
            let Some((node, local)) = found else {
                return owner.map(|_| {
                    format!(
                        "somebody made the owner `{LOCAL_OWNER}`, and whoever may end it would end tokens of the Unix \
                         socket: give what it has to another (`lanyard owner transfer`), and make a first token at the \
                         socket (`lanyard admin-token`), so that ending it takes the right to end administrators"
                    )
                });
            };
            if local.grant.kind != Kind::Administrator {
                return Some(format!(
                    "the identity `{LOCAL_ADMINISTRATOR}` is no administrator, so the Unix socket hands out no tokens; what \
                     is done at the socket itself goes on"
                ));
            }
            if Some(local.grant.owner) != owner {
                return Some(format!(
                    "the identity `{LOCAL_ADMINISTRATOR}` is not the owner `{LOCAL_OWNER}`'s: tokens of the Unix socket end \
                     with another owner"
                ));
            }
            // It has none: whoever may use the socket needs none.
            let mut credentials = book.credentials();
            let has_a_key = credentials.any(|(_, credential)| credential.identity == node);
            has_a_key.then(|| {
                format!(
                    "the identity `{LOCAL_ADMINISTRATOR}` has a key, and whoever has it is taken for the Unix socket, of whom no \
                     policy asks: `lanyard identity show {LOCAL_ADMINISTRATOR}`, and `lanyard key revoke` of what it shows"
                )
            })
        })
    }
}
