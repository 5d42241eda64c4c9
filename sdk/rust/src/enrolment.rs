//! What makes a gateway a gateway: the file `lanyard gateway add` prints.

use std::path::{Path, PathBuf};

use lanyard_token::{Audience, RootKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Secret;

/// Whom a gateway trusts, and as whom it comes. Holds a secret: keep the file readable by the
/// gateway alone.
pub struct Enrolment {
    /// The broker, byte for byte as tokens name it.
    pub issuer: String,
    /// The pinned root: whatever it did not delegate is not believed.
    pub root: RootKey,
    /// The gateway's own identity.
    pub client_id: String,
    /// Its API key.
    pub client_secret: Secret,
    /// The audiences it serves.
    pub audiences: Vec<Audience>,
}

/// Why an enrolment cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// The file cannot be read.
    #[error(
        "cannot read the enrolment file `{path}`; `lanyard gateway add NAME --out FILE` writes one"
    )]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Its text is not an enrolment. Not the source's words: they could quote the secret.
    #[error(
        "the enrolment file is not in the form that `lanyard gateway add` prints (line {line})"
    )]
    Form {
        /// Where.
        line: usize,
    },
    /// It serves nothing.
    #[error("the enrolment names no audience")]
    NoAudience,
}

impl Enrolment {
    /// Reads the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, EnrolmentError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| EnrolmentError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&Zeroizing::new(text))
    }

    /// Reads the text of the file.
    pub fn parse(text: &str) -> Result<Self, EnrolmentError> {
        let file: Read = serde_json::from_str(text)
            .map_err(|error| EnrolmentError::Form { line: error.line() })?;
        if file.audiences.is_empty() {
            return Err(EnrolmentError::NoAudience);
        }
        Ok(Self {
            issuer: file.issuer,
            root: file.root,
            client_id: file.client_id,
            client_secret: Secret::new(file.client_secret),
            audiences: file.audiences,
        })
    }

    /// The text of the file, secret included: to be written once, into a file of mode 0600.
    #[must_use]
    pub fn to_json(&self) -> Secret {
        let file = Written {
            issuer: &self.issuer,
            root: self.root.to_string(),
            client_id: &self.client_id,
            client_secret: self.client_secret.expose(),
            audiences: self.audiences.iter().map(Audience::as_str).collect(),
        };
        // Texts and lists of texts always have a JSON form.
        Secret::new(serde_json::to_string_pretty(&file).unwrap_or_default())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    issuer: String,
    root: RootKey,
    client_id: String,
    client_secret: String,
    audiences: Vec<Audience>,
}

#[derive(Serialize)]
struct Written<'e> {
    issuer: &'e str,
    root: String,
    client_id: &'e str,
    client_secret: &'e str,
    audiences: Vec<&'e str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
        "issuer": "http://127.0.0.1:8420",
        "root": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "client_id": "0000010000000007",
        "client_secret": "lyk_secret",
        "audiences": ["https://orders.example"]
    }"#;

    #[test]
    fn an_enrolment_reads_what_it_wrote() {
        let enrolment = Enrolment::parse(TEXT).unwrap();
        let again = Enrolment::parse(enrolment.to_json().expose()).unwrap();
        assert_eq!(again.root, enrolment.root);
        assert_eq!(again.client_secret.expose(), "lyk_secret");
        assert_eq!(again.audiences, enrolment.audiences);
    }

    #[test]
    fn a_broken_file_is_refused_without_quoting_its_secret() {
        let broken = TEXT.replace("\"audiences\"", "\"audience\"");
        let Err(error) = Enrolment::parse(&broken) else {
            panic!("accepted")
        };
        assert!(!format!("{error} {error:?}").contains("lyk_"));
        assert!(matches!(
            Enrolment::parse(&TEXT.replace("[\"https://orders.example\"]", "[]")),
            Err(EnrolmentError::NoAudience)
        ));
    }
}
