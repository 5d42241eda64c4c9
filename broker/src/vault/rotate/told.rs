//! What a third party tells, before it is believed. It may be anybody who got hold of a name or a certificate: what it
//! says ends up in the log, in requests and on screens.

use reqwest::Response;
use zeroize::Zeroizing;

use super::machine::Reference;
use crate::store::plain::is_plain_line;
use crate::vault::{LONGEST_REFERENCE, SecretValue};

/// The most credentials of one integration: a list with more is none of them, and each would be in the log.
pub(super) const MOST_REFERENCES: usize = 1_000;

/// What a credential is called there: as somebody here could have written it.
pub(super) fn reference(text: &str) -> Option<Reference> {
    let is_one =
        (1..=LONGEST_REFERENCE).contains(&text.len()) && is_plain_line(text) && text.trim() == text;
    is_one.then(|| Reference(text.to_owned()))
}

/// A credential that was made. One that holds what nobody could type or show is none, and neither is one that is called
/// what it is: names are shown.
pub(super) fn made(called: &str, secret: Zeroizing<String>) -> Option<(Reference, SecretValue)> {
    if called == secret.as_str() || !is_plain_line(&secret) {
        return None;
    }
    let reference = reference(called)?;
    Some((reference, SecretValue::parse(secret).ok()?))
}

/// Why an answer is none.
pub(super) enum Broken {
    /// It ended before its end.
    Off,
    /// It goes on for too long.
    Long,
}

impl Broken {
    /// For the operator.
    pub(super) const fn words(&self) -> &'static str {
        match self {
            Self::Off => "the answer broke off",
            Self::Long => "the answer is too long",
        }
    }
}

/// The body of an answer, as far as it is read: as it came, since nothing that is packed is asked for.
pub(super) async fn body(
    mut response: Response,
    longest: usize,
) -> Result<Zeroizing<Vec<u8>>, Broken> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|_| Broken::Off)? {
        if body.len().saturating_add(chunk.len()) > longest {
            return Err(Broken::Long);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_a_name_and_a_key_or_nothing() {
        let told = |called: &str, secret: &str| made(called, Zeroizing::new(secret.to_owned()));
        assert!(told("key_1", "sk-1").is_some());
        assert!(told("arn:aws:iam::1:user/a b", "päss wörd").is_some());
        let long = "k".repeat(LONGEST_REFERENCE + 1);
        for called in [
            "",
            " ",
            " key",
            "key\n",
            "k\0y",
            "k\u{202e}y",
            "k\u{1b}[2J",
            &long,
        ] {
            assert!(told(called, "sk-1").is_none(), "{called:?}");
        }
        let longer = "s".repeat(64 * 1024 + 1);
        for secret in [
            "",
            "s\r\nX: y",
            "s\nk",
            "s\0k",
            "s\u{1b}k",
            "s\u{2028}k",
            "key_1",
            &longer,
        ] {
            assert!(told("key_1", secret).is_none(), "{secret:?}");
        }
    }
}
