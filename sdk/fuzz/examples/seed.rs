//! Writes the first input of each target into its corpus: a fuzzer takes hours to guess a valid report.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let report = lanyard_fuzz::sample_report().to_bytes();
    let earlier_report = serde_json::to_vec(lanyard_fuzz::sample_report())?;
    let parcel = lanyard_fuzz::sample_parcel();
    let baseline = serde_json::to_vec(lanyard_fuzz::sample_baseline())?;
    let samples = [
        ("report", report),
        ("earlier_report", earlier_report),
        ("parcel", parcel),
        ("baseline", baseline),
    ];
    for (target, sample) in samples {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("sample"), sample)?;
    }
    Ok(())
}
