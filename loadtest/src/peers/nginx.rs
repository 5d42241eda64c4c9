//! nginx in one process, with a small file and, perhaps, `auth_request` before it.

use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use super::{Missing, Peer, folder, free_address};
use crate::server::PATH;

const NAME: &str = "nginx";

/// What stands before the file.
#[derive(Clone, Copy, Debug)]
pub enum Auth {
    /// Nothing.
    None,
    /// `auth_request` to this server.
    Request(SocketAddr),
}

/// Starts it.
pub async fn nginx(auth: Auth) -> Result<Peer, Missing> {
    let failed = |source| Missing::Start { name: NAME, source };
    let folder = folder(NAME)?;
    let address = free_address(NAME)?;
    let place = folder.path();
    let file = place.join("root").join(PATH.trim_start_matches('/'));
    std::fs::create_dir_all(file.parent().unwrap_or(place)).map_err(failed)?;
    std::fs::write(&file, "hello").map_err(failed)?;
    let text = configuration(place, address, auth);
    let config = place.join("nginx.conf");
    std::fs::write(&config, text).map_err(failed)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&config).arg("-p").arg(place);
    match Peer::start(NAME, command, address, Some(folder)).await {
        Err(Missing::Start { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Missing::NotInstalled(NAME))
        }
        other => other,
    }
}

fn configuration(place: &Path, listen: SocketAddr, auth: Auth) -> String {
    let place = place.display();
    let (ask, door) = match auth {
        Auth::None => ("", String::new()),
        Auth::Request(server) => (
            "auth_request /auth;",
            format!(
                "upstream door {{ server {server}; keepalive 32; keepalive_requests 100000000; }}"
            ),
        ),
    };
    let asked = match auth {
        Auth::None => "",
        Auth::Request(_) => {
            "location = /auth { internal; proxy_pass http://door/orders/4711; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; proxy_pass_request_body off; proxy_set_header Content-Length \"\"; }"
        }
    };
    // One process, so that its processor time is the whole of it.
    format!(
        "daemon off; master_process off; worker_processes 1; pid {place}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    {door}
    server {{
        listen {listen};
        root {place}/root;
        location / {{ {ask} }}
        {asked}
    }}
}}
"
    )
}
