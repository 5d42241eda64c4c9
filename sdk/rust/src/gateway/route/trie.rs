//! Templates as a tree of segments.
//!
//! Every node stands for one prefix, so a lookup visits each node at most once even though it
//! comes back from literal branches that end nowhere: no path can make it slow.

use http::Method;

use super::super::canonical::{CanonicalPath, Segments};
use super::{RouteIndex, Segment};

#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    /// Sorted by text.
    literals: Vec<(Box<str>, Trie)>,
    variable: Option<Box<Trie>>,
    /// The routes that end here. A handful at most, so no map.
    routes: Vec<(Method, RouteIndex)>,
}

impl Trie {
    /// `false` when a route with the same method already ends at the same place.
    pub(super) fn insert(
        &mut self,
        segments: &[Segment],
        method: Method,
        route: RouteIndex,
    ) -> bool {
        match segments.split_first() {
            None if self.routes.iter().any(|(own, _)| *own == method) => false,
            None => {
                self.routes.push((method, route));
                true
            }
            Some((Segment::Variable(_), rest)) => self
                .variable
                .get_or_insert_default()
                .insert(rest, method, route),
            Some((Segment::Literal(text), rest)) => {
                match self.literals.binary_search_by(|(own, _)| own.cmp(text)) {
                    Ok(found) => match self.literals.get_mut(found) {
                        Some((_, child)) => child.insert(rest, method, route),
                        None => false,
                    },
                    Err(place) => {
                        let mut child = Self::default();
                        let inserted = child.insert(rest, method, route);
                        self.literals.insert(place, (text.clone(), child));
                        inserted
                    }
                }
            }
        }
    }

    pub(super) fn find(&self, method: &Method, path: CanonicalPath<'_>) -> Option<RouteIndex> {
        self.descend(method, path.segments())
    }

    /// Literal branches are looked at before the variable one. A variable never stands for an
    /// empty segment: `/orders/` is not an order.
    fn descend(&self, method: &Method, mut segments: Segments<'_>) -> Option<RouteIndex> {
        let Some(segment) = segments.next() else {
            return self
                .routes
                .iter()
                .find(|(own, _)| own == method)
                .map(|(_, route)| *route);
        };
        let literal = self
            .literals
            .binary_search_by(|(own, _)| (**own).cmp(segment))
            .ok()
            .and_then(|found| self.literals.get(found))
            .and_then(|(_, child)| child.descend(method, segments));
        if literal.is_some() || segment.is_empty() {
            return literal;
        }
        self.variable
            .as_deref()
            .and_then(|child| child.descend(method, segments))
    }
}
