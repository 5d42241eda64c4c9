//! What a secret is called: a path.

use lanyard_token::NodeId;

/// `payments/stripe/api-key`: safe in logs, file names and a shell, and in a URL with `%2F`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName(String);

/// Not a name. It is not repeated: somebody may have put the secret itself in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret's name is 1 to 8 parts with `/` between them, each 1 to 63 characters of a-z 0-9 . _ - that begin with a letter or digit, such as `payments/stripe/api-key`"
)]
pub struct InvalidName;

const MOST_PARTS: usize = 8;
const LONGEST_PART: usize = 63;

impl SecretName {
    /// Reads a name. One that could be a number, a key of ours or a token is refused.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let parts = text.split('/').count();
        let taken_for_another =
            text.parse::<NodeId>().is_ok() || text.starts_with("lyk_") || text.starts_with("eyJ");
        if parts <= MOST_PARTS && text.split('/').all(is_part) && !taken_for_another {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName)
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was asked for, to be repeated in an answer, if it has the form of a name: a value that somebody gave
/// in its place is not.
pub(super) fn name_or_mark(text: &str) -> String {
    let named = SecretName::parse(text).is_ok() || text.parse::<NodeId>().is_ok();
    if named { text } else { "?" }.to_owned()
}

fn is_part(part: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=LONGEST_PART).contains(&part.len())
        && part.bytes().all(inner)
        && part.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_and_nothing_that_a_file_system_or_url_would_take_for_another_place() {
        for good in [
            "stripe",
            "payments/stripe/api-key",
            "a/b/c/d/e/f/g/h",
            "v1.2_x",
        ] {
            assert_eq!(SecretName::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".hidden",
            "a/.b",
            "A",
            "a b",
            "a%2fb",
            "a\0b",
            "a\nb",
            "ä",
            "a/b/c/d/e/f/g/h/i",
            "0000010000000001",
            "lyk_x",
            long.as_str(),
        ] {
            assert_eq!(SecretName::parse(bad), Err(InvalidName), "{bad:?}");
        }
    }
}
