//! What administrators send, read into types that cannot be wrong.

use lanyard_token::{Audience, NodeId, ScopeSet};
use serde::Deserialize;

use super::{ADMIN_SCOPE, EGRESS_SCOPES, GATEWAY_SCOPES, LOCAL_ADMINISTRATOR};
use crate::issue::policy::Lifetimes;
use crate::issue::proof::api_key::ApiKey;
use crate::store::event::{Identity, Kind};
use crate::store::plain::is_plain_line;

/// A member that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` {why}")]
pub struct InvalidInput {
    /// Which one.
    pub member: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl InvalidInput {
    pub(super) fn new(member: &'static str, why: impl Into<String>) -> Self {
        Self {
            member,
            why: why.into(),
        }
    }
}

/// A new owner.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOwner {
    /// Unique among owners.
    pub name: String,
    /// How to reach them.
    #[serde(default)]
    pub contact: Option<String>,
}

/// A new identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewIdentity {
    /// Unique among identities.
    pub name: String,
    /// Its owner, by name or number.
    pub owner: String,
    /// What sort of thing it is. Gateways are enrolled instead.
    pub kind: Kind,
    /// Free labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where its tokens may be good for.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// What they may allow there, separated by spaces.
    #[serde(default)]
    pub scopes: String,
    /// Longest lifetime of its tokens, in seconds; absent: the trust domain's.
    #[serde(default)]
    pub max_lifetime: Option<u64>,
}

/// A new gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGateway {
    /// Unique among identities.
    pub name: String,
    /// Its owner, by name or number.
    pub owner: String,
    /// The audiences it serves.
    pub audiences: Vec<String>,
    /// Whether its word about hard rules stands alone, so that credentials may end by it: for an audience
    /// that no other gateway serves.
    #[serde(default)]
    pub sole_witness: bool,
    /// Whether it is given secrets of third parties, for integrations that name it.
    #[serde(default)]
    pub egress: bool,
}

/// A name: `[a-z0-9][a-z0-9._-]{0,62}`. Safe in URLs, logs, file names and a shell.
pub struct Name(String);

