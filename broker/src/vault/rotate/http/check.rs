//! Whether a description can work: said when it is written, and again whenever it is used.
//!
//! What is wrong is named by its member, and what stood there is not repeated.
//!
//! **Credentials in the open.** Beside a placeholder, where a credential is shown, stand words such as `Bearer` and
//! nothing that could be a credential itself: a description is in the log, in the index and on screens. The same goes for
//! headers, parameters and members whose names speak of credentials. *What it misses:* one that looks like a few words,
//! and one in a place whose name says nothing of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::base;
use super::super::driver::Unsuitable;
use super::settings::{Request, Settings, Shown};
use super::template::{self, Place};

/// The longest path, header or pointer: none of a vendor has a tenth of it.
const LONGEST_TEXT: usize = 1_024;
/// The longest word beside a placeholder. Schemes of authentication have up to 13 letters, keys twice as many.
const LONGEST_WORD: usize = 16;
/// The longest word with digits in it, in places that are not for credentials alone: `ed25519` has 7 characters.
const LONGEST_MIXED: usize = 8;
/// What names of places for credentials have in them.
const SPEAKS_OF_CREDENTIALS: [&str; 9] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "passw",
    "secret",
    "session",
    "signature",
    "token",
];
/// Headers that say where a message ends, who speaks it and how it is packed: they are HTTP's own.
const OF_HTTP: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a call is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// Something is looked at.
    Looking,
    /// Something changes.
    Changing,
}

impl Settings {
    /// Whether it can be used as it stands.
    pub fn check(&self) -> Result<(), Unsuitable> {
        base::check("third_party.base", &self.base)?;
        for (name, shown) in [("manager", &self.manager), ("credential", &self.credential)] {
            shown.check(name)?;
        }
        self.check_request("find", &self.find.request, For::Looking)?;
        self.check_request("create", &self.create.request, For::Changing)?;
        self.check_request("verify", &self.verify.request, For::Looking)?;
        self.check_request("revoke", &self.revoke.request, For::Changing)?;
        let good = |status: u16| (200..300).contains(&status);
        // None of these says anything about the credential.
        let says = |status: u16| (400..500).contains(&status) && ![408, 425, 429].contains(&status);
        let is_gone = |status: u16| good(status) || (says(status) && ![401, 403].contains(&status));
        check_statuses("find.found", &self.find.found, "200 to 299", good)?;
        check_statuses("create.made", &self.create.made, "200 to 299", good)?;
        check_statuses("verify.works", &self.verify.works, "200 to 299", good)?;
        let dead = "400 to 499 without 408, 425 and 429, which say nothing about the key";
        check_statuses("verify.dead", &self.verify.dead, dead, says)?;
        let ended = "200 to 299, and of 400 to 499 those that say that it is not there";
        check_statuses("revoke.ended", &self.revoke.ended, ended, is_gone)?;
        check_pointer("find.items", &self.find.items)?;
        check_pointer("find.reference", &self.find.reference)?;
        for pointer in self.find.only.keys() {
            check_pointer("find.only", pointer)?;
        }
        if let Some(pages) = &self.find.pages {
            check_pointer("find.pages.next", &pages.next)?;
            if pages.parameter.is_empty() || !is_plain(&pages.parameter) {
                return wrong("find.pages.parameter", "is the name of a parameter");
            }
        }
        check_pointer("create.reference", &self.create.reference)?;
        check_pointer("create.secret", &self.create.secret)?;
        if self.create.reference == self.create.secret {
            return wrong(
                "create.reference",
                "is where `create.secret` is: names are shown, and keys are not",
            );
        }
        if let Some(header) = &self.create.idempotency_header {
            check_header("create.idempotency_header", header)?;
        }
        if !self.revoke.request.mentions("{reference}") {
            return wrong(
                "revoke",
                "does not say which: put {reference} into its path or body",
            );
        }
        Ok(())
    }

