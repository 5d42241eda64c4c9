//! Bytes that lie on a disk as a baseline.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // What does not read is kept too: its neighbours may.
    let _ = lanyard_fuzz::baseline(bytes);
    Corpus::Keep
});
