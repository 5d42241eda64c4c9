//! What a newcomer finds: an owner, an identity with a key, an administrator's token, a line to copy.

use std::path::PathBuf;

use lanyard_token::NodeId;
use serde_json::json;

use crate::cli::CliError;
use crate::cli::output::{self, Output};
use crate::issue::Issue;
use crate::issue::administration::{NewIdentity, NewOwner};
use crate::store::event::{By, Kind};

const OWNER: &str = "dev";
const IDENTITY: &str = "demo";
const AUDIENCE: &str = "https://orders.example";
const SCOPE: &str = "orders:read orders:write";

/// What is shown once. Holds secrets, so it has no `Debug`.
pub(super) struct Welcome {
    issuer: String,
    admin_url: String,
    admin_token: zeroize::Zeroizing<String>,
    client_id: String,
    client_secret: zeroize::Zeroizing<String>,
    folder: PathBuf,
}

/// Prepares everything; what an earlier start made is used again, except the key and the token, which
/// nobody can show twice.
pub(super) async fn welcome(
    issue: &Issue,
    admin_url: String,
    folder: PathBuf,
) -> Result<Welcome, CliError> {
    let identity = demo_identity(issue).await?;
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CliError::cannot("prepare the demo identity", error)
    };
    let (_, key) = issue
        .add_key(
            &identity.to_string(),
            Some("lanyard dev".to_owned()),
            None,
            By::Broker,
        )
        .await
        .map_err(|error| failed(&error))?;
    let admin = issue
        .local_admin_token(By::Broker)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Welcome {
        issuer: issue.issuer().to_owned(),
        admin_url,
        admin_token: zeroize::Zeroizing::new(admin.token.expose().to_owned()),
        client_id: identity.to_string(),
        client_secret: zeroize::Zeroizing::new(key.expose().to_owned()),
        folder,
    })
}

async fn demo_identity(issue: &Issue) -> Result<NodeId, CliError> {
    let found = issue
        .state()
        .read(|book| (book.find_owner(OWNER), book.find_identity(IDENTITY)));
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CliError::cannot("prepare the demo identity", error)
    };
    let owner = match found.0 {
        Some(owner) => owner,
        None => {
            issue
                .create_owner(
                    NewOwner {
                        name: OWNER.to_owned(),
                        contact: None,
                    },
                    By::Broker,
                )
                .await
                .map_err(|error| failed(&error))?
                .id
        }
    };
    if let Some(identity) = found.1 {
        return Ok(identity);
    }
    let new = NewIdentity {
        name: IDENTITY.to_owned(),
        owner: owner.to_string(),
        kind: Kind::Service,
        tags: Vec::new(),
        audiences: vec![AUDIENCE.to_owned()],
        scopes: SCOPE.to_owned(),
        max_lifetime: None,
    };
    Ok(issue
        .create_identity(new, By::Broker)
        .await
        .map_err(|error| failed(&error))?
        .id)
}

impl Welcome {
    /// Once, when everything is served.
    pub(super) fn print(&self, output: Output) {
        if output.json {
            output::data(json!({
                "issuer": self.issuer,
                "admin_url": self.admin_url,
                "admin_token": *self.admin_token,
                "client_id": self.client_id,
                "client_secret": *self.client_secret,
                "audience": AUDIENCE,
                "scope": SCOPE,
            }));
            return;
        }
        let Self {
            issuer,
            admin_url,
            admin_token,
            client_id,
            client_secret,
            folder,
        } = self;
        let folder = folder.display();
        output::data(format_args!(
            "Lanyard is ready, for trying out on this machine.\n\n\
             issuer         {issuer}\n\
             admin URL      {admin_url}\n\
             data           {folder}\n\
             demo identity  {IDENTITY} (owner {OWNER}), audience {AUDIENCE}, scope {SCOPE}\n\n\
             Get a token:\n\n  \
             curl -s -u {client_id}:{} -d grant_type=client_credentials {issuer}/oauth/token\n\n\
             Administer (this token lasts one hour):\n\n  \
             export LANYARD_ADMIN_URL={admin_url} LANYARD_ADMIN_TOKEN={}\n  \
             lanyard identity list\n\n\
             Next, in another terminal on this machine, without any token:\n\n  \
             export LANYARD_DATA_DIR={folder}\n  \
             lanyard identity disable {IDENTITY}   # its tokens are dead at once\n  \
             lanyard identity enable {IDENTITY}\n  \
             lanyard gateway add orders --owner {OWNER} --audience {AUDIENCE}\n  \
             # the only gateway there? With --sole-witness its word alone may revoke keys\n\n\
             Ctrl-C stops it; `lanyard dev --data-dir {folder}` goes on from here.",
            client_secret.as_str(),
            admin_token.as_str(),
        ));
    }
}
