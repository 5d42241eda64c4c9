//! Which server and which roles, as a plan says it.

use serde::{Deserialize, Serialize};

use super::super::driver::Unsuitable;
use super::super::plan::Table;
use crate::store::plain::is_plain_line;

/// The longest name of a role or a database (`NAMEDATALEN`, less one): the server cuts off the rest.
const LONGEST_NAME: usize = 63;
/// The longest name of a host (RFC 1035).
const LONGEST_HOST: usize = 253;

/// Where the server is, and who takes turns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name or address.
    pub host: String,
    /// Port.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// The database that is logged in to.
    pub database: String,
    /// The two roles.
    pub roles: [String; 2],
    /// A file of PEM certificates to believe instead of the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<std::path::PathBuf>,
    /// No TLS: for a server on this machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
}

const fn usual_port() -> u16 {
    5_432
}

impl Settings {
    /// Reads what somebody wrote.
    pub(in super::super) fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let settings = Self {
            host: table.required("host", "a name or an address")?,
            port: table
                .optional("port", "a number from 1 to 65535")?
                .unwrap_or_else(usual_port),
            database: table.required("database", "the name of a database")?,
            roles: table.required("roles", "a list of two roles")?,
            ca_file: table.optional("ca_file", "the path of a file")?,
            plain: table
                .optional("plain", "true or false")?
                .unwrap_or_default(),
        };
        table.finish()?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether it can be used as it stands.
    pub(super) fn check(&self) -> Result<(), Unsuitable> {
        let wrong = |member: &str, why: &str| {
            Err(Unsuitable::Settings(format!(
                "`third_party.{member}` {why}"
            )))
        };
        let is_name = |text: &str| (1..=LONGEST_NAME).contains(&text.len()) && is_plain_line(text);
        let [one, other] = &self.roles;
        if one == other || !is_name(one) || !is_name(other) {
            return wrong(
                "roles",
                "must be two roles: one logs in while the other one rests",
            );
        }
        if !is_name(&self.database) {
            return wrong("database", "is the name of a database");
        }
        let is_host = (1..=LONGEST_HOST).contains(&self.host.len())
            && self.host.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_host || self.host.contains('@') {
            return wrong("host", "is a name, an address, or the folder of a socket");
        }
        if self.port == 0 {
            return wrong("port", "is a number from 1 to 65535");
        }
        let is_here = matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if self.plain && !is_here && !self.is_socket() {
            return wrong(
                "plain",
                "is for a server on this machine: passwords would cross the network in clear",
            );
        }
        if self.is_socket() && !self.plain {
            return wrong(
                "plain",
                "must be true for the folder of a socket, which has no TLS",
            );
        }
        Ok(())
    }

    /// Whether the host is the folder of a socket.
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}
