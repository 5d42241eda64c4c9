//! Which calls there are, and what each of them needs.
//!
//! A call that no route names is refused: the table is the complete list of what may be called,
//! so a forgotten endpoint is closed, not open.

mod file;
mod trie;

use http::Method;
use lanyard_drift::OperationId;
use lanyard_token::{Audience, Scope, ScopeSet};
use serde::Deserialize;

use self::trie::Trie;
use super::canonical::{CanonicalPath, MAX_SEGMENTS};

pub use self::file::RouteFileError;

/// Most routes of a table: a task's operations are kept as one bit per route.
pub const MAX_ROUTES: usize = 4_096;

/// How much a route depends on a fresh feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Goes on with the last known state while the broker is away; tokens still expire.
    #[default]
    Normal,
    /// Money, administration, secrets: 503 once the feed is older than 15 s.
    Strict,
}

/// One route as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    method: Method,
    template: String,
    class: Class,
    scopes: ScopeSet,
    object: Option<String>,
    destination: Option<String>,
}

impl Route {
    /// `template` is a path whose variable segments are names in braces: `/orders/{id}`.
    #[must_use]
    pub fn new(method: Method, template: impl Into<String>) -> Self {
        Self {
            method,
            template: template.into(),
            class: Class::Normal,
            scopes: ScopeSet::default(),
            object: None,
            destination: None,
        }
    }

    /// Sets the class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// The scopes a token needs, all of them.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = scopes;
        self
    }

    /// The parameter that names the object: a segment of the template, else a query parameter.
    #[must_use]
    pub fn object(mut self, parameter: impl Into<String>) -> Self {
        self.object = Some(parameter.into());
        self
    }

    /// The parameter that names where data goes, found like the object.
    #[must_use]
    pub fn destination(mut self, parameter: impl Into<String>) -> Self {
        self.destination = Some(parameter.into());
        self
    }
}

/// Why a table cannot be built. Each names the route to correct.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Not a canonical path, or braces around a part of a segment or around an odd name.
    #[error("`{0}` is not a route template")]
    Template(String),
    /// One template names a parameter twice.
    #[error("`{template}` names the parameter `{parameter}` twice")]
    RepeatedParameter {
        /// The template.
        template: String,
        /// The name.
        parameter: String,
    },
    /// Two routes answer to the same calls.
    #[error("`{0}` stands in the table twice")]
    Repeated(String),
    /// TRACE and CONNECT reach past the service and are never routed.
    #[error("method `{0}` cannot be routed")]
    Method(Method),
    /// A query parameter name that would have to be decoded to be compared.
    #[error("`{0}` is not a parameter name")]
    Parameter(String),
    /// More than [`MAX_ROUTES`].
    #[error("a table has at most {MAX_ROUTES} routes")]
    TooMany,
    /// More than [`ScopeBits::CAPACITY`] different scopes over all routes.
    #[error("a table names at most {} different scopes", ScopeBits::CAPACITY)]
    TooManyScopes,
}

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RouteIndex(pub(crate) u16);

/// All routes of one audience, ready to be matched.
#[derive(Clone, Debug)]
pub struct RouteTable {
    entries: Box<[Entry]>,
    trie: Trie,
    scopes: Box<[Scope]>,
}

/// A route with everything resolved that can be resolved beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// `GET /orders/{id}`, as task scopes name it.
    pub(crate) name: Box<str>,
    pub(crate) operation: OperationId,
    pub(crate) class: Class,
    pub(crate) needs: ScopeBits,
    /// For the answer to whoever lacks one.
    pub(crate) scope_text: std::sync::Arc<str>,
    pub(crate) object: Option<Parameter>,
    pub(crate) destination: Option<Parameter>,
}

/// Where a parameter stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// The segment with this number.
    Segment(usize),
    /// The query parameter with this name.
    Query(Box<str>),
}

