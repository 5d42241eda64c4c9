//! Attacks 4 to 14: members of the header.

use super::Table;
use crate::Algorithm;
use crate::testing::issuer::fresh_key;
use crate::{KeyId, base64url};

pub(super) fn fill(table: &mut Table<'_>) {
    key_names(table);
    keys_and_their_places(table);
    critical_members(table);
    repeated_members(table);
    types(table);
}

fn key_names(table: &mut Table<'_>) {
    let kid = table.issuer.key.thumbprint();
    for (name, value) in [
        ("a path", r#""../../dev/null""#.to_owned()),
        ("SQL", r#""'; DROP TABLE keys; --""#.to_owned()),
        ("64 KiB", format!("{:?}", "A".repeat(64 * 1024))),
        ("NUL", format!(r#""{kid}\u0000""#)),
        ("empty", r#""""#.to_owned()),
        ("null", "null".to_owned()),
        ("a URL", r#""http://127.0.0.1:9/kid""#.to_owned()),
        ("with a space after it", format!(r#""{kid} ""#)),
        ("with padding", format!(r#""{kid}=""#)),
        ("with an escape in it", format!(r#""{kid}\u002e""#)),
    ] {
        let header = table.header_with("kid", &value);
        table.let_through_header(4, &format!("kid {name}"), header);
    }
    for (name, value) in [("number", "7"), ("list", "[]"), ("object", "{}")] {
        let header = table.header_with("kid", value);
        table.refused_header(4, &format!("kid {name}"), header);
    }
    table.let_through_header(4, "kid missing", table.header_without("kid"));
    let unknown = KeyId::of_digest(&[7; 32]);
    let header = table.header_with("kid", &format!("\"{unknown}\""));
    table.let_through_header(5, "kid of no key", header);
}

fn keys_and_their_places(table: &mut Table<'_>) {
    let issuer = table.issuer;
    let (attacker, sign) = fresh_key(Algorithm::Es256);
    let jwk = attacker.to_jwk().to_string();
    let header = table.header_plus(&format!(r#""jwk":{jwk}"#));
    table.let_through_header(6, "embedded jwk", header);
    let header = format!(
        r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}","jwk":{jwk}}}"#,
        attacker.thumbprint()
    );
    let signed = table.unsigned(&header, &issuer.claims_json());
    let signature = base64url::encode(&sign(signed.as_bytes()));
    table.refused(
        6,
        "signed by its own embedded jwk",
        format!("{signed}.{signature}"),
    );

    let place = issuer.listener.clone();
    for member in ["jku", "x5u"] {
        let header = table.header_plus(&format!(r#""{member}":"{place}""#));
        table.let_through_header(7, &format!("{member} to a listener"), header);
    }
    for member in [
        r#""x5c":["MIIB"]"#,
        r#""x5t":"AA""#,
        r#""x5t#S256":"AA""#,
        r#""url":"/""#,
    ] {
        let header = table.header_plus(member);
        table.let_through_header(7, &format!("header with {member}"), header);
    }
}

fn critical_members(table: &mut Table<'_>) {
    for (attack, name, members) in [
        (8, "unknown crit", r#""crit":["lanyard-x"],"lanyard-x":1"#),
        (8, "crit names a claim", r#""crit":["exp"],"exp":1"#),
        (8, "crit names a missing member", r#""crit":["lanyard-x"]"#),
        (
            9,
            "unencoded payload announced",
            r#""crit":["b64"],"b64":false"#,
        ),
        (9, "b64 false without crit", r#""b64":false"#),
        (9, "b64 true", r#""crit":["b64"],"b64":true"#),
        (10, "crit empty", r#""crit":[]"#),
        (10, "crit null", r#""crit":null"#),
        (11, "zip DEF", r#""zip":"DEF""#),
        (11, "zip unknown", r#""zip":"ZSTD""#),
        (11, "enc in a signed token", r#""enc":"A256GCM""#),
        (8, "nonce in the header", r#""nonce":"AA""#),
        (8, "unknown member", r#""lanyard":true"#),
    ] {
        let header = table.header_plus(members);
        table.let_through_header(attack, name, header);
    }
    table.refused_header(10, "crit no list", table.header_plus(r#""crit":"b64""#));
    // Raw DEFLATE of a mebibyte of zeros begins like this; who inflates it is lost.
    let header = table.header_plus(r#""zip":"DEF""#);
    let mut bomb = vec![0xec, 0xc1, 0x01, 0x01];
    bomb.resize(1024, 0);
    let text = table.issuer.token_of_bytes(header.as_bytes(), &bomb);
    table.refused(11, "zip bomb", text);
}

fn repeated_members(table: &mut Table<'_>) {
    let kid = table.issuer.key.thumbprint();
    let alg = table.issuer.key.algorithm();
    for (name, member) in [
        ("alg", format!(r#""alg":"{alg}""#)),
        ("alg none", r#""alg":"none""#.to_owned()),
        ("kid", format!(r#""kid":"{kid}""#)),
        ("typ", r#""typ":"at+jwt""#.to_owned()),
        ("alg by an escape", format!(r#""\u0061lg":"{alg}""#)),
    ] {
        let header = table.header_plus(&member);
        table.refused_header(12, &format!("repeated {name}"), header);
    }
}

fn types(table: &mut Table<'_>) {
    for typ in [
        "dpop+jwt",
        "JWT",
        "jwt",
        "AT+JWT",
        "at+jwt ",
        "application/jwt",
        "application/AT+jwt",
        "at+jwt;v=1",
        "secevent+jwt",
        "oauth-id-jag+jwt",
        "lanyard-delegation+jwt",
        "",
    ] {
        let header = table.header_with("typ", &format!("{typ:?}"));
        table.let_through_header(14, &format!("typ {typ:?}"), header);
    }
    table.let_through_header(14, "typ missing", table.header_without("typ"));
    table.let_through_header(14, "typ null", table.header_with("typ", "null"));
    table.refused_header(14, "typ list", table.header_with("typ", r#"["at+jwt"]"#));
    let list = format!(
        r#"["{}","at+jwt","{}"]"#,
        table.issuer.key.algorithm(),
        table.issuer.key.thumbprint()
    );
    table.refused_header(12, "header as list", list);
}
