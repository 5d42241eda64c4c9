//! The way to a broker's administration: its Unix socket on this machine, or its admin listener.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Method;
use reqwest::{Client, Url};
use serde_json::Value;

use super::CliError;

/// Where the broker is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which broker")]
pub struct Connect {
    /// Its Unix socket
    #[arg(long, global = true, env = "LANYARD_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Its data folder, in which the socket is looked for
    #[arg(
        long,
        global = true,
        env = "LANYARD_DATA_DIR",
        value_name = "DIR",
        default_value = "/var/lib/lanyard"
    )]
    data_dir: PathBuf,
    /// Its admin listener, instead of the socket; the token comes from LANYARD_ADMIN_TOKEN or a file
    #[arg(long, global = true, env = "LANYARD_ADMIN_URL", value_name = "URL")]
    admin_url: Option<Url>,
    /// File with the administrator's token for --admin-url
    #[arg(
        long,
        global = true,
        env = "LANYARD_ADMIN_TOKEN_FILE",
        value_name = "FILE"
    )]
    admin_token_file: Option<PathBuf>,
    /// Certificate authority of the admin listener, PEM, beside those the system trusts
    #[arg(long, global = true, env = "LANYARD_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// A way to one broker.
pub struct AdminClient {
    http: Client,
    base: Url,
    token: Option<AdminToken>,
    /// Where it leads, for messages.
    place: String,
}

/// An administrator's token; has no `Debug`.
struct AdminToken(zeroize::Zeroizing<String>);

impl Connect {
    /// Finds the way; nothing is sent yet.
    pub fn client(&self) -> Result<AdminClient, CliError> {
        let builder = Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("lanyard-cli/", env!("CARGO_PKG_VERSION")));
        match &self.admin_url {
            Some(url) => self.over_tcp(builder, url),
            None => self.over_socket(builder),
        }
    }

    fn over_socket(&self, builder: reqwest::ClientBuilder) -> Result<AdminClient, CliError> {
        let socket = self
            .socket
            .clone()
            .unwrap_or_else(|| self.data_dir.join("admin.sock"));
        if !socket.exists() {
            return Err(CliError::Failed(format!(
                "no broker's socket at `{}`: start one with `lanyard dev` or `lanyard serve`, or say where it is \
                 with --data-dir, --socket or --admin-url",
                socket.display()
            )));
        }
        let base = Url::parse("http://lanyard.local/").map_err(|error| CliError::failed(&error))?;
        let place = socket.display().to_string();
        let http = builder
            .unix_socket(socket)
            .build()
            .map_err(|error| CliError::failed(&error))?;
        Ok(AdminClient {
            http,
            base,
            token: None,
            place,
        })
    }

    fn over_tcp(
        &self,
        builder: reqwest::ClientBuilder,
        url: &Url,
    ) -> Result<AdminClient, CliError> {
        let loopback = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !loopback {
            return Err(CliError::Usage(format!(
                "`{url}` would send the token unencrypted: use https"
            )));
        }
        let mut builder = builder;
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).map_err(|error| {
                CliError::cannot(format_args!("read `{}`", path.display()), &error)
            })?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| CliError::failed(&error))?
            {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build().map_err(|error| CliError::failed(&error))?;
        let mut base = url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(AdminClient {
            http,
            base,
            token: Some(self.token()?),
            place: url.to_string(),
        })
    }

    fn token(&self) -> Result<AdminToken, CliError> {
        let text = match &self.admin_token_file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| CliError::cannot(format_args!("read `{}`", path.display()), &error))?,
            None => std::env::var("LANYARD_ADMIN_TOKEN").map_err(|_| {
                CliError::Usage(
                    "--admin-url needs a token: set LANYARD_ADMIN_TOKEN or --admin-token-file; `lanyard admin-token` \
                     on the broker's machine makes one"
                        .to_owned(),
                )
            })?,
        };
        Ok(AdminToken(zeroize::Zeroizing::new(text.trim().to_owned())))
    }
}

impl AdminClient {
    /// One call; anything but success is an error in the broker's own words.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let url = self
            .base
            .join(path.trim_start_matches('/'))
            .map_err(|error| CliError::failed(&error))?;
        let mut request = self.http.request(method, url);
        if let Some(AdminToken(token)) = &self.token {
            request = request.bearer_auth(token.as_str());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |error: reqwest::Error| {
            CliError::Failed(format!(
                "cannot reach the broker at `{}`: {}; is it running?",
                self.place,
                super::chain(&error.without_url())
            ))
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        let answer: Value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).map_err(|_| {
                CliError::Failed(format!("`{}` answers, but not like a broker", self.place))
            })?
        };
        if status.is_success() {
            return Ok(answer);
        }
        let words = answer
            .get("error_description")
            .and_then(Value::as_str)
            .unwrap_or("the broker refused");
        let next = match status.as_u16() {
            401 => "; get a new token with `lanyard admin-token` on the broker's machine",
            403 if self.token.is_none() => "; run this as the broker's user or root",
            503 => "; `lanyard status` tells how the broker is doing",
            _ => "",
        };
        Err(CliError::Failed(format!(
            "{words} ({}){next}",
            status.as_u16()
        )))
    }
}