impl RouteTable {
    /// Checks and resolves all routes of an audience.
    pub fn build(
        audience: &Audience,
        routes: impl IntoIterator<Item = Route>,
    ) -> Result<Self, RouteError> {
        let routes: Vec<Route> = routes.into_iter().collect();
        if routes.len() > MAX_ROUTES {
            return Err(RouteError::TooMany);
        }
        let mut scopes: Vec<Scope> = routes
            .iter()
            .flat_map(|route| route.scopes.iter().cloned())
            .collect();
        scopes.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        scopes.dedup();
        if scopes.len() > ScopeBits::CAPACITY {
            return Err(RouteError::TooManyScopes);
        }
        let mut trie = Trie::default();
        let mut entries = Vec::with_capacity(routes.len());
        for (index, route) in (0_u16..).zip(routes) {
            let segments = parse_template(&route.template)?;
            if route.method == Method::TRACE || route.method == Method::CONNECT {
                return Err(RouteError::Method(route.method));
            }
            let name = format!("{} {}", route.method, route.template);
            if !trie.insert(&segments, route.method.clone(), RouteIndex(index)) {
                return Err(RouteError::Repeated(name));
            }
            entries.push(Entry {
                operation: OperationId::of(&format!("{} {name}", audience.as_str())),
                name: name.into_boxed_str(),
                class: route.class,
                needs: ScopeBits::of(&scopes, &route.scopes),
                scope_text: route.scopes.to_string().into(),
                object: route
                    .object
                    .map(|name| locate(&segments, name))
                    .transpose()?,
                destination: route
                    .destination
                    .map(|name| locate(&segments, name))
                    .transpose()?,
            });
        }
        Ok(Self {
            entries: entries.into_boxed_slice(),
            trie,
            scopes: scopes.into_boxed_slice(),
        })
    }

    /// The names of all operations, as task scopes and baselines use them.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }

    /// Operations as reports count them, with their names and the scopes that they demand.
    pub(crate) fn named_operations(&self) -> impl Iterator<Item = (OperationId, &str, &str)> {
        self.entries
            .iter()
            .map(|entry| (entry.operation, &*entry.name, &*entry.scope_text))
    }

    /// The name of the operation a call is, if there is one.
    #[must_use]
    pub fn operation(&self, method: &Method, path: CanonicalPath<'_>) -> Option<&str> {
        self.find(method, path).map(|(_, entry)| &*entry.name)
    }

    pub(crate) fn find(
        &self,
        method: &Method,
        path: CanonicalPath<'_>,
    ) -> Option<(RouteIndex, &Entry)> {
        let index = self.trie.find(method, path)?;
        self.entries
            .get(usize::from(index.0))
            .map(|entry| (index, entry))
    }

    /// All routes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// What of a token's scopes this table knows.
    pub(crate) fn scope_bits(&self, scopes: &ScopeSet) -> ScopeBits {
        ScopeBits::of(&self.scopes, scopes)
    }
}

/// A set of a table's scopes, resolved once per token and once per route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeBits([u64; 4]);

impl ScopeBits {
    /// Scopes a table can tell apart.
    pub(crate) const CAPACITY: usize = 256;

    fn of(known: &[Scope], scopes: &ScopeSet) -> Self {
        let mut bits = Self::default();
        for (position, scope) in known.iter().enumerate() {
            if scopes.contains(scope.as_str())
                && let Some(word) = bits.0.get_mut(position / 64)
            {
                *word |= 1 << (position % 64);
            }
        }
        bits
    }

    /// These and those.
    pub(crate) fn add(&mut self, those: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&those.0) {
            *mine |= theirs;
        }
    }

    /// Whether all of `needed` are among these.
    pub(crate) fn cover(&self, needed: &Self) -> bool {
        self.0
            .iter()
            .zip(&needed.0)
            .all(|(have, need)| have & need == *need)
    }
}

/// A segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    Variable(Box<str>),
}

fn parse_template(template: &str) -> Result<Vec<Segment>, RouteError> {
    let bad = || RouteError::Template(template.to_owned());
    let mut segments: Vec<Segment> = Vec::new();
    for text in template.strip_prefix('/').ok_or_else(bad)?.split('/') {
        let segment = match text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        {
            Some(name) if is_name(name) => Segment::Variable(name.into()),
            _ => Segment::Literal(text.into()),
        };
        if matches!(segment, Segment::Variable(_)) && segments.contains(&segment) {
            return Err(RouteError::RepeatedParameter {
                template: template.to_owned(),
                parameter: text.trim_matches(['{', '}']).to_owned(),
            });
        }
        segments.push(segment);
    }
    // With names in place of the braces, a template must be a path that a request can have.
    let example: String = segments
        .iter()
        .flat_map(|segment| match segment {
            Segment::Literal(text) | Segment::Variable(text) => ["/", text],
        })
        .collect();
    if segments.len() > MAX_SEGMENTS || CanonicalPath::parse(&example).is_err() {
        return Err(bad());
    }
    Ok(segments)
}

fn locate(segments: &[Segment], name: String) -> Result<Parameter, RouteError> {
    if !is_name(&name) {
        return Err(RouteError::Parameter(name));
    }
    let position = segments
        .iter()
        .position(|segment| matches!(segment, Segment::Variable(own) if **own == *name));
    Ok(match position {
        Some(position) => Parameter::Segment(position),
        None => Parameter::Query(name.into_boxed_str()),
    })
}

