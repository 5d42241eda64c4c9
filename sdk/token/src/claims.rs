//! Claims: what a token says (RFC 9068 section 2.2, RFC 8693 section 4, RFC 9396 section 9).

use serde::{Deserialize, Deserializer, Serialize};

use crate::strict::{self, Object};
use crate::{
    Actor, Algorithm, Audience, KeyId, Lineage, NodeId, Rev, ScopeSet, TaskScope, Thumbprint,
    base64url, header, task,
};

/// The claims of an access token.
///
/// Reading is strict: every member once, of the exact type, none unknown. Unknown members are
/// refused, against the advice for general JWTs, because only our own broker signs these tokens:
/// a member we do not know is either a restriction we would fail to enforce or somebody else's
/// token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Who issued it: the broker's issuer identifier.
    pub iss: String,
    /// Whose token it is: the identity's node, except when acting for another subject (RFC 8693).
    pub sub: String,
    /// The identity that obtained it (RFC 8693 section 4.3): its node.
    pub client_id: String,
    /// The one resource it is for.
    pub aud: Audience,
    /// When it ends, in Unix seconds.
    pub exp: u64,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// When it begins, in Unix seconds; our broker leaves it out, but it counts when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Its own node.
    pub jti: NodeId,
    /// What it may do.
    pub scope: ScopeSet,
    /// The place in the log its mint decision had read.
    pub rev: Rev,
    /// The nodes above it.
    pub lin: Lineage,
    /// Who acts for the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The key its bearer must prove to hold (RFC 7800).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// The task it is for.
    #[serde(skip_serializing_if = "Option::is_none", with = "task::array_of_one")]
    pub authorization_details: Option<TaskScope>,
    /// The baseline its behaviour is judged by: a content hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bsl: Option<String>,
}

/// The key a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Confirmation {
    /// The thumbprint of a DPoP key (RFC 9449 section 6.1).
    #[serde(rename = "jkt")]
    Key(Thumbprint),
    /// The thumbprint of a client certificate (RFC 8705 section 3.1).
    #[serde(rename = "x5t#S256")]
    Certificate(Thumbprint),
}

/// Why signed claims are not believed. The caller refuses the token; which fault it was is for the
/// audit log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsFault {
    /// Not one JSON object with exactly our members, each once and of its type.
    #[error("claims are not exactly the members of an access token")]
    Shape,
    /// `iss` is empty, too long or has control characters.
    #[error("`iss` is not an issuer")]
    Issuer,
    /// `sub` is empty, too long or has control characters.
    #[error("`sub` is not a subject")]
    Subject,
    /// `client_id` is empty, too long or has control characters.
    #[error("`client_id` is not a client")]
    Client,
    /// `bsl` is empty, too long or not visible ASCII.
    #[error("`bsl` is not a baseline")]
    Baseline,
    /// `exp` is not after `iat`.
    #[error("the token ends before it is issued")]
    Times,
}

impl Claims {
    /// The longest `iss`, `sub` and `client_id`, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The longest `bsl`, in bytes.
    pub const MAX_BASELINE_BYTES: usize = 128;

    /// Reads claims from JSON.
    pub fn parse(json: &[u8]) -> Result<Self, ClaimsFault> {
        let Object(wire) =
            serde_json::from_slice::<Object<Wire>>(json).map_err(|_| ClaimsFault::Shape)?;
        let claims = Self::from(wire);
        claims.check()?;
        Ok(claims)
    }

    /// Whether these claims would be read back: a mint asks before it signs.
    pub fn check(&self) -> Result<(), ClaimsFault> {
        if !is_name(&self.iss) {
            return Err(ClaimsFault::Issuer);
        }
        if !is_name(&self.sub) {
            return Err(ClaimsFault::Subject);
        }
        if !is_name(&self.client_id) {
            return Err(ClaimsFault::Client);
        }
        if !self.bsl.as_deref().is_none_or(is_baseline) {
            return Err(ClaimsFault::Baseline);
        }
        if self.exp <= self.iat {
            return Err(ClaimsFault::Times);
        }
        Ok(())
    }

