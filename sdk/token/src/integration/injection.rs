//! How a credential goes into a call.

use serde::{Deserialize, Serialize};

use super::{Network, Scheme, Upstream};

/// Where a secret's value is put. `secret` is the name of a secret; what of it is secret stays at the broker until
/// egress leases it.
///
/// `reference` below is what the third party calls the version in force: it changes with it when a secret is rotated,
/// so pairs (user and password, key id and key) never mix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[serde(try_from = "WrittenInjection")]
pub enum Injection {
    /// `header: prefix + value`.
    Header {
        /// The secret's name.
        secret: String,
        /// Which header, in lower case; `authorization` unless given.
        header: String,
        /// What stands before the value; `Bearer ` unless given.
        prefix: String,
    },
    /// `?parameter=value`, encoded.
    Query {
        /// The secret's name.
        secret: String,
        /// Which parameter.
        parameter: String,
    },
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// The secret's name: the password.
        secret: String,
        /// The user; the version's reference unless given.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// AWS Signature Version 4; the version's reference is the access key id.
    AwsSigv4 {
        /// The secret's name: the secret access key.
        secret: String,
        /// `eu-central-1`.
        region: String,
        /// `s3`, `execute-api`.
        service: String,
    },
    /// A bearer token that egress gets with client credentials (RFC 6749 4.4) and keeps until it expires.
    OauthClientCredentials {
        /// The secret's name: the client's secret.
        secret: String,
        /// The client; the version's reference unless given.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// Where tokens are got: an `https` URL. The same rules hold as for the upstream.
        token_url: String,
        /// What is asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        /// Private networks that the token endpoint may be in. Where this or `certificates` is given, neither of the
        /// integration's holds for it: an empty list is the open internet.
        #[serde(skip_serializing_if = "Option::is_none")]
        private: Option<Vec<Network>>,
        /// Certificates (PEM) that are trusted for the token endpoint, instead of those of the system.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificates: Option<String>,
    },
}

/// How it cannot be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidInjection {
    /// Give its name, as `lanyard secret list` shows it.
    #[error("`inject.secret` is the name of a secret")]
    Secret,
    /// A name in lower case that is not one of those that say where a message ends or goes.
    #[error(
        "`inject.header` is a header's name in lower case that says nothing about the connection"
    )]
    Header,
    /// Printable.
    #[error("`inject.{0}` is 1 to 256 visible characters")]
    Text(&'static str),
    /// Without a user, a query or a fragment.
    #[error("`inject.token_url` is an https URL without user, query and fragment")]
    TokenUrl,
    /// `10.1.0.0/16`, with nothing set behind the prefix.
    #[error("`inject.private` holds networks such as `10.1.0.0/16`")]
    Network,
}

/// Headers that say where a message ends, where it goes, or who holds the connection.
const NOT_INJECTED: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "lanyard-min-rev",
];

impl Injection {
    /// The secret it needs, by name.
    #[must_use]
    pub fn secret(&self) -> &str {
        match self {
            Self::Header { secret, .. }
            | Self::Query { secret, .. }
            | Self::Basic { secret, .. }
            | Self::AwsSigv4 { secret, .. }
            | Self::OauthClientCredentials { secret, .. } => secret,
        }
    }

    fn checked(self) -> Result<Self, InvalidInjection> {
        let secret = self.secret();
        if secret.is_empty()
            || secret.len() > 512
            || !secret.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(InvalidInjection::Secret);
        }
        match &self {
            Self::Header { header, prefix, .. } => {
                if !is_header_name(header) || NOT_INJECTED.contains(&header.as_str()) {
                    return Err(InvalidInjection::Header);
                }
                if prefix.len() > 256 || !prefix.bytes().all(is_visible_or_space) {
                    return Err(InvalidInjection::Text("prefix"));
                }
            }
            Self::Query { parameter, .. } => text("parameter", parameter)?,
            Self::Basic { user: None, .. } => {}
            // A colon would end it (RFC 7617, 2).
            Self::Basic {
                user: Some(user), ..
            } if user.contains(':') => {
                return Err(InvalidInjection::Text("user"));
            }
            Self::Basic {
                user: Some(user), ..
            } => text("user", user)?,
            Self::AwsSigv4 {
                region, service, ..
            } => {
                text("region", region)?;
                text("service", service)?;
            }
            Self::OauthClientCredentials {
                client_id,
                token_url,
                scope,
                ..
            } => {
                if let Some(client_id) = client_id {
                    text("client_id", client_id)?;
                }
                if let Some(scope) = scope
                    && (scope.is_empty()
                        || scope.len() > 1_024
                        || !scope.bytes().all(is_visible_or_space))
                {
                    return Err(InvalidInjection::Text("scope"));
                }
                // The form of an upstream is the form of a token endpoint. In clear the client's secret would be read on
                // the way, whatever network it is in.
                match token_url.parse::<Upstream>() {
                    Ok(upstream) if upstream.scheme() == Scheme::Https => {}
                    _ => return Err(InvalidInjection::TokenUrl),
                }
            }
        }
        Ok(self)
    }
}

fn text(member: &'static str, text: &str) -> Result<(), InvalidInjection> {
    let fits = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(()).ok_or(InvalidInjection::Text(member))
}

const fn is_visible_or_space(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}

/// A token (RFC 9110 5.6.2), in lower case.
fn is_header_name(name: &str) -> bool {
    let inner = |byte: u8| {
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-'
            | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
    };
    (1..=64).contains(&name.len()) && name.bytes().all(inner)
}

/// As it is written down: what is usual may be left out.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum WrittenInjection {
    Header {
        secret: String,
        header: Option<String>,
        prefix: Option<String>,
    },
    Query {
        secret: String,
        parameter: String,
    },
    Basic {
        secret: String,
        user: Option<String>,
    },
    AwsSigv4 {
        secret: String,
        region: String,
        service: String,
    },
    OauthClientCredentials {
        secret: String,
        client_id: Option<String>,
        token_url: String,
        scope: Option<String>,
        private: Option<Vec<String>>,
        certificates: Option<String>,
    },
}

impl TryFrom<WrittenInjection> for Injection {
    type Error = InvalidInjection;

    fn try_from(written: WrittenInjection) -> Result<Self, Self::Error> {
        match written {
            WrittenInjection::Header {
                secret,
                header,
                prefix,
            } => {
                // `Bearer ` is what `Authorization` usually begins with; another header usually holds the key alone.
                let usual_prefix = if header.is_none() { "Bearer " } else { "" };
                Self::Header {
                    secret,
                    header: header.unwrap_or_else(|| "authorization".to_owned()),
                    prefix: prefix.unwrap_or_else(|| usual_prefix.to_owned()),
                }
            }
            WrittenInjection::Query { secret, parameter } => Self::Query { secret, parameter },
            WrittenInjection::Basic { secret, user } => Self::Basic { secret, user },
            WrittenInjection::AwsSigv4 {
                secret,
                region,
                service,
            } => Self::AwsSigv4 {
                secret,
                region,
                service,
            },
            WrittenInjection::OauthClientCredentials {
                secret,
                client_id,
                token_url,
                scope,
                private,
                certificates,
            } => {
                let networks = |private: Vec<String>| {
                    let each = private.into_iter();
                    each.map(|text| text.parse().map_err(|_| InvalidInjection::Network))
                        .collect()
                };
                Self::OauthClientCredentials {
                    secret,
                    client_id,
                    token_url,
                    scope,
                    private: private.map(networks).transpose()?,
                    certificates,
                }
            }
        }
        .checked()
    }
}
