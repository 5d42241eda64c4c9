//! The way to a broker's administration: its Unix socket on this machine, or its admin listener.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::{Method, StatusCode};
use reqwest::{Client, Url};
use serde_json::Value;

use super::CliError;

/// Where the broker is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which broker")]
pub struct Connect {
    #[command(flatten)]
    local: Local,
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

/// A broker on this machine, through its Unix socket.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which broker")]
pub struct Local {
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

/// The ways a command may take.
pub enum Way {
    /// Whichever was said.
    Any(Connect),
    /// Through the Unix socket, whatever else was said.
    SocketOnly(Local),
}

impl Way {
    /// Finds the way; nothing is sent yet.
    pub fn client(&self) -> Result<AdminClient, CliError> {
        match self {
            Self::Any(connect) => match &connect.admin_url {
                Some(url) => connect.over_tcp(url),
                None => connect.local.over_socket(
                    "start one with `lanyard dev` or `lanyard serve`, or say where it is with --data-dir, --socket \
                     or --admin-url",
                ),
            },
            Self::SocketOnly(local) => {
                local.over_socket("this works only through the Unix socket: give --socket or --data-dir")
            }
        }
    }
}

/// How long an answer of many lines may take.
const LONG_ANSWER: Duration = Duration::from_secs(3_600);

pub(super) fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("lanyard-cli/", env!("CARGO_PKG_VERSION")))
}

/// Whether nobody in between reads what is sent there.
pub(super) fn is_confidential(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || loopback
}

/// An HTTP client that believes this authority beside those the system trusts.
pub(super) fn http(ca_file: Option<&Path>) -> Result<Client, CliError> {
    let mut builder = builder();
    if let Some(path) = ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| CliError::cannot(format_args!("read `{}`", path.display()), &error))?;
        for certificate in
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| CliError::failed(&error))?
        {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| CliError::failed(&error))
}

impl Local {
    /// `otherwise` is what to do when there is no socket.
    fn over_socket(&self, otherwise: &str) -> Result<AdminClient, CliError> {
        let socket = self
            .socket
            .clone()
            .unwrap_or_else(|| self.data_dir.join("admin.sock"));
        if !socket.exists() {
            return Err(CliError::Failed(format!(
                "no broker's socket at `{}`: {otherwise}",
                socket.display()
            )));
        }
        let base = Url::parse("http://lanyard.local/").map_err(|error| CliError::failed(&error))?;
        let place = socket.display().to_string();
        let http = builder()
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
}

impl Connect {
    fn over_tcp(&self, url: &Url) -> Result<AdminClient, CliError> {
        if !is_confidential(url) {
            return Err(CliError::Usage(format!(
                "`{url}` would send the token unencrypted: use https"
            )));
        }
        let http = http(self.ca_file.as_deref())?;
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
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await;
        let response = response.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let text = response.text().await;
        let text = text.map_err(|error| self.unreachable(error))?;
        self.read(status, &text)
    }

    /// An answer of lines, passed on as they come; anything but success is an error in the broker's own
    /// words.
    pub async fn pass_on(
        &self,
        path: &str,
        lines: &mut impl std::io::Write,
    ) -> Result<(), CliError> {
        let request = self.request(Method::GET, path)?.timeout(LONG_ANSWER);
        let response = request.send().await;
        let mut response = response.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if !status.is_success() {
            let text = response.text().await;
            let text = text.map_err(|error| self.unreachable(error))?;
            return self.read(status, &text).map(drop);
        }
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| self.unreachable(error))? else {
                return Ok(());
            };
            match lines.write_all(&chunk) {
                // A reader that went away is no error.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(|error| CliError::cannot("write", &error))?,
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder, CliError> {
        let url = self
            .base
            .join(path.trim_start_matches('/'))
            .map_err(|error| CliError::failed(&error))?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(AdminToken(token)) => request.bearer_auth(token.as_str()),
            None => request,
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> CliError {
        CliError::Unreachable(format!(
            "cannot reach the broker at `{}`: {}; is it running?",
            self.place,
            super::chain(&error.without_url())
        ))
    }

    fn read(&self, status: StatusCode, text: &str) -> Result<Value, CliError> {
        let answer = match text {
            "" => Ok(Value::Null),
            text => serde_json::from_str(text),
        };
        if status == StatusCode::NOT_FOUND && self.is_elsewhere(answer.as_ref().ok()) {
            return Err(CliError::Refused {
                words: format!(
                    "`{}` is not an admin listener (usually port 8421)",
                    self.place
                ),
                status: status.as_u16(),
            });
        }
        let answer: Value = answer.map_err(|_| {
            CliError::Failed(format!("`{}` answers, but not like a broker", self.place))
        })?;
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
            404 => next_after_missing(words),
            503 => "; `lanyard status` tells how the broker is doing",
            _ => "",
        };
        Err(CliError::Refused {
            words: format!("{words} ({}){next}", status.as_u16()),
            status: status.as_u16(),
        })
    }

    /// Every command's route exists on an admin listener: whoever does not know it is something else.
    fn is_elsewhere(&self, answer: Option<&Value>) -> bool {
        let words = answer
            .and_then(|answer| answer.get("error_description"))
            .and_then(Value::as_str);
        self.token.is_some() && words.is_none_or(|words| words == "no such route")
    }
}

/// What helps when something does not exist; the broker names its kind first.
fn next_after_missing(words: &str) -> &'static str {
    let kinds = [
        (
            "owner",
            "; make it with `lanyard owner add NAME`, or see `lanyard owner list`",
        ),
        (
            "identity",
            "; make it with `lanyard identity add NAME --owner OWNER --audience URI`, or see `lanyard identity list`",
        ),
        (
            "key",
            "; make one with `lanyard key add IDENTITY`, or see `lanyard key list IDENTITY`",
        ),
        ("signing key", "; see `lanyard signing-key list`"),
        ("verdict", "; see `lanyard drift list`"),
        ("approval", "; see `lanyard approval list`"),
        (
            "secret",
            "; keep one with `lanyard secret put NAME --owner OWNER`, or see `lanyard secret list`",
        ),
    ];
    let missing = words.strip_prefix("there is no ");
    let kind = missing
        .and_then(|rest| rest.split_once(" `"))
        .map(|(kind, _)| kind);
    let next = kinds.iter().find(|(named, _)| Some(*named) == kind);
    next.map_or("", |(_, next)| next)
}
