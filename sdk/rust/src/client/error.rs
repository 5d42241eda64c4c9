//! Why a token cannot be had, or a call cannot be made.

use std::sync::Arc;
use std::time::Duration;

use crate::transport::TransportError;

/// Why a token cannot be had, or a call cannot be made. None of these quotes a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The issuer is not a URL. Correct the configuration.
    #[error("`{0}` is not an issuer URL")]
    Issuer(String),
    /// A secret would travel in the clear. Use https; plain http is for this machine alone.
    #[error("`{0}` would get a secret over plain http")]
    PlainHttp(String),
    /// The builder was given no credentials.
    #[error("no client credentials were given")]
    NoCredentials,
    /// No HTTP client can be made.
    #[error("no http client can be made")]
    Transport(#[from] TransportError),
    /// The server cannot be reached; it was tried several times. Try later.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Arc<reqwest::Error>),
    /// The server asks to wait longer than is waited here.
    #[error("the server is busy")]
    Busy {
        /// How long it asked for.
        retry_after: Option<Duration>,
    },
    /// The broker said no (RFC 6749, 5.2). Trying again will not help.
    #[error("the broker refused: {error}")]
    Refused {
        /// The status.
        status: u16,
        /// Its code, such as `invalid_scope`.
        error: String,
        /// Its words, if any.
        description: Option<String>,
    },
    /// The answer is not one a token endpoint gives. Is the issuer really a broker?
    #[error("the answer is not one a broker gives")]
    Answer,
}

impl ClientError {
    /// Without the URL, whose query might tell more than an error should.
    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        Self::Unreachable(Arc::new(error.without_url()))
    }
}
