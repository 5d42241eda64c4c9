//! Bytes that a gateway sends as a parcel of reports.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // What does not read is kept too: its neighbours may.
    let _ = lanyard_fuzz::parcel(bytes);
    Corpus::Keep
});
