//! Tokens for administrators of this machine: the Unix socket and the newcomer's broker hand them out.
//! There is no bootstrap secret that could leak. No policy is asked: whoever may use the socket may do everything there
//! already, and this is the way back when policies let nobody in. What the token is then used for they are asked.

use lanyard_token::Lineage;

use super::administration::AdminError;
use super::decision::Circumstances;
use super::policy::Request;
use super::{Issue, Issued, Refused};
use crate::policy::Proof;
use crate::store::event::{By, Grant};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The administrators' identity is not there and cannot be made.
    #[error("the local administrator cannot be made")]
    Identity(#[from] AdminError),
    /// It is there, and is refused: was it disabled?
    #[error("the local administrator is refused")]
    Refused(#[from] Refused),
}

impl Issue {
    /// A one-hour token for the admin listener. Its identity is the same for all, so disabling it
    /// ends all; each token has a credential number of its own, so one can be ended alone.
    pub async fn local_admin_token(&self, by: By) -> Result<Issued, LocalError> {
        let identity = self.local_administrator().await?;
        let now = self.clock.now();
        let request = Request {
            lifetime: Some(3_600),
            ..Request::default()
        };
        let look = self.state.read(|book| {
            let owner = book
                .usable_identity(identity, now)
                .map_err(Refused::Client)?;
            let lineage = Lineage::of_credential(owner, identity, self.store.nodes().next());
            self.look(book, lineage, None, now)
        })?;
        let circumstances = Circumstances {
            grant: Grant::Local,
            proof: Proof::Socket,
            oidc: None,
            address: None,
        };
        let decision = self.decide(look, &request, None, circumstances, now)?;
        tracing::info!(lanyard.by = ?by, "a local administrator asked for a token");
        Ok(self.hand_out(decision, now).await?)
    }
}
