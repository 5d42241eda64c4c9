//! From a matched call to what the drift engine is told about it.

mod client;

use std::cell::Cell;
use std::net::IpAddr;

use lanyard_drift::{Event, Millis, Object, stable_hash};
use lanyard_token::Rejection;

use super::canonical::CanonicalPath;
use super::decision::Denial;
use super::grant::Grant;
use super::request::Request;
use super::route::{Entry, Parameter, RouteIndex};
use crate::clock::UnixMillis;

/// What a gateway does with what it observes. The task scope of a token is authorisation, not
/// observation: a call outside it is refused in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftMode {
    /// Nothing is observed and nothing reported.
    Off,
    /// Everything is observed and reported, nothing refused: for a first look at one's own traffic.
    Observe,
    /// A token that breaks a hard rule also ends. Statistics never refuse a call here; what they mean is
    /// the broker's to say.
    #[default]
    Enforce,
}

/// What time the drift engine is told, where that is not the feed's: for recorded traffic.
pub trait DriftClock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Millis;
}

/// The event. Refuses calls that would name two objects.
pub(super) fn event(
    grant: &Grant,
    index: RouteIndex,
    route: &Entry,
    path: CanonicalPath<'_>,
    request: &Request<'_>,
    time: UnixMillis,
) -> Result<Event, Denial> {
    let object = find(route.object.as_ref(), path, request.query)?;
    let destination = find(route.destination.as_ref(), path, request.query)?;
    let task = match &grant.task {
        Some(task) if !task.is_open_at(time.seconds()) => return Err(Rejection::OutsideTask.into()),
        Some(task) => Some(task.fit(index, destination)),
        None => None,
    };
    Ok(Event {
        operation: route.operation,
        object: object.map(Object::of),
        source: request.source.map(network),
        client: request.user_agent.map(client::hash),
        destination: destination.map(|name| stable_hash(name.as_bytes())),
        task,
    })
}

/// A parameter's value as it stands on the wire. In a path that is its only spelling. In a query a
/// second spelling of a value counts as a second object, which is no way to look like fewer.
fn find<'r>(
    parameter: Option<&Parameter>,
    path: CanonicalPath<'r>,
    query: Option<&'r str>,
) -> Result<Option<&'r str>, Denial> {
    match parameter {
        None => Ok(None),
        Some(Parameter::Segment(position)) => Ok(path.segment(*position)),
        Some(Parameter::Query(name)) => in_query(query.unwrap_or_default(), name),
    }
}

/// The one value of a query parameter. Two are ambiguous: gateway and service might each take
/// another. A name that is spelled with escapes is refused for the same reason.
fn in_query<'r>(query: &'r str, name: &str) -> Result<Option<&'r str>, Denial> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key.contains('%') || (key == name && found.replace(value).is_some()) {
            return Err(Rejection::Ambiguous.into());
        }
    }
    Ok(found)
}

/// The network an address lies in: /24 or /48, which is what stays the same while addresses change. The last
/// one of each thread is remembered: most calls come through one proxy, or from one neighbour again and again.
pub(super) fn network(address: IpAddr) -> u64 {
    thread_local! {
        static LAST: Cell<Option<(IpAddr, u64)>> = const { Cell::new(None) };
    }
    // A thread that is ending remembers nothing any more.
    let last = LAST.try_with(Cell::get).ok().flatten();
    if let Some((_, hash)) = last.filter(|(last, _)| *last == address) {
        return hash;
    }
    let hash = network_hash(address);
    let _ = LAST.try_with(|last| last.set(Some((address, hash))));
    hash
}

fn network_hash(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            stable_hash(&[4, a, b, c])
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, ..] = address.octets();
            stable_hash(&[6, a, b, c, d, e, f])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_given_twice_or_in_disguise_is_ambiguous() {
        assert_eq!(in_query("id=1&x=2", "id"), Ok(Some("1")));
        assert_eq!(in_query("x=2", "id"), Ok(None));
        assert_eq!(in_query("", "id"), Ok(None));
        assert!(in_query("id=1&id=2", "id").is_err());
        assert!(in_query("id=1&%69d=2", "id").is_err());
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("192.0.2.1"), network("192.0.2.254"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.9"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:ffff::9"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
    }
}
