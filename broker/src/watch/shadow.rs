//! Calls that matched no route: somebody probes, or the route table is not complete.

use lanyard_token::NodeId;

use super::counters::Counters;
use super::intake::ShadowRoute;

/// The longest path segment that is shown. API keys and tokens are longer, and callers put them
/// into paths.
const SHOWN: usize = 24;

/// Says and counts them.
pub(super) fn say(gateway: NodeId, routes: &[ShadowRoute], counters: &Counters) {
    for route in routes {
        counters.shadow_calls.add(route.calls);
        tracing::info!(
            name: "lanyard.route.shadow",
            {
                lanyard.gateway = %gateway,
                lanyard.identity = route.identity.map(tracing::field::display),
                http.request.method = ?shown(&route.method),
                url.path = ?path(&route.path),
                lanyard.calls = route.calls
            },
            "calls that match no route"
        );
    }
}

fn path(path: &str) -> String {
    path.split('/').map(shown).collect::<Vec<_>>().join("/")
}

/// A segment, or a star when it may hold more than a name.
fn shown(segment: &str) -> &str {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~');
    if segment.len() <= SHOWN && segment.bytes().all(plain) {
        segment
    } else {
        "*"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let key = format!("/v1/keys/lyk_{}", "a".repeat(36));
        assert_eq!(path(&key), "/v1/keys/*");
        assert_eq!(path("/orders/4711?token=x"), "/orders/*");
        assert_eq!(path("/a\r\nb/c"), "/*/c");
    }
}
