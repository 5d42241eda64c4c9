//! Attacks 13, 23 and 30 to 35: members of the claims other than times.

use super::Table;
use crate::{Actor, NodeId};

pub(super) fn fill(table: &mut Table<'_>) {
    repeated_and_unknown(table);
    subjects(table);
    audiences(table);
    issuers(table);
    scopes(table);
    descent(table);
    optional(table);
}

fn repeated_and_unknown(table: &mut Table<'_>) {
    let claims = table.issuer.claims.clone();
    for (name, member) in [
        ("scope", r#""scope":"admin""#.to_owned()),
        ("scope by an escape", r#""\u0073cope":"admin""#.to_owned()),
        ("jti", format!(r#""jti":"{}""#, claims.jti)),
        ("rev", r#""rev":9007199254740991"#.to_owned()),
        (
            "client_id",
            format!(r#""client_id":"{}""#, claims.client_id),
        ),
        ("iat", format!(r#""iat":{}"#, claims.iat)),
        (
            "lin",
            r#""lin":["0000000000000001","0000000000000002","0000000000000003"]"#.to_owned(),
        ),
    ] {
        let claims = table.claims_plus(&member);
        table.let_through_claims(13, &format!("repeated {name}"), claims);
    }
    for (name, member) in [
        ("exp", format!(r#""exp":{}"#, claims.exp)),
        ("aud", format!(r#""aud":"{}""#, claims.aud)),
        ("iss", format!(r#""iss":"{}""#, claims.iss)),
        ("sub", format!(r#""sub":"{}""#, claims.sub)),
    ] {
        let claims = table.claims_plus(&member);
        table.refused_claims(13, &format!("repeated {name}"), claims);
    }
    for member in [
        r#""admin":true"#,
        r#""SCOPE":"admin""#,
        r#""scp":["admin"]"#,
        r#""roles":["admin"]"#,
        r#""":1"#,
        r#""__proto__":{}"#,
        r#""may_act":{"sub":"x"}"#,
        r#""status":{"status_list":{"idx":0,"uri":"http://127.0.0.1:9"}}"#,
    ] {
        let claims = table.claims_plus(member);
        table.let_through_claims(13, &format!("unknown claim {member}"), claims);
    }
    // A derived reader takes a list for an object, by the order of its own members.
    let list = format!(
        r#"[{},{},"{}","{}","{}"]"#,
        claims.exp, claims.iat, claims.sub, claims.iss, claims.aud
    );
    table.let_through_claims(13, "claims as list", list);
}

fn subjects(table: &mut Table<'_>) {
    for (name, value) in [
        ("NUL", r#""a\u0000b""#),
        ("CRLF", r#""a\r\nSet-Cookie: x""#),
        ("an escape sequence", r#""\u001b[2J""#),
        ("a C1 control", r#""\u0085""#),
        ("DEL", r#""\u007f""#),
    ] {
        let claims = table.claims_with("sub", value);
        table.let_through_claims(23, &format!("sub with {name}"), claims);
        let claims = table.claims_with("client_id", value);
        table.let_through_claims(23, &format!("client_id with {name}"), claims);
    }
    table.let_through_claims(34, "sub empty", table.claims_with("sub", r#""""#));
    let long = format!("{:?}", "a".repeat(257));
    table.let_through_claims(34, "sub too long", table.claims_with("sub", &long));
    table.refused_claims(34, "sub missing", table.claims_without("sub"));
    for value in ["null", "7", "[\"a\"]", "{}", "true"] {
        let claims = table.claims_with("sub", value);
        table.refused_claims(34, &format!("sub {value}"), claims);
    }
    table.let_through_claims(34, "client_id missing", table.claims_without("client_id"));
    for value in ["null", "7", "\"\"", "[]"] {
        let claims = table.claims_with("client_id", value);
        table.let_through_claims(34, &format!("client_id {value}"), claims);
    }
}

fn audiences(table: &mut Table<'_>) {
    let aud = table.issuer.claims.aud.to_string();
    table.refused_claims(30, "aud missing", table.claims_without("aud"));
    for value in [
        "null",
        "7",
        r#"{"aud":"x"}"#,
        "[]",
        "[[\"x\"]]",
        "true",
        r#""""#,
    ] {
        let claims = table.claims_with("aud", value);
        table.refused_claims(30, &format!("aud {value}"), claims);
    }
    for (name, value) in [
        ("of two", format!(r#"["{aud}","other"]"#)),
        ("of one", format!(r#"["{aud}"]"#)),
        ("of one twice", format!(r#"["{aud}","{aud}"]"#)),
    ] {
        let claims = table.claims_with("aud", &value);
        table.let_through_claims(31, &format!("aud list {name}"), claims);
    }
    let nearly = |text: String| format!("{text:?}");
    for (name, value) in [
        ("in upper case", nearly(aud.to_uppercase())),
        ("with a slash after it", nearly(format!("{aud}/"))),
        ("with a space after it", nearly(format!("{aud} "))),
        ("with NUL after it", format!(r#""{aud}\u0000""#)),
        (
            "with a homoglyph",
            nearly(aud.replacen('a', "\u{430}", 1).replacen('e', "\u{435}", 1) + "\u{430}"),
        ),
        (
            "percent-encoded",
            nearly(aud.replacen('.', "%2E", 1) + "%2F"),
        ),
        ("as a prefix", nearly(format!("{aud}.attacker.example"))),
        (
            "with user info",
            nearly(aud.replacen("//", "//x@", 1) + "?"),
        ),
        (
            "of another resource",
            nearly("https://other.example".to_owned()),
        ),
    ] {
        let claims = table.claims_with("aud", &value);
        table.refused_claims(32, &format!("aud {name}"), claims);
    }
}

fn issuers(table: &mut Table<'_>) {
    let iss = table.issuer.claims.iss.clone();
    table.refused_claims(33, "iss missing", table.claims_without("iss"));
    let list = table.claims_with("iss", &format!(r#"["{iss}"]"#));
    table.let_through_claims(33, "iss list of one", list);
    let list = table.claims_with("iss", &format!(r#"["https://other.example","{iss}"]"#));
    table.let_through_claims(33, "iss list of two", list);
    for value in [
        "null",
        "7",
        "[]",
        "{}",
        r#""""#,
        r#""https://other.example""#,
    ] {
        let claims = table.claims_with("iss", value);
        table.refused_claims(33, &format!("iss {value}"), claims);
    }
    for (name, value) in [
        ("in upper case", iss.to_uppercase()),
        ("with a slash after it", format!("{iss}/")),
        ("with a fragment", format!("{iss}#")),
    ] {
        let claims = table.claims_with("iss", &format!("{value:?}"));
        table.refused_claims(33, &format!("iss {name}"), claims);
    }
}

fn scopes(table: &mut Table<'_>) {
    let many = vec!["a"; 65].join(" ");
    let long = vec!["a".repeat(120); 9].join(" ");
    for (name, value) in [
        ("homoglyph", "r\u{435}\u{430}d"),
        ("fullwidth", "\u{ff52}ead"),
        ("zero width space", "read\u{200b}"),
        ("no-break space", "read\u{a0}write"),
        ("tab", "read\twrite"),
        ("line feed", "read\nadmin"),
        ("two spaces", "read  write"),
        ("space before", " read"),
        ("space after", "read "),
        ("wildcard", "*"),
        ("wildcard at the end", "orders:*"),
        ("plus before", "+admin"),
        ("upper case", "Admin"),
        ("comma", "read,admin"),
        ("quote", "read\"admin"),
        ("65 entries", &many),
        ("more than 1 KiB", &long),
        ("129 characters", &"a".repeat(129)),
        ("10,000 entries", &"a ".repeat(10_000)),
    ] {
        let value = serde_json::Value::from(value).to_string();
        let claims = table.claims_with("scope", &value);
        table.let_through_claims(35, &format!("scope with {name}"), claims);
    }
    table.let_through_claims(35, "scope missing", table.claims_without("scope"));
    for value in ["null", "7", r#"["admin"]"#, "{}", r#""read\u0000""#] {
        let claims = table.claims_with("scope", value);
        table.let_through_claims(35, &format!("scope {value}"), claims);
    }
}

/// What no other issuer writes, and what revocation hangs on.
fn descent(table: &mut Table<'_>) {
    for member in ["jti", "rev", "lin"] {
        let claims = table.claims_without(member);
        table.let_through_claims(13, &format!("{member} missing"), claims);
    }
    for (member, value) in [
        ("jti", "9"),
        ("jti", r#""""#),
        ("jti", r#""000000000000000G""#),
        ("jti", r#""00000000000000AB""#),
        ("jti", r#""+00000000000000b""#),
        ("rev", "-1"),
        ("rev", "9007199254740992"),
        ("rev", "1.0"),
        ("rev", r#""1""#),
        ("lin", "[]"),
        ("lin", r#""0000000000000001""#),
        ("lin", r#"["0000000000000001","0000000000000002"]"#),
        ("lin", "[1,2,3]"),
        ("lin", r#"["0000000000000001","0000000000000002",null]"#),
    ] {
        let claims = table.claims_with(member, value);
        table.let_through_claims(13, &format!("{member} {value}"), claims);
    }
    let nine = [r#""0000000000000001""#; 9].join(",");
    let claims = table.claims_with("lin", &format!("[{nine}]"));
    table.let_through_claims(13, "lin of nine nodes", claims);
}

fn optional(table: &mut Table<'_>) {
    let actor = |nodes: u64| {
        let nodes = (1..=nodes).map(NodeId::from_u64).collect();
        Actor::new(NodeId::from_u64(7), nodes, None).map(|actor| serde_json::json!(actor))
    };
    let one = actor(1).expect("an actor with one node").to_string();
    let nested = |depth: usize| {
        let open = one.trim_end_matches('}');
        (1..depth).fold(one.clone(), |inner, _| format!(r#"{open},"act":{inner}}}"#))
    };
    let ten = [r#""0000000000000001""#; 10].join(",");
    let task = r#"{"type":"lanyard_task","calls":1}"#;
    for (member, value) in [
        ("act", "null".to_owned()),
        ("act", r#""0000000000000007""#.to_owned()),
        ("act", "{}".to_owned()),
        ("act", r#"{"sub":"0000000000000007"}"#.to_owned()),
        ("act", r#"{"sub":"0000000000000007","lin":[]}"#.to_owned()),
        (
            "act",
            r#"["0000000000000007",["0000000000000001"]]"#.to_owned(),
        ),
        (
            "act",
            format!(r#"{{"sub":"0000000000000007","lin":[{ten}]}}"#),
        ),
        (
            "act",
            format!(
                r#"{},"sub":"0000000000000008"}}"#,
                one.trim_end_matches('}')
            ),
        ),
        (
            "act",
            format!(r#"{},"iss":"x"}}"#, one.trim_end_matches('}')),
        ),
        ("act", nested(6)),
        ("act", nested(60)),
        ("cnf", "null".to_owned()),
        ("cnf", "{}".to_owned()),
        ("cnf", r#"{"jkt":"short"}"#.to_owned()),
        ("cnf", r#"{"kid":"x"}"#.to_owned()),
        ("authorization_details", "null".to_owned()),
        ("authorization_details", "[]".to_owned()),
        ("authorization_details", task.to_owned()),
        ("authorization_details", format!("[{task},{task}]")),
        (
            "authorization_details",
            r#"[{"type":"payment"}]"#.to_owned(),
        ),
        (
            "authorization_details",
            r#"[{"type":"lanyard_task","calls":1,"calls":2}]"#.to_owned(),
        ),
        (
            "authorization_details",
            r#"[{"type":"lanyard_task","actions":[]}]"#.to_owned(),
        ),
        (
            "authorization_details",
            r#"[{"type":"lanyard_task","calls":-1}]"#.to_owned(),
        ),
        ("bsl", "null".to_owned()),
        ("bsl", r#""""#.to_owned()),
        ("bsl", r#""a\r\nb""#.to_owned()),
    ] {
        let start: String = value.chars().take(60).collect();
        let claims = table.claims_with(member, &value);
        table.let_through_claims(
            13,
            &format!("{member} of {} bytes, {start}", value.len()),
            claims,
        );
    }
}
