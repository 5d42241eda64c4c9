//! Who may have what: policies as data.
//!
//! A folder of policies is read here, checked once, cut into slices, and asked. Cedar stands behind this module
//! and is named nowhere else. It knows nothing of the log, of HTTP or of the rooms: what it has to know of a
//! request it is told, the time as well.

pub mod administration;
mod annotations;
mod asked;
mod broken;
mod bundle;
mod catalogue;
mod closed;
mod contradiction;
pub mod difference;
pub mod explain;
mod expression;
mod grant;
mod handle;
pub mod lint;
pub mod matrix;
mod mentions;
mod question;
pub mod rehearsal;
mod remembered;
pub mod respond;
mod slices;
mod sources;
pub mod tighten;
pub mod trial;
pub mod using;
mod words;

pub use asked::{Asked, AskedBy, Binding, Oidc, Party, Proof, Risk, Task};
pub use broken::Broken;
pub use bundle::{Bundle, Effect, Rule};
pub use grant::{Given, NotGiven, Ruling};
pub use handle::Policies;

#[cfg(test)]
mod tests;
