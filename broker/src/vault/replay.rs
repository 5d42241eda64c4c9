//! Answers out of the log, for times that are no longer kept in memory.

use lanyard_token::{NodeId, Rev};

use super::state::USED_AROUND;
use super::view::WhoView;
use super::{VaultError, VaultState};
use crate::clock::UnixMillis;
use crate::store::Store;

/// Records that are read at once.
const PAGE: usize = 1_000;

/// Who had a secret at an instant, as the log says from its beginning. Takes as long as reading the log.
pub(super) fn who(
    store: &dyn Store,
    secret: NodeId,
    at: UnixMillis,
) -> Result<WhoView, VaultError> {
    // Uses are told of afterwards. What else came since says of itself when that was.
    let until = at.plus_millis(2 * USED_AROUND);
    let state = VaultState::of_one(secret);
    let mut after = Rev::ZERO;
    loop {
        let records = store.read(after, PAGE)?;
        let Some(last) = records.last() else { break };
        after = last.rev;
        // Records stand in the order of their times.
        for record in records.iter().take_while(|record| record.at <= until) {
            state.take(record);
        }
        if last.at > until {
            break;
        }
    }
    state.who(secret, at).ok_or_else(|| VaultError::NotFound {
        kind: "secret",
        name: secret.to_string(),
    })
}
