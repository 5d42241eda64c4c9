//! What happens to bytes that somebody else wrote: one function for each kind.
//!
//! **Catches** a panic, an overflow (in builds that check for them), a hang, and whatever reads but cannot
//! be written and read back as the same. **Misses** wrong verdicts: nobody knows the right one for noise.
//!
//! The fuzzer runs these functions, and the tests of `sdk/drift` run this very file over mutated valid
//! input, so that every change meets them where no fuzzer is installed.

mod baseline;
mod desk;
mod report;
mod sample;

pub use baseline::baseline;
pub use report::{earlier_report, parcel, report};
pub use sample::{sample_baseline, sample_parcel, sample_report};
