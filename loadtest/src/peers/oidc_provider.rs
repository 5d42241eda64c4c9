//! oidc-provider (Node), with its state in memory.

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::{Missing, Peer, free_address, installed};
use crate::load::Question;
use crate::server::{AUDIENCE, SCOPE};

const NAME: &str = "oidc-provider";
/// The server's own program, which needs the package beside it.
const PROGRAM: &str = include_str!("../../peers/oidc-provider.mjs");

/// oidc-provider, and what is asked of it.
pub struct OidcProvider {
    /// The server.
    pub peer: Peer,
    /// Client credentials in, JWT access token out.
    pub token: Question,
    /// Is this (opaque) token alive?
    pub introspection: Question,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
}

/// Starts it, with one client that authenticates as ours do.
pub async fn oidc_provider() -> Result<OidcProvider, Missing> {
    let npm = installed().join("npm");
    if !npm.join("node_modules/oidc-provider").exists() {
        return Err(Missing::NotInstalled(NAME));
    }
    let failed = |source| Missing::Start { name: NAME, source };
    let address = free_address(NAME)?;
    // Node looks for packages beside the program.
    let file = tempfile::Builder::new()
        .prefix("lanyard-")
        .suffix(".mjs")
        .tempfile_in(&npm)
        .map_err(failed)?;
    std::fs::write(file.path(), PROGRAM).map_err(failed)?;
    let mut command = Command::new("node");
    command
        .arg(file.path())
        .arg(address.port().to_string())
        .arg(AUDIENCE)
        .arg(SCOPE)
        .env("NODE_ENV", "production");
    let peer = Peer::start(NAME, command, address, None).await?;
    file.close().map_err(failed)?;
    let host = format!("localhost:{}", address.port());
    let basic = [("authorization", "Basic Y2xpZW50OnNlY3JldA==")];
    let resource = url::form_urlencoded::byte_serialize(AUDIENCE.as_bytes()).collect::<String>();
    let scope = url::form_urlencoded::byte_serialize(SCOPE.as_bytes()).collect::<String>();
    let form = format!("grant_type=client_credentials&resource={resource}&scope={scope}");
    let opaque = ask(&host, "grant_type=client_credentials").await?;
    Ok(OidcProvider {
        token: Question::post_form(&host, "/token", &basic, &form),
        introspection: Question::post_form(
            &host,
            "/token/introspection",
            &basic,
            &format!("token={opaque}"),
        ),
        peer,
    })
}

async fn ask(host: &str, form: &str) -> Result<String, Missing> {
    let failed = |source| Missing::SetUp { name: NAME, source };
    let http = crate::broker::http().map_err(failed)?;
    let answer = http
        .post(format!("http://{host}/token"))
        .basic_auth("client", Some("secret"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned())
        .send()
        .await
        .map_err(failed)?;
    let answer: Value = answer
        .error_for_status()
        .map_err(failed)?
        .json()
        .await
        .map_err(failed)?;
    let answer: Answer = serde_json::from_value(answer).map_err(|_| Missing::Form {
        name: NAME,
        what: "access_token",
    })?;
    Ok(answer.access_token)
}
