//! Bytes that a gateway of an earlier release sends as a report.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // What does not read is kept too: its neighbours may.
    let _ = lanyard_fuzz::earlier_report(bytes);
    Corpus::Keep
});
