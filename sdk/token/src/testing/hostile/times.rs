//! Attacks 24 to 29 and 36: times.

use super::Table;

pub(super) fn fill(table: &mut Table<'_>) {
    let now = table.issuer.now;
    for (name, value) in [
        ("a string", format!("\"{}\"", now + 300)),
        ("null", "null".to_owned()),
        ("NaN", "NaN".to_owned()),
        ("Infinity", "Infinity".to_owned()),
        ("1e999", "1e999".to_owned()),
        ("negative", "-1".to_owned()),
        ("minus zero", "-0".to_owned()),
        ("2^64", "18446744073709551616".to_owned()),
        ("true", "true".to_owned()),
        ("a list", format!("[{}]", now + 300)),
        ("an object", "{}".to_owned()),
        ("with a leading zero", format!("0{}", now + 300)),
        ("in hexadecimal", "0xffffffff".to_owned()),
    ] {
        let claims = table.claims_with("exp", &value);
        table.refused_claims(24, &format!("exp {name}"), claims);
    }
    table.let_through_claims(
        24,
        "exp with a fraction",
        table.claims_with("exp", &format!("{}.5", now + 300)),
    );
    table.let_through_claims(
        24,
        "exp with an exponent",
        table.claims_with("exp", &format!("{}e1", now / 10 + 30)),
    );
    table.refused_claims(24, "exp missing", table.claims_without("exp"));
    table.refused_claims(25, "exp 1e308", table.claims_with("exp", "1e308"));
    table.let_through_claims(
        26,
        "exp 2^64-1",
        table.claims_with("exp", "18446744073709551615"),
    );
    table.let_through_claims(
        26,
        "a day of lifetime",
        table.claims_with("exp", &(now + 86_400).to_string()),
    );
    table.let_through_claims(
        26,
        "a second too much lifetime",
        table.claims_with("exp", &(now + 3_601).to_string()),
    );
    table.let_through_claims(26, "issued in 1970", table.claims_with("iat", "0"));
    for (name, exp) in [
        ("10 s ago", now - 10),
        ("1 s ago", now - 1),
        ("1", 1),
        ("0", 0),
    ] {
        let claims = table.claims_with("exp", &exp.to_string());
        table.refused_claims(27, &format!("exp {name}"), claims);
    }
    for (name, value) in [
        ("in an hour", (now + 3_600).to_string()),
        ("2^64-1", "18446744073709551615".to_owned()),
        ("a string", format!("\"{now}\"")),
        ("null", "null".to_owned()),
    ] {
        let claims = table.claims_with("nbf", &value);
        table.refused_claims(28, &format!("nbf {name}"), claims);
    }
    table.let_through_claims(28, "nbf with a fraction", table.claims_with("nbf", "1.5"));
    for (name, value) in [
        ("in a minute", (now + 60).to_string()),
        ("2^64-1", "18446744073709551615".to_owned()),
        ("a string", format!("\"{now}\"")),
        ("null", "null".to_owned()),
        ("negative", "-1".to_owned()),
        ("with a fraction", format!("{now}.5")),
    ] {
        let claims = table.claims_with("iat", &value);
        table.let_through_claims(29, &format!("iat {name}"), claims);
    }
    table.let_through_claims(29, "iat missing", table.claims_without("iat"));
    for (name, ahead) in [("an hour", 3_600), ("a day", 86_400)] {
        let mut claims = table.issuer.claims.clone();
        claims.iat = now + ahead;
        claims.exp = claims.iat + 300;
        let text = table.issuer.token_of(&claims);
        table.let_through(36, &format!("issued by a clock {name} ahead"), text);
        claims.iat = now - ahead;
        claims.exp = claims.iat + 300;
        let text = table.issuer.token_of(&claims);
        table.refused(36, &format!("issued by a clock {name} behind"), text);
    }
}
