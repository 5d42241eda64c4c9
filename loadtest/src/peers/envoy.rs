//! Envoy, with one worker, an answer of its own, and a filter before it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Missing, Peer, folder, free_address, packaged};
use crate::server::AUDIENCE;

const NAME: &str = "envoy";

/// What stands before the answer.
pub enum Filter<'a> {
    /// Nothing.
    None,
    /// `jwt_authn` with the keys given, which looks at every token anew, or keeps those it has verified.
    JwtAuthn {
        issuer: &'a str,
        jwks: &'a str,
        cache: bool,
    },
    /// `ext_authz` over HTTP, asking this server.
    ExtAuthz(SocketAddr),
}

/// Envoy.
pub struct Envoy;

impl Envoy {
    /// Starts one.
    pub async fn start(filter: Filter<'_>) -> Result<Peer, Missing> {
        let program = packaged(NAME, "envoy/_bin/envoy")?;
        let failed = |source| Missing::Start { name: NAME, source };
        let folder = folder(NAME)?;
        let address = free_address(NAME)?;
        let file = folder.path().join("envoy.json");
        std::fs::write(&file, configuration(address, &filter).to_string()).map_err(failed)?;
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(&file)
            // No hot restart: a shared memory region of its own would be needed for each.
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "critical",
            ]);
        Peer::start(NAME, command, address, Some(folder)).await
    }
}

fn configuration(listen: SocketAddr, filter: &Filter<'_>) -> Value {
    let mut filters = Vec::new();
    let mut clusters = Vec::new();
    match filter {
        Filter::None => {}
        Filter::JwtAuthn {
            issuer,
            jwks,
            cache,
        } => filters.push(jwt_authn(issuer, jwks, *cache)),
        Filter::ExtAuthz(server) => {
            clusters.push(json!({
                "name": "authz", "type": "STATIC", "connect_timeout": "1s",
                "load_assignment": {"cluster_name": "authz", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": socket(*server)}}
                ]}]},
            }));
            filters.push(ext_authz(*server));
        }
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let routes = json!({
        "name": "local", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
        ]}],
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in", "codec_type": "HTTP1", "route_config": routes, "http_filters": filters,
    });
    json!({
        "static_resources": {
            "listeners": [{
                "name": "in", "address": socket(listen),
                "filter_chains": [{"filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                ]}],
            }],
            "clusters": clusters,
        },
    })
}

fn jwt_authn(issuer: &str, jwks: &str, cache: bool) -> Value {
    let mut provider = json!({
        "issuer": issuer, "audiences": [AUDIENCE], "local_jwks": {"inline_string": jwks},
    });
    if cache && let Some(members) = provider.as_object_mut() {
        members.insert(
            "jwt_cache_config".to_owned(),
            json!({"jwt_cache_size": 1_000}),
        );
    }
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"broker": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "broker"}}],
        },
    })
}

fn ext_authz(server: SocketAddr) -> Value {
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "failure_mode_allow": false,
            "http_service": {
                "server_uri": {"uri": format!("http://{server}"), "cluster": "authz", "timeout": "1s"},
                "authorization_request": {"allowed_headers": {"patterns": [{"exact": "authorization"}]}},
            },
        },
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
