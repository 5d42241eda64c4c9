//! Secrets in every guise they could leave in, and the places they could leave to.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// What must not be found, in all its guises.
#[derive(Default)]
pub(super) struct Secrets(BTreeMap<String, Vec<String>>);

impl Secrets {
    /// Watches for this secret. Names are for the failure's message.
    pub(super) fn plant(&mut self, name: &str, secret: &[u8]) {
        assert!(
            secret.len() >= 12,
            "{name} is too short to be found by accident"
        );
        self.0.insert(name.to_owned(), guises(secret));
    }

    /// Watches for a token: whole, and for the part that makes it one.
    pub(super) fn plant_token(&mut self, name: &str, token: &str) {
        self.plant(name, token.as_bytes());
        let signature = token.rsplit('.').next().unwrap();
        self.plant(&format!("{name}'s signature"), signature.as_bytes());
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All that are in a text, but for those named.
    pub(super) fn found_in(&self, text: &str, but: &[&str]) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(name, _)| !but.contains(&name.as_str()))
            .filter(|(_, guises)| guises.iter().any(|guise| text.contains(guise)))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

/// Raw, JSON-escaped, URL-encoded, hex, and base64 wherever in a longer thing it may stand.
fn guises(secret: &[u8]) -> Vec<String> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![hex.to_uppercase(), hex];
    if let Ok(text) = std::str::from_utf8(secret) {
        let json = serde_json::to_string(text).unwrap();
        all.push(json.trim_matches('"').to_owned());
        all.push(form_urlencoded::byte_serialize(secret).collect());
        all.push(text.chars().rev().collect());
        all.push(text.to_owned());
    }
    for before in 0..3 {
        // Three bytes become four characters; those at the edges also hold bits of the neighbours.
        let padded = [&vec![0; before][..], secret].concat();
        let whole = padded.len() - padded.len() % 3;
        let from = if before == 0 { 0 } else { 4 };
        for engine in [STANDARD, URL_SAFE] {
            all.push(engine.encode(&padded[..whole])[from..].to_owned());
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Every file below a folder, as text in which ASCII stands as it stands in the file.
pub(super) fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[test]
fn a_secret_is_found_in_every_guise() {
    let mut secrets = Secrets::default();
    secrets.plant("key", b"lyk_\"secret\"/4711");
    for leak in [
        r#"x lyk_"secret"/4711 x"#.to_owned(),
        r#"{"k":"lyk_\"secret\"/4711"}"#.to_owned(),
        "k=lyk_%22secret%22%2F4711&".to_owned(),
        STANDARD.encode("id:lyk_\"secret\"/4711"),
        STANDARD.encode("identity:lyk_\"secret\"/4711 and more"),
        URL_SAFE.encode("id=lyk_\"secret\"/4711"),
        "6c796b5f22736563726574222f34373131".to_owned(),
    ] {
        assert_eq!(secrets.found_in(&leak, &[]), ["key"], "{leak}");
    }
    assert!(secrets.found_in("lyk_another", &[]).is_empty());
    assert!(
        secrets
            .found_in(r#"lyk_"secret"/4711"#, &["key"])
            .is_empty()
    );
}
