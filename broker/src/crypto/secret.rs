//! Text that must never be seen.

use zeroize::Zeroizing;

/// A secret text. It cannot be printed, copied, compared or serialised, and is wiped when dropped.
///
/// It lies in a box of exactly its size, so it is not moved and does not grow: both leave copies behind
/// that nobody wipes. Copies made before it came here (a request's buffers, TLS) are not covered.
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// Takes a text in; the caller's is wiped.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(Zeroizing::new(Box::from(text.as_str())))
    }

    /// The text itself. Every caller of this is a place to look at when secrets leak.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
