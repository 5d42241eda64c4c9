//! Every route of administration × every role: `policies/administration/routes.txt` says who is let in, and each of
//! them is asked for with a real token of that role.
//!
//! Bodies are such that a handler refuses them: whoever gets as far as that was let in, and nothing is changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lanyard::http::duties::{About, Duty};
use lanyard::issue::administration::NewApproval;
use lanyard::policy::Bundle;
use lanyard_token::NodeId;

use super::*;

const EXPECTED: &str = include_str!("../../../../../policies/administration/routes.txt");

/// The roles, as labels; `none` is an administrator without any.
pub(super) const ROLES: [&str; 6] = [
    "none",
    "auditor",
    "security-responder",
    "team-lead",
    "policy-reviewer",
    "deployer",
];

/// An owner of the world, and what belongs to it.
struct Estate {
    owner: &'static str,
    identity: &'static str,
    credential: NodeId,
    approval: NodeId,
}

impl World {
    /// An identity of this owner, which is made when it is not there.
    pub(super) async fn settle(
        &self,
        owner: &str,
        name: &str,
        kind: Kind,
        tags: &[&str],
    ) -> NodeId {
        let issue = self.broker.issue();
        if issue.find_owner(owner).is_err() {
            let new = NewOwner {
                name: owner.into(),
                contact: None,
            };
            issue.create_owner(new, By::Broker).await.unwrap();
        }
        let audiences = match kind {
            Kind::Administrator => vec![],
            _ => vec!["https://orders.example".into()],
        };
        let new = NewIdentity {
            name: name.into(),
            owner: owner.into(),
            kind,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            audiences,
            scopes: match kind {
                Kind::Administrator => String::new(),
                _ => "orders:read".into(),
            },
            max_lifetime: None,
        };
        issue.create_identity(new, By::Broker).await.unwrap().id
    }

    /// An administrator of `payments` with this role, and a token of it.
    pub(super) async fn administrator(&self, name: &str, role: &str) -> String {
        let label = format!("role.{role}");
        let tags = match role {
            "none" => vec![],
            _ => vec![label.as_str()],
        };
        let id = self
            .settle("payments", name, Kind::Administrator, &tags)
            .await;
        let issue = self.broker.issue();
        let (_, key) = issue.add_key(name, None, None, By::Broker).await.unwrap();
        self.client_token(&id.to_string(), key.expose()).await
    }

    /// An answer to a document, over the network.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(body.into())
            .unwrap();
        let response = self.admin.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn estate(&self, owner: &'static str, identity: &'static str) -> Estate {
        self.settle(owner, identity, Kind::Service, &["prod"]).await;
        let issue = self.broker.issue();
        let (credential, _) = issue
            .add_key(identity, None, None, By::Broker)
            .await
            .unwrap();
        let new = NewApproval {
            identity: identity.into(),
            audience: "https://orders.example".into(),
            scopes: "orders:read".into(),
            lifetime: None,
            task: None,
            reason: "to be looked at".into(),
            seconds: 3_600,
        };
        let asked = issue.request_approval(new, By::Socket { uid: 0 }).await;
        Estate {
            owner,
            identity,
            credential,
            approval: asked.unwrap().id,
        }
    }
}