    fn check_request(&self, name: &str, request: &Request, is_for: For) -> Result<(), Unsuitable> {
        let methods: &[&str] = match is_for {
            For::Looking => &["GET", "POST"],
            For::Changing => &["POST", "PUT", "PATCH", "DELETE"],
        };
        if !methods.contains(&request.method.as_str()) {
            let why = format!("is one of {}", methods.join(", "));
            return wrong(&format!("{name}.method"), &why);
        }
        // An order has a key.
        let key = name == "create";
        let in_path = Place { secret: false, key };
        self.check_path(&format!("{name}.path"), &request.path, in_path)?;
        if request.json.is_some() && request.form.is_some() {
            return wrong(name, "has two bodies: choose json or form");
        }
        if request.method == "GET" && (request.json.is_some() || request.form.is_some()) {
            return wrong(name, "has a body, which GET does not carry");
        }
        let elsewhere = Place { secret: true, key };
        let shown = if name == "verify" {
            &self.credential
        } else {
            &self.manager
        };
        let mut seen = BTreeSet::from([shown.header().to_ascii_lowercase()]);
        if let (Some(header), "create") = (&self.create.idempotency_header, name) {
            seen.insert(header.to_ascii_lowercase());
        }
        for (header, value) in &request.headers {
            let place = format!("{name}.headers");
            check_header(&place, header)?;
            if !seen.insert(header.to_ascii_lowercase()) {
                return wrong(&place, "has a header that is there already");
            }
            if !is_plain(value) {
                return wrong(&place, "has a value that no header can carry");
            }
            check_filled(&place, header, value, elsewhere)?;
        }
        for (member, value) in request.form.iter().flatten() {
            check_filled(&format!("{name}.form"), member, value, elsewhere)?;
        }
        if let Some(json) = &request.json {
            check_json(&format!("{name}.json"), "", json, elsewhere)?;
        }
        Ok(())
    }

    /// As it is written it is what is asked for, whatever is filled in.
    fn check_path(&self, place: &str, path: &str, may_hold: Place) -> Result<(), Unsuitable> {
        if !path.starts_with('/') || path.starts_with("//") || path.contains(['\\', '#']) {
            return wrong(place, "must begin with a single / and be below `base`");
        }
        if !is_plain(path) || path.contains(' ') || path.len() > LONGEST_TEXT {
            return wrong(place, "holds what no path can carry");
        }
        template::check(&format!("third_party.{place}"), path, may_hold)?;
        let sample = template::fill_path(path, &template::Filling::sample());
        let (sample_path, query) = sample.split_once('?').unwrap_or((&sample, ""));
        let is_below = self.base.join(&sample).is_ok_and(|url| {
            url.origin() == self.base.origin()
                && url.path() == sample_path
                && url.query().unwrap_or_default() == query
        });
        if !is_below {
            return wrong(place, "is not written as it is sent: spell it plainly");
        }
        let (_, query) = path.split_once('?').unwrap_or((path, ""));
        for pair in query.split('&') {
            let (parameter, value) = pair.split_once('=').unwrap_or((pair, ""));
            check_literal(place, parameter, value)?;
        }
        Ok(())
    }
}

impl Shown {
    /// The header that it is.
    fn header(&self) -> &str {
        match self {
            Self::Header { header, .. } => header,
            Self::Basic { .. } => "authorization",
        }
    }

    fn check(&self, name: &str) -> Result<(), Unsuitable> {
        let parts = match self {
            Self::Header { header, value } => {
                check_header(&format!("{name}.header"), header)?;
                vec![("value", value)]
            }
            Self::Basic { user, password } => vec![("user", user), ("password", password)],
        };
        for (part, template) in parts {
            let place = format!("{name}.{part}");
            if !is_plain(template) {
                return wrong(&place, "holds what no header can carry");
            }
            let may_hold = Place {
                secret: true,
                key: false,
            };
            template::check(&format!("third_party.{place}"), template, may_hold)?;
            if !is_only_words(template, 0) {
                return wrong(
                    &place,
                    "holds more than words such as `Bearer` beside {secret} and {reference}: keep a credential as \
                     a secret, and a name as its reference",
                );
            }
        }
        if !self.mentions("{secret}") {
            return wrong(name, "does not show {secret}");
        }
        Ok(())
    }
}

fn wrong(member: &str, why: &str) -> Result<(), Unsuitable> {
    Err(Unsuitable::Settings(format!(
        "`third_party.{member}` {why}"
    )))
}