    /// Everything whose revocation ends the token: itself, its lineage, all its actors.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::once(self.jti)
            .chain(self.lin.nodes())
            .chain(self.act.iter().flat_map(Actor::nodes))
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let claims = Self::from(strict::object::<D, Wire>(deserializer)?);
        claims.check().map_err(serde::de::Error::custom)?;
        Ok(claims)
    }
}

/// The header of every access token that one key signs, ready to be put before claims.
#[derive(Clone, Debug)]
pub struct SigningHeader(String);

impl SigningHeader {
    /// Of this key.
    pub fn new(algorithm: Algorithm, kid: &KeyId) -> Self {
        let mut text = base64url::encode(header::access_token_json(algorithm, kid).as_bytes());
        text.push('.');
        Self(text)
    }

    /// What is signed for these claims: `base64url(header) . base64url(claims)` (RFC 7515 section 5.1), with room
    /// for the signature behind it.
    ///
    /// The token is this text, a full stop and the base64url of the 64-byte signature. A mint makes
    /// sure that the whole is no longer than [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES).
    pub fn signing_input(&self, claims: &Claims) -> String {
        /// More than most claims take.
        const USUAL_BYTES: usize = 640;
        /// A full stop and 86 characters.
        const SIGNATURE_BYTES: usize = 87;
        let mut payload = Vec::with_capacity(USUAL_BYTES);
        // Every member is a string, a number or a list of them: writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut payload, claims);
        let length = self.0.len() + payload.len().div_ceil(3) * 4;
        let mut text = String::with_capacity(length + SIGNATURE_BYTES);
        text.push_str(&self.0);
        base64url::encode_into(&payload, &mut text);
        text
    }
}

/// What is signed for these claims, with a header made for this once: see [`SigningHeader`].
pub fn signing_input(claims: &Claims, algorithm: Algorithm, kid: &KeyId) -> String {
    SigningHeader::new(algorithm, kid).signing_input(claims)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= Claims::MAX_NAME_BYTES && !text.chars().any(char::is_control)
}

fn is_baseline(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= Claims::MAX_BASELINE_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    iss: String,
    sub: String,
    client_id: String,
    aud: Audience,
    exp: u64,
    iat: u64,
    #[serde(default, deserialize_with = "strict::present")]
    nbf: Option<u64>,
    jti: NodeId,
    scope: ScopeSet,
    rev: Rev,
    lin: Lineage,
    #[serde(default, deserialize_with = "strict::present")]
    act: Option<Actor>,
    #[serde(default, deserialize_with = "confirmation")]
    cnf: Option<Confirmation>,
    #[serde(default, deserialize_with = "task::array_of_one::deserialize")]
    authorization_details: Option<TaskScope>,
    #[serde(default, deserialize_with = "strict::present")]
    bsl: Option<String>,
}

/// `cnf` with exactly one method we know: with two, the weaker one would be enough.
fn confirmation<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Confirmation>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Methods {
        #[serde(default, deserialize_with = "strict::present")]
        jkt: Option<Thumbprint>,
        #[serde(default, rename = "x5t#S256", deserialize_with = "strict::present")]
        x5t_s256: Option<Thumbprint>,
    }
    match strict::object(deserializer)? {
        Methods {
            jkt: Some(key),
            x5t_s256: None,
        } => Ok(Some(Confirmation::Key(key))),
        Methods {
            jkt: None,
            x5t_s256: Some(certificate),
        } => Ok(Some(Confirmation::Certificate(certificate))),
        _ => Err(serde::de::Error::custom("exactly one confirmation method")),
    }
}

