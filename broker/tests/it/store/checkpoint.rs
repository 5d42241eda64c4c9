//! When the index is saved.

use std::time::Duration;

use lanyard::store::Store;

use super::{config, open_with, revoked};

/// A storm is a few records of very many events; saved all at once their rows would hold up whoever appends next.
#[test]
fn the_index_is_saved_after_so_many_events_however_few_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.checkpoint_records = 1_000;
    config.checkpoint_pause = Duration::from_secs(3_600);
    config.checkpoint_events = 100;
    let opened = open_with(config).unwrap();
    let before = opened.ledger.collected();
    for record in 0..3 {
        let events = (0..60).map(|event| revoked(record * 60 + event)).collect();
        opened.log.append(events).wait().unwrap();
    }
    // After the second; the third was not answered before.
    assert_eq!(opened.ledger.collected() - before, 1);
}