/// An empty list would make one of the answers impossible: a key would never be seen to work, or to be dead.
fn check_statuses(
    place: &str,
    statuses: &[u16],
    which: &str,
    is_one: impl Fn(u16) -> bool,
) -> Result<(), Unsuitable> {
    if statuses.is_empty() || !statuses.iter().all(|status| is_one(*status)) {
        return wrong(place, &format!("names at least one status, of {which}"));
    }
    Ok(())
}

/// RFC 6901: nothing, or `/` before each part; `~` is written `~0`, and `/` inside of a part `~1`.
fn check_pointer(place: &str, pointer: &str) -> Result<(), Unsuitable> {
    let is_quoted = pointer
        .split('~')
        .skip(1)
        .all(|behind| behind.starts_with(['0', '1']));
    let begins = pointer.is_empty() || pointer.starts_with('/');
    if begins && is_quoted && pointer.len() <= LONGEST_TEXT {
        return Ok(());
    }
    wrong(
        place,
        "is no JSON pointer: it is empty or begins with /, such as `/data/id`",
    )
}

fn check_header(place: &str, name: &str) -> Result<(), Unsuitable> {
    let lower = name.to_ascii_lowercase();
    if name.len() > LONGEST_TEXT || reqwest::header::HeaderName::try_from(&lower).is_err() {
        return wrong(place, "is no name of a header");
    }
    if OF_HTTP.contains(&lower.as_str()) {
        return wrong(place, "is a header that HTTP itself takes care of");
    }
    Ok(())
}

/// A text that is filled in and stands at a name.
fn check_filled(place: &str, name: &str, value: &str, is: Place) -> Result<(), Unsuitable> {
    template::check(&format!("third_party.{place}"), value, is)?;
    check_literal(place, name, value)
}

fn check_literal(place: &str, name: &str, value: &str) -> Result<(), Unsuitable> {
    let lower = name.to_ascii_lowercase();
    let speaks = SPEAKS_OF_CREDENTIALS
        .iter()
        .any(|word| lower.contains(word));
    if speaks && !is_only_words(value, LONGEST_MIXED) {
        return wrong(
            place,
            "has a credential in the open: keep it as a secret, and write {secret} or {reference}",
        );
    }
    Ok(())
}

fn check_json(place: &str, name: &str, json: &Value, is: Place) -> Result<(), Unsuitable> {
    match json {
        Value::String(text) => check_filled(place, name, text, is),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_json(place, name, item, is)),
        Value::Object(members) => members
            .iter()
            .try_for_each(|(name, value)| check_json(place, name, value, is)),
        _ => Ok(()),
    }
}

/// Visible ASCII and spaces.
fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST_TEXT && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether what stands around the placeholders is words, none of which could be a credential. Words with digits in them
/// are up to `mixed` long.
fn is_only_words(template: &str, mixed: usize) -> bool {
    let mut literal = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        literal.push_str(before);
        literal.push(' ');
        rest = after.split_once('}').map_or("", |(_, behind)| behind);
    }
    literal.push_str(rest);
    literal
        .split(|letter: char| !letter.is_alphanumeric())
        .all(|word| {
            let has_digits = !word.chars().all(char::is_alphabetic);
            word.len() <= if has_digits { mixed } else { LONGEST_WORD }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_credentials() {
        for words in [
            "Bearer {secret}",
            "Token token=\"{secret}\"",
            "DeepL-Auth-Key {secret}",
            "{reference}/token:{secret}",
            "",
        ] {
            assert!(is_only_words(words, 0), "{words}");
        }
        for credential in [
            "Bearer sk-live-51H8x",
            "{secret} 4eC39HqLyjWDarjtT1zdp7dc",
            "wJalrXUtnFEMIKMDENGbPxRfiCYEXAMPLEKEY",
            "hunter2",
        ] {
            assert!(!is_only_words(credential, 0), "{credential}");
        }
        assert!(is_only_words("ed25519", LONGEST_MIXED));
        assert!(!is_only_words("4eC39HqLyjWDarjtT1zdp7dc", LONGEST_MIXED));
    }
}
