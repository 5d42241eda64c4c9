//! Routes of administration, each with what it takes to be let in.
//!
//! There is no other way to mount one: the door knows a route by this table alone, and hands no administrator to a
//! handler whose route is not in it.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{get, post};
use http::Method;

use crate::policy::administration::Action;

/// What a route does, and where it says to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// What it takes.
    pub action: Action,
    /// To whom it is done.
    pub about: About,
}

/// Where a request says to whom something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Nowhere: it is about the broker.
    System,
    /// An owner, in the path.
    Owner,
    /// An identity, in the path.
    Identity,
    /// An owner, identity, credential or token, in the path.
    Node,
    /// An approval in the path: the identity that it is for.
    Approval,
    /// An owner in the path, and another in the body who gets everything.
    OwnerTransfer,
    /// An identity in the path, and an owner in the body who gets it.
    IdentityTransfer,
    /// A new identity, in the body.
    NewIdentity,
    /// An identity in the path, and what it is to be in the body.
    ChangedIdentity,
    /// A new gateway, in the body.
    NewGateway,
    /// An approval to ask for, in the body.
    NewApproval,
    /// Nodes and tokens, in the body.
    Nodes,
    /// A node, in the body.
    OneNode,
}

impl About {
    /// Whether the body says it.
    pub(in crate::http) const fn is_in_body(self) -> bool {
        !matches!(
            self,
            Self::System | Self::Owner | Self::Identity | Self::Node | Self::Approval
        )
    }

    /// Whether the path names an owner or an identity.
    pub(in crate::http) const fn is_named_in_path(self) -> bool {
        matches!(
            self,
            Self::Owner
                | Self::Identity
                | Self::OwnerTransfer
                | Self::IdentityTransfer
                | Self::ChangedIdentity
        )
    }
}

impl Duty {
    /// About the broker.
    pub const fn of(action: Action) -> Self {
        Self {
            action,
            about: About::System,
        }
    }

    /// About somebody.
    pub const fn on(action: Action, about: About) -> Self {
        Self { action, about }
    }
}

/// What each route takes.
#[derive(Clone, Debug, Default)]
pub struct Table(BTreeMap<(&'static str, &'static str), Duty>);

impl Table {
    /// What this route takes.
    pub fn duty(&self, method: &Method, route: &str) -> Option<Duty> {
        // A HEAD is a GET whose body is left out.
        let method = if *method == Method::HEAD {
            Method::GET.as_str()
        } else {
            method.as_str()
        };
        let mut all = self.0.iter();
        all.find(|((of, path), _)| *of == method && *path == route)
            .map(|(_, duty)| *duty)
    }

    /// Every route: method, path and what it takes.
    pub fn routes(&self) -> impl Iterator<Item = (&'static str, &'static str, Duty)> {
        self.0
            .iter()
            .map(|((method, path), duty)| (*method, *path, *duty))
    }
}

/// Routes of administration that are being mounted.
#[derive(Clone)]
pub struct Duties<S = ()> {
    router: Router<S>,
    table: Table,
}

impl<S: Clone + Send + Sync + 'static> Duties<S> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            router: Router::new(),
            table: Table::default(),
        }
    }

    /// One that reads.
    pub fn get<H, T>(self, path: &'static str, duty: Duty, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.mount("GET", path, duty, |router| router.route(path, get(handler)))
    }

    /// One that changes something, or tries it.
    pub fn post<H, T>(self, path: &'static str, duty: Duty, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.mount("POST", path, duty, |router| {
            router.route(path, post(handler))
        })
    }

    fn mount(
        mut self,
        method: &'static str,
        path: &'static str,
        duty: Duty,
        mounted: impl FnOnce(Router<S>) -> Router<S>,
    ) -> Self {
        self.table.0.insert((method, path), duty);
        self.router = mounted(self.router);
        self
    }

    /// With those of another.
    pub fn merge(mut self, other: Self) -> Self {
        self.table.0.extend(other.table.0);
        self.router = self.router.merge(other.router);
        self
    }

    /// Over these rooms.
    pub fn with_state<R>(self, state: S) -> Duties<R> {
        Duties {
            router: self.router.with_state(state),
            table: self.table,
        }
    }

    /// The routes, for a door; and what each takes.
    pub fn apart(self) -> (Router<S>, Table) {
        (self.router, self.table)
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Duties<S> {
    fn default() -> Self {
        Self::new()
    }
}
