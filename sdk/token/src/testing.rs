//! For tests of everything that verifies tokens: one table of hostile tokens, and a reference
//! verifier to compare with.
//!
//! ```
//! use lanyard_token::testing::{TestIssuer, hostile_tokens};
//! use lanyard_token::{Algorithm, UnverifiedToken};
//!
//! let issuer = TestIssuer::new(Algorithm::Es256, "https://broker.example", "https://api.example", 1_800_000_000);
//! for row in hostile_tokens(&issuer) {
//!     let verified = UnverifiedToken::parse(&row.text)
//!         .and_then(|token| token.verify(&issuer.keys(), &issuer.expectations(), issuer.now));
//!     assert!(verified.is_err(), "{}", row.name);
//! }
//! ```
#![expect(
    clippy::expect_used,
    reason = "a test that cannot be set up fails loudly; nothing here runs outside tests"
)]

mod hostile;
mod issuer;
mod reference;

pub use hostile::{HostileToken, hostile_tokens};
pub use issuer::TestIssuer;
pub use reference::{install_reference_provider, reference_accepts};
