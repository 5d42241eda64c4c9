//! What is wrong with a configuration, in words that name the setting.

use std::path::PathBuf;

use super::settings::Origin;

/// A configuration nobody can start with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Check the path and its permissions.
    #[error("cannot read the configuration `{path}`")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Correct the file where the source says.
    #[error("`{path}` is not TOML")]
    Syntax {
        path: PathBuf,
        source: toml::de::Error,
    },
    /// Correct or remove the key.
    #[error("unknown setting `{key}` in {origin}{}", suggestion(.nearest))]
    UnknownKey {
        key: String,
        origin: Origin,
        nearest: Option<&'static str>,
    },
    /// Give a value of the expected form.
    #[error("`{key}` in {origin} is `{text}`: expected {expected}")]
    Value {
        key: &'static str,
        origin: Origin,
        text: String,
        expected: String,
    },
    /// Set it.
    #[error("`{key}` is not set: {hint}")]
    Required { key: &'static str, hint: String },
    /// The value is well-formed, and still no broker should run with it.
    #[error("`{key}` {why}")]
    Refused { key: &'static str, why: String },
}

impl ConfigError {
    /// [`ConfigError::Required`].
    pub fn required(key: &'static str, hint: impl Into<String>) -> Self {
        Self::Required {
            key,
            hint: hint.into(),
        }
    }

    /// [`ConfigError::Refused`].
    pub fn refused(key: &'static str, why: impl Into<String>) -> Self {
        Self::Refused {
            key,
            why: why.into(),
        }
    }
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(": did you mean `{nearest}`?")
    })
}