/// Names that are spelled the same on a query line and decoded.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience() -> Audience {
        "https://orders.example".parse().unwrap()
    }

    fn table(routes: &[(Method, &str)]) -> Result<RouteTable, RouteError> {
        RouteTable::build(
            &audience(),
            routes
                .iter()
                .map(|(method, template)| Route::new(method.clone(), *template)),
        )
    }

    fn find<'t>(table: &'t RouteTable, method: Method, path: &str) -> Option<&'t str> {
        table.operation(&method, CanonicalPath::parse(path).unwrap())
    }

    #[test]
    fn a_call_is_the_operation_whose_template_it_fits() {
        let table = table(&[
            (Method::GET, "/"),
            (Method::GET, "/orders"),
            (Method::GET, "/orders/{id}"),
            (Method::PUT, "/orders/{id}"),
            (Method::GET, "/orders/new"),
            (Method::GET, "/orders/{id}/lines/{line}"),
            (Method::GET, "/{any}/new/lines"),
        ])
        .unwrap();
        assert_eq!(find(&table, Method::GET, "/"), Some("GET /"));
        assert_eq!(
            find(&table, Method::GET, "/orders/4711"),
            Some("GET /orders/{id}")
        );
        assert_eq!(
            find(&table, Method::PUT, "/orders/4711"),
            Some("PUT /orders/{id}")
        );
        assert_eq!(
            find(&table, Method::GET, "/orders/new"),
            Some("GET /orders/new")
        );
        // The literal branch ends nowhere for PUT; the variable one is still looked at.
        assert_eq!(
            find(&table, Method::PUT, "/orders/new"),
            Some("PUT /orders/{id}")
        );
        assert_eq!(
            find(&table, Method::GET, "/orders/new/lines"),
            Some("GET /{any}/new/lines")
        );
        assert_eq!(
            find(&table, Method::GET, "/orders/1/lines/2"),
            Some("GET /orders/{id}/lines/{line}")
        );
    }

    #[test]
    fn case_trailing_slash_method_and_depth_all_make_another_path() {
        let table = table(&[(Method::GET, "/admin"), (Method::GET, "/orders/{id}")]).unwrap();
        for path in [
            "/Admin",
            "/admin/",
            "/admin/x",
            "/",
            "/orders",
            "/orders/",
            "/orders/1/",
            "/orders/1/2",
        ] {
            assert_eq!(find(&table, Method::GET, path), None, "{path}");
        }
        assert_eq!(find(&table, Method::POST, "/admin"), None);
        assert_eq!(find(&table, Method::HEAD, "/admin"), None);
    }

    #[test]
    fn a_table_that_cannot_be_meant_is_refused() {
        for template in [
            "orders",
            "/orders/{id",
            "/orders/{}",
            "/a{id}",
            "/a//b",
            "/a/../b",
            "/a;x",
            "/{a b}",
            "/%61",
            "",
        ] {
            assert!(
                matches!(
                    table(&[(Method::GET, template)]),
                    Err(RouteError::Template(_))
                ),
                "{template}"
            );
        }
        assert!(matches!(
            table(&[(Method::GET, "/{a}/{a}")]),
            Err(RouteError::RepeatedParameter { .. })
        ));
        assert!(matches!(
            table(&[(Method::GET, "/a/{x}"), (Method::GET, "/a/{y}")]),
            Err(RouteError::Repeated(_))
        ));
        assert!(matches!(
            table(&[(Method::TRACE, "/a")]),
            Err(RouteError::Method(_))
        ));
    }

    #[test]
    fn parameters_are_found_in_the_template_first_and_else_in_the_query() {
        let table = RouteTable::build(
            &audience(),
            [Route::new(Method::GET, "/orders/{id}")
                .object("id")
                .destination("to")],
        )
        .unwrap();
        let (_, entry) = table
            .find(&Method::GET, CanonicalPath::parse("/orders/1").unwrap())
            .unwrap();
        assert_eq!(entry.object, Some(Parameter::Segment(1)));
        assert_eq!(entry.destination, Some(Parameter::Query("to".into())));
    }

    #[test]
    fn scopes_cover_only_when_all_are_there() {
        let table = RouteTable::build(
            &audience(),
            [
                Route::new(Method::GET, "/a").scopes("a:read b:read".parse().unwrap()),
                Route::new(Method::GET, "/b"),
            ],
        )
        .unwrap();
        let (_, a) = table
            .find(&Method::GET, CanonicalPath::parse("/a").unwrap())
            .unwrap();
        let bits = |text: &str| table.scope_bits(&text.parse().unwrap());
        assert!(bits("a:read b:read other").cover(&a.needs));
        assert!(!bits("a:read").cover(&a.needs));
        assert!(!bits("").cover(&a.needs));
    }
}
