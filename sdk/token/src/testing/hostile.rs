//! The hostile tokens: everything that looks like a token of ours and must not pass as one.
//!
//! Numbers are those of the list of attacks that all verifiers of Lanyard are tried against.

mod claims;
mod forms;
mod headers;
mod times;

use ring::hmac;

use super::TestIssuer;
use super::issuer::fresh_key;
use crate::{Algorithm, base64url};

/// A token that every verifier must refuse.
#[derive(Clone, Debug)]
pub struct HostileToken {
    /// What it tries, in words; unique in the table.
    pub name: String,
    /// The number of the attack, 1 to 36.
    pub attack: u8,
    /// The token.
    pub text: String,
    /// Whether jsonwebtoken at its strictest lets it through.
    pub jsonwebtoken_accepts: bool,
}

/// All hostile tokens of this issuer. All but those of attacks 1 to 3 and 15 to 18 are correctly
/// signed.
pub fn hostile_tokens(issuer: &TestIssuer) -> Vec<HostileToken> {
    let mut table = Table {
        issuer,
        rows: Vec::new(),
    };
    algorithms(&mut table);
    headers::fill(&mut table);
    forms::fill(&mut table);
    times::fill(&mut table);
    claims::fill(&mut table);
    table.rows
}

/// Attacks 1 to 3: another algorithm or another key than ours.
fn algorithms(table: &mut Table<'_>) {
    let issuer = table.issuer;
    for (name, value) in [
        ("alg none", r#""none""#),
        ("alg nOnE", r#""nOnE""#),
        ("alg empty", r#""""#),
        ("alg null", "null"),
        ("alg as list", r#"["ES256","EdDSA"]"#),
        ("alg in lower case", r#""es256""#),
        ("alg number", "256"),
    ] {
        let header = table.header_with("alg", value);
        let token = issuer.token_of_json(&header, &issuer.claims_json());
        let unsigned = token
            .rsplit_once('.')
            .map(|(signed, _)| format!("{signed}."));
        table.refused(1, name, token.clone());
        table.refused(
            1,
            &format!("{name}, unsigned"),
            unsigned.unwrap_or_default(),
        );
    }
    table.refused_header(1, "alg missing", table.header_without("alg"));

    let jwk = issuer.key.to_jwk().to_string();
    for (name, secret) in [("raw key", issuer.key.raw()), ("JWK", jwk.as_bytes())] {
        let header = table.header_with("alg", r#""HS256""#);
        let signed = table.unsigned(&header, &issuer.claims_json());
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret),
            signed.as_bytes(),
        );
        let text = format!("{signed}.{}", base64url::encode(tag.as_ref()));
        table.refused(2, &format!("HS256 keyed with our public {name}"), text);
    }

    let other = match issuer.key.algorithm() {
        Algorithm::Es256 => Algorithm::EdDsa,
        Algorithm::EdDsa => Algorithm::Es256,
    };
    for name in ["RS256", "PS256", "ES384", "ES256K", "Ed448", other.name()] {
        let header = table.header_with("alg", &format!("{name:?}"));
        table.refused_header(3, &format!("{name} with our kid"), header);
    }
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (_, sign) = fresh_key(algorithm);
        let header = table.header_with("alg", &format!("{:?}", algorithm.name()));
        let signed = table.unsigned(&header, &issuer.claims_json());
        let signature = base64url::encode(&sign(signed.as_bytes()));
        let name = format!("another {algorithm} key with our kid");
        table.refused(3, &name, format!("{signed}.{signature}"));
    }
}

/// The table while it is filled.
struct Table<'i> {
    issuer: &'i TestIssuer,
    rows: Vec<HostileToken>,
}

impl Table<'_> {
    /// A row that jsonwebtoken refuses too.
    fn refused(&mut self, attack: u8, name: &str, text: String) {
        let name = name.to_owned();
        self.rows.push(HostileToken {
            name,
            attack,
            text,
            jsonwebtoken_accepts: false,
        });
    }

    /// A row that jsonwebtoken lets through.
    fn let_through(&mut self, attack: u8, name: &str, text: String) {
        let name = name.to_owned();
        self.rows.push(HostileToken {
            name,
            attack,
            text,
            jsonwebtoken_accepts: true,
        });
    }

    fn refused_header(&mut self, attack: u8, name: &str, header: String) {
        let text = self
            .issuer
            .token_of_json(&header, &self.issuer.claims_json());
        self.refused(attack, name, text);
    }

    fn let_through_header(&mut self, attack: u8, name: &str, header: String) {
        let text = self
            .issuer
            .token_of_json(&header, &self.issuer.claims_json());
        self.let_through(attack, name, text);
    }

    fn refused_claims(&mut self, attack: u8, name: &str, claims: String) {
        let text = self
            .issuer
            .token_of_json(&self.issuer.header_json(), &claims);
        self.refused(attack, name, text);
    }

    fn let_through_claims(&mut self, attack: u8, name: &str, claims: String) {
        let text = self
            .issuer
            .token_of_json(&self.issuer.header_json(), &claims);
        self.let_through(attack, name, text);
    }

    /// Header and claims without a signature.
    fn unsigned(&self, header: &str, claims: &str) -> String {
        let (header, claims) = (header.as_bytes(), claims.as_bytes());
        format!(
            "{}.{}",
            base64url::encode(header),
            base64url::encode(claims)
        )
    }

    fn header_with(&self, member: &str, value: &str) -> String {
        with(&self.issuer.header_json(), member, Some(value))
    }

    fn header_without(&self, member: &str) -> String {
        with(&self.issuer.header_json(), member, None)
    }

    /// The header with more members at its end.
    fn header_plus(&self, members: &str) -> String {
        plus(&self.issuer.header_json(), members)
    }

    fn claims_with(&self, member: &str, value: &str) -> String {
        with(&self.issuer.claims_json(), member, Some(value))
    }

    fn claims_without(&self, member: &str) -> String {
        with(&self.issuer.claims_json(), member, None)
    }

    /// The claims with more members at their end.
    fn claims_plus(&self, members: &str) -> String {
        plus(&self.issuer.claims_json(), members)
    }
}

/// `object` with `member` replaced by `value`, which need not be JSON, or removed.
fn with(object: &str, member: &str, value: Option<&str>) -> String {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(object).expect("headers and claims are objects");
    let others = object
        .iter()
        .filter(|(name, _)| *name != member)
        .map(|(name, value)| format!("{name:?}:{value}"));
    let changed = value.map(|value| format!("{member:?}:{value}"));
    format!(
        "{{{}}}",
        others.chain(changed).collect::<Vec<_>>().join(",")
    )
}

fn plus(object: &str, members: &str) -> String {
    format!("{},{members}}}", object.trim_end_matches('}'))
}