impl Name {
    /// Reads the name in a member. A name that could be a node number is refused: whoever reads it
    /// could take it for another thing.
    pub fn parse(member: &'static str, text: &str) -> Result<Self, InvalidInput> {
        let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let well_formed = (1..=63).contains(&text.len())
            && text.bytes().all(inner)
            && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !well_formed {
            let why = "is 1 to 63 characters of a-z 0-9 . _ - and begins with a letter or digit";
            return Err(InvalidInput::new(member, why));
        }
        if text.parse::<NodeId>().is_ok() {
            return Err(InvalidInput::new(
                member,
                "looks like a number: 16 hexadecimal digits",
            ));
        }
        if ApiKey::is_meant(text) {
            // A key in the wrong place would be shown to everybody who lists names.
            return Err(InvalidInput::new(member, "looks like an API key"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Audiences that only the broker's own helpers have tokens for.
#[derive(Clone, Copy)]
pub(super) struct Reserved<'a> {
    pub(super) own: &'a Audience,
    pub(super) admin: &'a Audience,
}

/// What is written about an identity.
pub(super) fn identity(
    new: NewIdentity,
    owner: NodeId,
    reserved: Reserved<'_>,
    lifetimes: Lifetimes,
) -> Result<Identity, InvalidInput> {
    let name = Name::parse("name", &new.name)?.into_string();
    let tags = tags(&new.tags)?;
    let mut audiences = audiences(&new.audiences)?;
    let mut scopes: ScopeSet = new
        .scopes
        .parse()
        .map_err(|error| InvalidInput::new("scopes", format!("is refused: {error}")))?;
    match new.kind {
        Kind::Administrator => {
            if audiences.iter().any(|audience| audience != reserved.admin) {
                return Err(InvalidInput::new(
                    "audiences",
                    "of an administrator is the admin listener's alone",
                ));
            }
            if scopes.iter().any(|scope| scope.as_str() != ADMIN_SCOPE) {
                return Err(InvalidInput::new(
                    "scopes",
                    format!("of an administrator is {ADMIN_SCOPE} alone"),
                ));
            }
            audiences = vec![reserved.admin.clone()];
            scopes = ADMIN_SCOPE.parse().unwrap_or_default();
        }
        Kind::Gateway | Kind::Service | Kind::Integration | Kind::Agent => {
            if name == LOCAL_ADMINISTRATOR {
                return Err(is_the_sockets());
            }
            if audiences.is_empty() {
                return Err(InvalidInput::new(
                    "audiences",
                    "names at least one audience",
                ));
            }
            if audiences
                .iter()
                .any(|audience| audience == reserved.own || audience == reserved.admin)
            {
                return Err(InvalidInput::new("audiences", "names the broker itself"));
            }
            let helper = new.kind == Kind::Gateway
                && [GATEWAY_SCOPES, EGRESS_SCOPES].contains(&scopes.to_string().as_str());
            if !helper
                && scopes
                    .iter()
                    .any(|scope| scope.as_str().starts_with("lanyard:"))
            {
                return Err(InvalidInput::new(
                    "scopes",
                    "that begin with `lanyard:` are the broker's own",
                ));
            }
            if new.kind == Kind::Gateway && !helper {
                return Err(is_enrolled());
            }
        }
    }
    let max_lifetime = new.max_lifetime.unwrap_or(lifetimes.longest);
    if !(1..=lifetimes.longest).contains(&max_lifetime) {
        let why = format!("is 1 to {} seconds", lifetimes.longest);
        return Err(InvalidInput::new("max_lifetime", why));
    }
    Ok(Identity {
        name,
        owner,
        kind: new.kind,
        tags,
        audiences,
        scopes,
        max_lifetime,
        sole_witness: false,
    })
}

/// Whoever has the name is taken for whoever uses the Unix socket, and the broker alone gives it to somebody.
pub(super) fn is_the_sockets() -> InvalidInput {
    InvalidInput::new("name", "is the Unix socket's")
}

/// A gateway comes to be in one way only.
pub(super) fn is_enrolled() -> InvalidInput {
    InvalidInput::new("kind", "is gateway: enrol it with `lanyard gateway add`")
}

fn tags(texts: &[String]) -> Result<Vec<String>, InvalidInput> {
    if texts.len() > 64 {
        return Err(InvalidInput::new("tags", "are at most 64"));
    }
    let mut tags = texts
        .iter()
        .map(|text| Name::parse("tags", text).map(Name::into_string))
        .collect::<Result<Vec<_>, _>>()?;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

fn audiences(texts: &[String]) -> Result<Vec<Audience>, InvalidInput> {
    if texts.len() > 64 {
        return Err(InvalidInput::new("audiences", "are at most 64"));
    }
    let mut audiences: Vec<Audience> = Vec::with_capacity(texts.len());
    for text in texts {
        let audience = text
            .parse()
            .map_err(|error| InvalidInput::new("audiences", format!("is refused: {error}")))?;
        if !audiences.contains(&audience) {
            audiences.push(audience);
        }
    }
    Ok(audiences)
}

pub(super) fn contact(text: Option<String>) -> Result<Option<String>, InvalidInput> {
    text.map(|text| words("contact", &text, 256)).transpose()
}

pub(super) fn label(text: Option<String>) -> Result<Option<String>, InvalidInput> {
    text.map(|text| words("label", &text, 128)).transpose()
}

pub(super) fn reason(text: &str) -> Result<String, InvalidInput> {
    words("reason", text, 512)
}

/// One line of text: it ends up in logs and on consoles.
pub(super) fn words(
    member: &'static str,
    text: &str,
    longest: usize,
) -> Result<String, InvalidInput> {
    let text = text.trim();
    if text.is_empty() || text.len() > longest || !is_plain_line(text) {
        return Err(InvalidInput::new(
            member,
            format!("is one line of 1 to {longest} bytes"),
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(kind: Kind) -> NewIdentity {
        NewIdentity {
            name: "billing".to_owned(),
            owner: "team".to_owned(),
            kind,
            tags: vec!["prod".to_owned(), "eu".to_owned(), "prod".to_owned()],
            audiences: vec!["https://a.example".to_owned()],
            scopes: "read".to_owned(),
            max_lifetime: None,
        }
    }

    fn read(new: NewIdentity) -> Result<Identity, InvalidInput> {
        let (own, admin) = (
            "https://broker.example".parse().unwrap(),
            "https://broker.example/admin".parse().unwrap(),
        );
        identity(
            new,
            NodeId::from_u64(1),
            Reserved {
                own: &own,
                admin: &admin,
            },
            Lifetimes::default(),
        )
    }

    fn refused(change: impl FnOnce(&mut NewIdentity)) -> &'static str {
        let mut input = new(Kind::Service);
        change(&mut input);
        read(input).unwrap_err().member
    }

    #[test]
    fn tags_are_sorted_and_each_once() {
        assert_eq!(read(new(Kind::Agent)).unwrap().tags, ["eu", "prod"]);
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        assert_eq!(refused(|input| input.name = "Billing".to_owned()), "name");
        assert_eq!(refused(|input| input.name = "a".repeat(64)), "name");
        assert_eq!(refused(|input| input.name = ".hidden".to_owned()), "name");
        assert_eq!(
            refused(|input| input.name = "0123456789abcdef".to_owned()),
            "name"
        );
        assert_eq!(refused(|input| input.tags = vec!["a b".to_owned()]), "tags");
        assert_eq!(
            refused(|input| input.tags = (0..65).map(|n| format!("t{n}")).collect()),
            "tags"
        );
        assert_eq!(refused(|input| input.audiences.clear()), "audiences");
        assert_eq!(
            refused(|input| input.audiences = vec!["a b".to_owned()]),
            "audiences"
        );
        assert_eq!(
            refused(|input| input.audiences = (0..65).map(|n| format!("a{n}")).collect()),
            "audiences"
        );
        assert_eq!(refused(|input| input.scopes = "reаd".to_owned()), "scopes");
        assert_eq!(
            refused(|input| input.max_lifetime = Some(0)),
            "max_lifetime"
        );
        assert_eq!(
            refused(|input| input.max_lifetime = Some(3_601)),
            "max_lifetime"
        );
    }

    #[test]
    fn the_brokers_own_audiences_and_scopes_are_not_for_everybody() {
        assert_eq!(
            refused(|input| input.audiences = vec!["https://broker.example/admin".to_owned()]),
            "audiences"
        );
        assert_eq!(
            refused(|input| input.scopes = "lanyard:admin".to_owned()),
            "scopes"
        );
        assert_eq!(
            refused(|input| input.scopes = GATEWAY_SCOPES.to_owned()),
            "scopes"
        );
        assert_eq!(refused(|input| input.kind = Kind::Gateway), "kind");
    }

    #[test]
    fn nobody_else_takes_the_name_of_the_sockets_administrator() {
        assert_eq!(
            refused(|input| input.name = LOCAL_ADMINISTRATOR.to_owned()),
            "name"
        );
    }

    #[test]
    fn an_administrator_gets_the_admin_listener_and_nothing_else() {
        let mut input = new(Kind::Administrator);
        assert_eq!(read(input.clone()).unwrap_err().member, "audiences");
        input.audiences.clear();
        assert_eq!(read(input.clone()).unwrap_err().member, "scopes");
        input.scopes.clear();
        let administrator = read(input).unwrap();
        assert_eq!(administrator.scopes.to_string(), ADMIN_SCOPE);
        assert_eq!(
            administrator.audiences[0].as_str(),
            "https://broker.example/admin"
        );
    }

    #[test]
    fn reasons_are_one_line() {
        assert!(reason("left the company").is_ok());
        assert!(reason("café, 東京 – naïve").is_ok());
        for bad in [
            "",
            "  ",
            "two\nlines",
            "\u{1b}[31m",
            "two\u{2028}lines",
            "turned \u{202e}dnuora",
            "hid\u{200b}den",
        ] {
            assert!(reason(bad).is_err(), "{bad:?}");
        }
    }
}
