use lanyard_token::Rev;
use serde_json::{Value, json};

use super::*;
use crate::store::event::By;

const AT: UnixMillis = UnixMillis(1_767_225_600_000);

fn changed(integration: &Value) -> Event {
    let event = json!({
        "event": "integration_changed", "id": NodeId::from_u64(5), "owner": NodeId::from_u64(1),
        "gateways": [NodeId::from_u64(2)], "integration": integration, "by": By::Broker,
    });
    serde_json::from_value(event).unwrap()
}

fn stripe(template: &str) -> Value {
    json!({
        "name": "stripe", "upstream": "https://api.stripe.com",
        "inject": {"kind": "header", "secret": "payments/stripe"},
        "rule": [{"method": "GET", "template": template}],
    })
}

fn apply(state: &IntegrationState, event: Event, at: UnixMillis) {
    let events = vec![event];
    state.apply(&Record {
        rev: Rev::ZERO,
        at,
        events,
    });
}

#[test]
fn what_a_release_cannot_read_any_more_is_kept_and_carried_by_nobody_until_it_is_written_anew() {
    let state = IntegrationState::new();
    let (id, gateway) = (NodeId::from_u64(5), NodeId::from_u64(2));
    let old = stripe("written by a release that took this for a path");
    apply(&state, changed(&old), AT);
    assert!(state.carried_by(gateway).is_empty() && state.all().is_empty());
    assert_eq!(state.find("stripe"), Some(id));
    let unread = state.get_unread(id).unwrap();
    assert_eq!(unread.integration.text(), &old);
    assert!(!unread.why().is_empty());

    // From the rows it is the same.
    let again = IntegrationState::new();
    for row in state.changed_rows() {
        again.load_row(&row.key, &row.value.unwrap()).unwrap();
    }
    assert!(again.is_filled());
    assert_eq!(again.get_unread(id).unwrap().integration.text(), &old);

    apply(&again, changed(&stripe("/v1/charges")), AT.plus_millis(1));
    assert_eq!(again.carried_by(gateway).len(), 1);
    assert!(again.get_unread(id).is_none());
    assert_eq!(again.get(id).unwrap().created_at, AT);

    apply(&again, changed(&old), AT.plus_millis(2));
    let removed = Event::IntegrationRemoved {
        integration: id,
        by: By::Broker,
        reason: None,
    };
    apply(&again, removed, AT.plus_millis(3));
    assert_eq!(again.find("stripe"), None);
    let row = again
        .changed_rows()
        .into_iter()
        .find(|row| row.key[0] == b'n');
    assert!(row.unwrap().value.is_none());
}
