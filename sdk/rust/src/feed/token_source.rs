//! Where the reader gets its own token from.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Secret;

/// Gives bearer tokens for the issuer itself, with scope `lanyard:feed`.
pub trait TokenSource: Send + Sync + 'static {
    /// A token that is good now. After a refusal the reader asks again, so an implementation that
    /// keeps tokens must not give one again that [`TokenSource::refused`] named.
    fn token(&self) -> TokenFuture<'_>;

    /// The broker answered 401 to this token.
    fn refused(&self, _token: &Secret) {}
}

/// The answer of a [`TokenSource`].
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Arc<Secret>, NoToken>> + Send + 'a>>;

/// No token can be had now; the reader asks again with growing pauses.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no token for the feed: {0}")]
pub struct NoToken(pub String);

/// One token, given again and again: for tests and for tokens that another program refreshes.
pub struct StaticToken(Arc<Secret>);

impl StaticToken {
    /// Always this one.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(Arc::new(Secret::new(token)))
    }
}

impl TokenSource for StaticToken {
    fn token(&self) -> TokenFuture<'_> {
        let token = Arc::clone(&self.0);
        Box::pin(async move { Ok(token) })
    }
}
