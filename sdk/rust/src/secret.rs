//! Text that must never be seen: client secrets and access tokens.

use zeroize::Zeroizing;

/// A secret text. It cannot be printed, copied or serialised, and is wiped when dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Every caller of this is a place to look at when secrets leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