/// The path, and a body that says to whom something is done and is refused all the same.
fn request(path: &str, duty: Duty, estate: &Estate) -> (String, String) {
    let Estate {
        owner,
        identity,
        credential,
        approval,
    } = estate;
    let path = path
        .replace("{owner}", owner)
        .replace("{identity}", identity)
        .replace("{credential}", &credential.to_string())
        .replace("{node}", &credential.to_string())
        .replace("{approval}", &approval.to_string())
        .replace("{id}", &credential.to_string())
        .replace("{kid}", "none");
    let new =
        format!(r#""name":"No Name","owner":"{owner}","audiences":["https://orders.example"]"#);
    let body = match duty.about {
        About::NewIdentity => format!(
            r#"{{{new},"kind":"service","tags":["prod"],"scopes":"orders:read","max_lifetime":60}}"#
        ),
        About::NewGateway => format!("{{{new}}}"),
        About::NewApproval => format!(
            r#"{{"identity":"{identity}","audience":"https://orders.example","scopes":"a","reason":"a","seconds":0}}"#
        ),
        About::ChangedIdentity => r#"{"max_lifetime":0}"#.to_owned(),
        About::OwnerTransfer | About::IdentityTransfer => r#"{"to":"nobody"}"#.to_owned(),
        About::Nodes => format!(r#"{{"nodes":["{credential}"],"reason":""}}"#),
        About::OneNode if path == "/v1/suspend" => {
            format!(r#"{{"node":"{credential}","seconds":0}}"#)
        }
        About::OneNode => format!(r#"{{"node":"{credential}"}}"#),
        _ => r#"{"unknown":1}"#.to_owned(),
    };
    (path, body)
}

/// `yes`, `own` or `-`.
fn word(own: bool, other: bool) -> &'static str {
    match (own, other) {
        (true, true) => "yes",
        (true, false) => "own",
        (false, false) => "-",
        (false, true) => "others",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_the_roles_that_the_reviewed_table_says() {
    let world = World::new().await;
    let (own, other) = (
        world.estate("payments", "shop").await,
        world.estate("orders", "parcel").await,
    );
    let mut tokens = BTreeMap::new();
    for role in ROLES {
        tokens.insert(role, world.administrator(&format!("a-{role}"), role).await);
    }
    let bundle = Bundle::embedded().unwrap();
    let mounted: BTreeSet<(String, String)> = table()
        .into_iter()
        .filter(|(route, who)| route.door == "admin" && *who == "admin")
        .map(|(route, _)| (route.method, route.path))
        .collect();
    let known = world.duties.routes();
    let known: BTreeSet<_> = known
        .map(|(method, path, _)| (method.into(), path.into()))
        .collect();
    assert_eq!(
        mounted, known,
        "a route of administration without an action"
    );

    let mut found = String::from(
        "# Which role is let in where: yes, own (only what is its owner's), others (only owners without administrators),\n\
         # or - (403).\n\
         # Tried with a token of each role by the broker's tests, which fail when this is not what they find.\n",
    );
    writeln!(
        found,
        "{:<4}  {:<38}  {:<19}  {}",
        "",
        "ROUTE",
        "ACTION",
        ROLES.join("  ")
    )
    .unwrap();
    for (method, path, duty) in world.duties.routes() {
        let mut cells = String::new();
        for role in ROLES {
            let mut let_in = [false; 2];
            for (slot, estate) in let_in.iter_mut().zip([&own, &other]) {
                let (path, body) = request(path, duty, estate);
                let body = if method == "GET" { String::new() } else { body };
                let (status, answer) = world.send(method, &path, &tokens[role], body).await;
                *slot = status != StatusCode::FORBIDDEN;
                if *slot {
                    assert!(
                        method == "GET" || status.is_client_error() || path == "/v1/resume",
                        "{method} {path} changed something: {status} {answer}"
                    );
                    assert_ne!(status, 401, "{method} {path} {role}");
                    continue;
                }
                let words = answer["error_description"].as_str().unwrap();
                assert!(
                    words.contains(duty.action.word()) || words.contains("administrators:write"),
                    "{words}"
                );
                let told = bundle
                    .rules()
                    .find(|rule| words.contains(&format!("`{}`", rule.id)));
                assert!(told.is_none(), "{words}");
            }
            let cell = word(let_in[0], let_in[1]);
            write!(cells, "{cell:<width$}", width = role.len() + 2).unwrap();
        }
        let action = duty.action.word();
        writeln!(
            found,
            "{method:<4}  {path:<38}  {action:<19}  {}",
            cells.trim_end()
        )
        .unwrap();
    }
    if found != EXPECTED {
        let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("routes.txt");
        std::fs::write(&fresh, &found).unwrap();
        panic!(
            "policies/administration/routes.txt is stale: look at what changed, and take over {}",
            fresh.display()
        );
    }
}