impl From<Wire> for Claims {
    fn from(wire: Wire) -> Self {
        Self {
            iss: wire.iss,
            sub: wire.sub,
            client_id: wire.client_id,
            aud: wire.aud,
            exp: wire.exp,
            iat: wire.iat,
            nbf: wire.nbf,
            jti: wire.jti,
            scope: wire.scope,
            rev: wire.rev,
            lin: wire.lin,
            act: wire.act,
            cnf: wire.cnf,
            authorization_details: wire.authorization_details,
            bsl: wire.bsl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        let node = NodeId::from_u64;
        Claims {
            iss: "https://broker.example".to_owned(),
            sub: node(2).to_string(),
            client_id: node(2).to_string(),
            aud: "https://api.example".parse().unwrap(),
            exp: 1_300,
            iat: 1_000,
            nbf: None,
            jti: node(9),
            scope: "orders:read".parse().unwrap(),
            rev: Rev::new(1, 7).unwrap(),
            lin: Lineage::of_credential(node(1), node(2), node(3)),
            act: None,
            cnf: None,
            authorization_details: None,
            bsl: None,
        }
    }

    #[test]
    fn claims_read_back_what_they_write() {
        let node = NodeId::from_u64;
        let mut full = claims();
        full.nbf = Some(1_000);
        full.act = Some(Actor::new(node(20), vec![node(21), node(22)], None).unwrap());
        full.cnf = Some(Confirmation::Certificate(Thumbprint::of_digest(&[7; 32])));
        full.authorization_details = TaskScope::new(None, None, Some(3), None).ok();
        full.bsl = Some("sha256-abc".to_owned());
        for claims in [claims(), full] {
            let json = serde_json::to_vec(&claims).unwrap();
            assert_eq!(Claims::parse(&json), Ok(claims));
        }
    }

    #[test]
    fn the_task_is_an_array_of_one_and_absent_members_are_left_out() {
        let mut claims = claims();
        claims.authorization_details = TaskScope::new(None, None, Some(3), None).ok();
        let json = serde_json::to_value(&claims).unwrap();
        assert_eq!(
            json["authorization_details"],
            serde_json::json!([{"type": "lanyard_task", "calls": 3}])
        );
        for absent in ["act", "cnf", "bsl", "nbf"] {
            assert!(json.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn all_nodes_are_its_own_its_lineages_and_its_actors() {
        let node = NodeId::from_u64;
        let mut claims = claims();
        let first = Actor::new(node(30), vec![node(31)], None).unwrap();
        claims.act = Some(Actor::new(node(20), vec![node(21), node(22)], Some(first)).unwrap());
        let nodes: Vec<u64> = claims.nodes().map(NodeId::as_u64).collect();
        assert_eq!(nodes, [9, 1, 2, 3, 21, 22, 31]);
    }

    #[test]
    fn control_characters_and_empty_names_are_refused() {
        for bad in ["", "a\0b", "a\r\nb", "\u{85}", &"a".repeat(257)] {
            let mut claims = claims();
            claims.sub = bad.to_owned();
            let json = serde_json::to_vec(&claims).unwrap();
            assert_eq!(Claims::parse(&json), Err(ClaimsFault::Subject), "{bad:?}");
            assert!(serde_json::from_slice::<Claims>(&json).is_err());
        }
        let mut backwards = claims();
        backwards.exp = backwards.iat;
        assert_eq!(backwards.check(), Err(ClaimsFault::Times));
    }

    #[test]
    fn two_confirmation_methods_or_an_unknown_one_are_refused() {
        let print = Thumbprint::of_digest(&[7; 32]);
        let with = |cnf: &str| {
            let json = serde_json::to_string(&claims()).unwrap();
            Claims::parse(format!(r#"{},"cnf":{cnf}}}"#, &json[..json.len() - 1]).as_bytes())
        };
        assert!(with(&format!(r#"{{"jkt":"{print}"}}"#)).is_ok());
        let both = format!(r#"{{"jkt":"{print}","x5t#S256":"{print}"}}"#);
        for bad in [
            "{}",
            "null",
            r#"{"jwk":{}}"#,
            "[]",
            r#""jkt""#,
            both.as_str(),
        ] {
            assert_eq!(with(bad), Err(ClaimsFault::Shape), "{bad}");
        }
    }
}
