//! Attacks 15 to 22: the form of the text, of its base64, of its signature and of its JSON.

use super::Table;
use crate::{Algorithm, base64url};

pub(super) fn fill(table: &mut Table<'_>) {
    parts(table);
    base64(table);
    signatures(table);
    sizes(table);
    json(table);
}

fn parts(table: &mut Table<'_>) {
    let issuer = table.issuer;
    let token = issuer.token();
    let header = base64url::encode(br#"{"alg":"ECDH-ES","enc":"A256GCM"}"#);
    table.refused(15, "five parts", format!("{header}.AA.AA.AA.AA"));
    table.refused(
        15,
        "a token of ours with five parts",
        format!("{token}.AA.AA"),
    );
    let nested = table.header_plus(r#""cty":"JWT""#);
    table.refused(
        15,
        "nested token",
        issuer.token_of_bytes(nested.as_bytes(), token.as_bytes()),
    );
    let payload = token.split('.').nth(1).unwrap_or_default();
    let signature = token.rsplit('.').next().unwrap_or_default();
    let head = token.split('.').next().unwrap_or_default();
    for (name, text) in [
        ("no text", String::new()),
        ("one full stop", ".".to_owned()),
        ("two full stops", "..".to_owned()),
        ("one part", head.to_owned()),
        ("two parts", format!("{head}.{payload}")),
        ("four parts", format!("{token}.{signature}")),
        ("four parts, the last empty", format!("{token}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", issuer.signed(format!("{head}."))),
        ("no signature", format!("{head}.{payload}.")),
        (
            "parts in another order",
            format!("{payload}.{head}.{signature}"),
        ),
    ] {
        table.refused(16, name, text);
    }
}

fn base64(table: &mut Table<'_>) {
    let issuer = table.issuer;
    let token = issuer.token();
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    let (head, payload) = signed.split_once('.').unwrap_or_default();
    table.refused(17, "loose tail of the signature", loosen(&token));
    for (name, text) in [
        ("padded signature", format!("{token}==")),
        (
            "padded payload",
            issuer.signed(format!("{head}.{payload}=")),
        ),
        ("padded header", issuer.signed(format!("{head}=.{payload}"))),
        ("space before", format!(" {token}")),
        ("space after", format!("{token} ")),
        ("line feed after", format!("{token}\n")),
        ("NUL after", format!("{token}\0")),
        (
            "space around a full stop",
            format!("{head} .{payload}.{signature}"),
        ),
        (
            "line feed in the payload",
            issuer.signed(format!("{head}.{payload}\n")),
        ),
        (
            "percent sign in the payload",
            issuer.signed(format!("{head}.{payload}%3D")),
        ),
        ("scheme before", format!("Bearer {token}")),
        ("quotes around", format!("\"{token}\"")),
    ] {
        table.refused(17, name, text);
    }
    // A byte count that is no multiple of three leaves spare bits at the end of the text.
    let spare = |json: String| {
        let spaces = if json.len().is_multiple_of(3) {
            " "
        } else {
            ""
        };
        loosen(&base64url::encode(format!("{json}{spaces}").as_bytes()))
    };
    let loose_payload = spare(issuer.claims_json());
    table.refused(
        17,
        "loose tail of the payload",
        issuer.signed(format!("{head}.{loose_payload}")),
    );
    let loose_head = spare(issuer.header_json());
    table.refused(
        17,
        "loose tail of the header",
        issuer.signed(format!("{loose_head}.{payload}")),
    );
    // Padding with spaces until the text has a character that the alphabets do not share.
    let mut claims = issuer.claims_json();
    claims.insert_str(1, "\"\u{3ff}\u{3ff}\":\"\u{fb}\u{ff}\u{fe}\",");
    let text = base64url::encode(claims.as_bytes())
        .replace('-', "+")
        .replace('_', "/");
    table.refused(
        17,
        "standard alphabet",
        issuer.signed(format!("{head}.{text}")),
    );
}

fn signatures(table: &mut Table<'_>) {
    let issuer = table.issuer;
    let token = issuer.token();
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    let good = issuer.signature(signed.as_bytes());
    let (first, second) = good.split_at(good.len() / 2);
    let mut rows = vec![
        ("zeros as signature", vec![0; 64]),
        ("ones as signature", vec![0xff; 64]),
        (
            "halves of the signature exchanged",
            [second, first].concat(),
        ),
        ("first half alone", first.to_vec()),
        ("first half twice", [first, first].concat()),
        ("second half zero", [first, &[0; 32]].concat()),
        ("first half zero", [&[0; 32], second].concat()),
        ("a byte more", [&good[..], &[0]].concat()),
        (
            "signature of another message",
            issuer.signature(b"another message"),
        ),
    ];
    match issuer.key.algorithm() {
        Algorithm::Es256 => {
            rows.push(("signature as DER", der(first, second)));
            rows.push(("r and s the group order", [P256_ORDER, P256_ORDER].concat()));
        }
        Algorithm::EdDsa => {
            rows.push((
                "S plus the group order",
                [first, &plus_order(second)].concat(),
            ));
            let mut identity = [0; 32];
            identity[0] = 1;
            rows.push(("R of small order", [&identity, second].concat()));
            rows.push((
                "R of small order and S zero",
                [&identity[..], &[0; 32]].concat(),
            ));
            let mut beyond = [0xff; 32];
            beyond[31] = 0x7f;
            rows.push(("R beyond the field", [&beyond, second].concat()));
        }
    }
    for (name, signature) in rows {
        let text = format!("{signed}.{}", base64url::encode(&signature));
        table.refused(18, name, text);
    }
}

fn sizes(table: &mut Table<'_>) {
    let mebibyte = "A".repeat(1024 * 1024);
    let header = table.header_plus(&format!(r#""x":"{mebibyte}""#));
    table.let_through_header(19, "1 MiB of header", header);
    let claims = table.claims_plus(&format!(r#""x":"{mebibyte}""#));
    table.let_through_claims(19, "1 MiB of claims", claims);
    let spaced = format!("{}{}", table.issuer.claims_json(), " ".repeat(4096));
    table.let_through_claims(19, "claims that are fine but for their length", spaced);
    table.refused(19, "1 MiB of full stops", ".".repeat(1024 * 1024));
    table.refused(19, "1 MiB of letters", mebibyte);
}

fn json(table: &mut Table<'_>) {
    let issuer = table.issuer;
    for depth in [200, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let claims = table.claims_plus(&format!(r#""x":{deep}"#));
        table.refused_claims(20, &format!("claims nested {depth} deep"), claims);
        let header = table.header_plus(&format!(r#""x":{deep}"#));
        table.refused_header(20, &format!("header nested {depth} deep"), header);
        table.refused_claims(
            20,
            &format!("only brackets, {depth} deep"),
            "[".repeat(depth),
        );
    }
    let claims = issuer.claims_json();
    for (name, text) in [
        (
            "a second object after the claims",
            format!("{claims}{claims}"),
        ),
        ("letters after the claims", format!("{claims}x")),
        ("NUL after the claims", format!("{claims}\0")),
        (
            "comma before the end",
            format!("{},}}", claims.trim_end_matches('}')),
        ),
        ("comment in the claims", format!("/**/{claims}")),
        ("claims cut short", claims.trim_end_matches('}').to_owned()),
        ("no claims", String::new()),
        ("claims null", "null".to_owned()),
        ("claims a string", "\"claims\"".to_owned()),
        ("claims an empty object", "{}".to_owned()),
        ("claims in single quotes", claims.replace('"', "'")),
    ] {
        table.refused_claims(21, name, text);
    }
    let header = format!("{}x", issuer.header_json());
    table.refused_header(21, "letters after the header", header);

    let head = issuer.header_json();
    let utf16: Vec<u8> = claims.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let sub = |bytes: &[u8]| {
        let claims = table.claims_with("sub", "\"SUB\"");
        let (before, after) = claims.split_once("SUB").unwrap_or_default();
        [before.as_bytes(), bytes, after.as_bytes()].concat()
    };
    for (name, bytes) in [
        (
            "byte order mark",
            [b"\xef\xbb\xbf", claims.as_bytes()].concat(),
        ),
        ("UTF-16", utf16),
        ("overlong UTF-8", sub(b"\xc0\xae")),
        ("lone surrogate in UTF-8", sub(b"\xed\xa0\x80")),
        ("lone surrogate as escape", sub(br"\ud800")),
        ("cut UTF-8", sub(b"\xe2\x82")),
        ("raw NUL", sub(b"a\0b")),
        ("raw line feed", sub(b"a\nb")),
    ] {
        table.refused(22, name, issuer.token_of_bytes(head.as_bytes(), &bytes));
    }
}

/// The same bytes with a spare bit set at the end of the text.
fn loosen(text: &str) -> String {
    let mut text = text.to_owned();
    let last = text.pop().unwrap_or('A');
    // In the alphabet the successor differs in the lowest bit, which the last character has spare.
    text.push(match last {
        'A'..='Y' | 'a'..='y' | '0'..='8' => char::from(last as u8 + 1),
        'Z' => 'a',
        'z' => '0',
        '9' => '-',
        _ => 'B',
    });
    text
}

/// The order of the group of P-256 (SEC 2 section 2.4.2).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of the group of Ed25519, little-endian (RFC 8032 section 5.1).
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// S + L, the twin that RFC 8032 section 5.1.7 forbids.
fn plus_order(scalar: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let sum = scalar.iter().zip(ED25519_ORDER).map(|(left, right)| {
        let byte = u16::from(*left) + u16::from(right) + carry;
        carry = byte >> 8;
        byte.to_le_bytes()[0]
    });
    sum.collect()
}

/// An ECDSA signature in the form of X9.62, which JWS does not use.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |value: &[u8]| [&[2, 33, 0], value].concat();
    let body = [integer(r), integer(s)].concat();
    [&[0x30, 70], &body[..]].concat()
}
