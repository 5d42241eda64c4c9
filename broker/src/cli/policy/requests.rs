//! `lanyard policy requests`: what was asked for, out of the log, for `lanyard policy diff`.
//!
//! Tokens of the Unix socket are left out: nobody asked a policy for them ([`crate::issue`] hands them out whatever
//! policies say), so no policy changes them.
//!
//! The log keeps what was asked and who asked, as registered at that moment. Of approvals, and of what was seen of
//! behaviour, it keeps what counted then, so a request that nobody had approved is tried without. What gateways
//! saw used stands there as if exactly that had been asked for, in the circumstances of the latest token for that audience.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use clap::Args;
use lanyard_token::{Audience, NodeId, ScopeSet, TaskScope};
use time::OffsetDateTime;

use super::super::CliError;
use super::super::output;
use super::folder::{counted, word};
use crate::clock::{Clock, SystemClock, UnixMillis};
use crate::crypto::SealingRoot;
use crate::issue::IssueState;
use crate::issue::identity::Book;
use crate::policy::difference::{Recorded, Source};
use crate::policy::trial::{Asking, Fixture, Kind, Limits};
use crate::policy::{AskedBy, Oidc, Risk};
use crate::store::event::{Decided, Denial, Grant, IssuedToken, Used};
use crate::store::{Event, Projection, Record, reading};

const MILLIS_A_DAY: u64 = 86_400_000;
const SECONDS_AN_HOUR: i64 = 3_600;

/// Print the requests of the last days, a line of JSON each, out of the log on this machine
#[derive(Clone, Debug, Args)]
pub struct RequestsArgs {
    /// Of the last so many days
    #[arg(long, default_value_t = 30, value_name = "N")]
    days: u32,
}

/// Runs it. Its data is lines of JSON, whatever was asked for.
pub(in crate::cli) fn run(
    args: &RequestsArgs,
    folder: &Path,
    seal: &SealingRoot,
) -> Result<(), CliError> {
    let days = u64::from(args.days).saturating_mul(MILLIS_A_DAY);
    let since = SystemClock.now().0.saturating_sub(days);
    let mut gathered = Gathered::new(UnixMillis(since));
    reading::read(folder, seal, |record| gathered.record(record))
        .map_err(|error| CliError::failed(&error))?;
    for recorded in &gathered.requests {
        let line = serde_json::to_string(recorded).map_err(|error| CliError::failed(&error))?;
        output::data(line);
    }
    if gathered.unknown > 0 {
        output::message(format_args!(
            "{} left out: the log does not say what was asked for, or who asked",
            counted(gathered.unknown, "decision")
        ));
    }
    Ok(())
}

/// Requests, those that were made alike within an hour together.
struct Gathered {
    since: UnixMillis,
    state: IssueState,
    requests: Vec<Recorded>,
    known: HashMap<String, usize>,
    /// The latest request of each for each audience: the circumstances of what it then used.
    asked: HashMap<(NodeId, Audience), Asking>,
    unknown: usize,
}

impl Gathered {
    fn new(since: UnixMillis) -> Self {
        Self {
            since,
            state: IssueState::new(),
            requests: Vec::new(),
            known: HashMap::new(),
            asked: HashMap::new(),
            unknown: 0,
        }
    }

    fn record(&mut self, record: &Record) {
        // Who asked is looked up as it was before what else the record says.
        if record.at >= self.since {
            for event in &record.events {
                let asked = &self.asked;
                let found = self.state.read(|book| match event {
                    Event::TokenIssued(token) if token.grant != Grant::Local => {
                        Some(issued(book, token, record.at))
                    }
                    Event::Denied(denial) => Some(denied(book, denial, record.at)),
                    Event::Used(used) => Some(seen(book, used, asked, record.at)),
                    _ => None,
                });
                match found {
                    Some(Some(recorded)) => {
                        if let Event::TokenIssued(token) = event {
                            let whose = token.claims.lin.identity();
                            let audience = token.claims.aud.clone();
                            self.asked
                                .insert((whose, audience), recorded.request.clone());
                        }
                        self.add(recorded);
                    }
                    Some(None) => self.unknown += 1,
                    None => {}
                }
            }
        }
        self.state.apply(record);
    }

    fn add(&mut self, recorded: Recorded) {
        let alike = Recorded {
            count: 1,
            ..recorded.clone()
        };
        let Ok(key) = serde_json::to_string(&alike) else {
            self.unknown += 1;
            return;
        };
        let place = self
            .known
            .get(&key)
            .and_then(|at| self.requests.get_mut(*at));
        match place {
            Some(known) => known.count = known.count.saturating_add(recorded.count),
            None => {
                self.known.insert(key, self.requests.len());
                self.requests.push(recorded);
            }
        }
    }
}

fn issued(book: &Book, token: &IssuedToken, at: UnixMillis) -> Option<Recorded> {
    let (claims, decided) = (&token.claims, token.decided.as_deref()?);
    let subject = claims.sub.parse().ok()?;
    let user: NodeId = claims.client_id.parse().ok()?;
    let made = Made {
        subject,
        actor: (user != subject).then_some(user),
        grant: token.grant,
        decided,
        audience: Some(&claims.aud),
        // What the parent allowed is not known: whoever asked an exchange for everything got this.
        scopes: (token.grant == Grant::TokenExchange).then_some(&claims.scope),
        task: claims.authorization_details.as_ref(),
        count: 1,
    };
    made.recorded(book, at)
}

fn denied(book: &Book, denial: &Denial, at: UnixMillis) -> Option<Recorded> {
    let made = Made {
        subject: denial.identity,
        actor: denial.actor,
        grant: denial.grant,
        decided: &denial.decided,
        audience: None,
        scopes: None,
        task: denial.task.as_ref(),
        count: denial.count,
    };
    made.recorded(book, at)
}

/// What a gateway saw used, as if exactly that had been asked for.
fn seen(
    book: &Book,
    used: &Used,
    asked: &HashMap<(NodeId, Audience), Asking>,
    at: UnixMillis,
) -> Option<Recorded> {
    let identity = aged(fixture(book, used.identity)?, book, used.identity, at);
    let request = asked.get(&(used.identity, used.audience.clone()));
    let request = request.filter(|request| request.actor.is_none());
    let scopes = used.operations.iter().flat_map(|one| one.scopes.iter());
    let request = Asking {
        audience: Some(used.audience.clone()),
        scopes: Some(scopes.cloned().collect()),
        time: hour(at)?,
        partial: false,
        ..request
            .cloned()
            .unwrap_or_else(|| Asking::of(&identity.name))
    };
    Some(Recorded {
        count: 1,
        since: since(book, used.identity),
        source: Source::Gateway,
        identity,
        actor: None,
        request,
    })
}

/// The hour that a moment lies in.
fn hour(at: UnixMillis) -> Option<OffsetDateTime> {
    let seconds = i64::try_from(at.seconds()).ok()?;
    let hour = seconds.div_euclid(SECONDS_AN_HOUR) * SECONDS_AN_HOUR;
    OffsetDateTime::from_unix_timestamp(hour).ok()
}

/// A request, as an event tells it.
struct Made<'e> {
    subject: NodeId,
    actor: Option<NodeId>,
    grant: Grant,
    decided: &'e Decided,
    audience: Option<&'e Audience>,
    scopes: Option<&'e ScopeSet>,
    task: Option<&'e TaskScope>,
    count: u64,
}

impl Made<'_> {
    fn recorded(&self, book: &Book, at: UnixMillis) -> Option<Recorded> {
        let asked = &self.decided.asked;
        let mut identity = aged(fixture(book, self.subject)?, book, self.subject, at);
        if identity.kind == Kind::Gateway {
            // What it is registered for are the audiences it serves; its own tokens are for the broker.
            identity.audiences = self
                .audience
                .or(asked.audiences.first())
                .into_iter()
                .cloned()
                .collect();
        }
        let actor = match self.actor {
            Some(node) => Some(aged(fixture(book, node)?, book, node, at)),
            None => None,
        };
        let request = Asking {
            audience: match asked.audiences.as_slice() {
                [] => self.audience.cloned(),
                [one] => Some(one.clone()),
                // For several audiences there is no token, whatever policies say.
                _ => return None,
            },
            scopes: asked.scopes.as_ref().or(self.scopes).cloned(),
            lifetime: asked.lifetime,
            grant: match self.grant {
                Grant::ClientCredentials => AskedBy::ClientCredentials,
                Grant::TokenExchange => AskedBy::TokenExchange,
                Grant::Local => AskedBy::Local,
            },
            proof: word(&asked.proof).ok()?,
            oidc: asked.oidc.as_ref().map(|pinned| Oidc {
                issuer: pinned.issuer.clone(),
                subject: pinned.subject.clone(),
            }),
            actor: actor.as_ref().map(|actor| actor.name.clone()),
            network: asked.network.as_deref().and_then(network),
            time: hour(at)?,
            task: self.task.map(limits),
            partial: asked.partial,
            risk: match &asked.risk {
                Some(risk) => word(risk).ok()?,
                None => Risk::None,
            },
            approvals: self.decided.approvals.clone(),
            ..Asking::of(&identity.name)
        };
        Some(Recorded {
            count: self.count,
            since: since(book, self.subject),
            source: Source::Asked,
            identity,
            actor,
            request,
        })
    }
}

/// An identity as it is registered at this point of the log.
fn fixture(book: &Book, node: NodeId) -> Option<Fixture> {
    let grant = &book.identity(node)?.grant;
    let owner = book.owner(grant.owner);
    Some(Fixture {
        name: grant.name.clone(),
        owner: owner.map_or_else(|| grant.owner.to_string(), |owner| owner.name.clone()),
        kind: word(grant.kind.word()).ok()?,
        tags: grant.tags.clone(),
        audiences: grant.audiences.clone(),
        scopes: grant.scopes.clone(),
        max_lifetime: grant.max_lifetime,
        age_days: None,
        unused_days: None,
    })
}

/// How old it is and how long unused at that time, as decisions of then saw it.
fn aged(mut fixture: Fixture, book: &Book, node: NodeId, at: UnixMillis) -> Fixture {
    let usage = book.identity(node).map(|found| found.usage);
    fixture.age_days = usage.map(|usage| usage.age_days(at));
    fixture.unused_days = usage.map(|usage| usage.quiet_days(book.awake_since(), at));
    fixture
}

/// Since when an identity is registered for all that it is registered for.
fn since(book: &Book, node: NodeId) -> Option<OffsetDateTime> {
    let at = book.identity(node)?.rights.since()?;
    OffsetDateTime::from_unix_timestamp(i64::try_from(at.seconds()).ok()?).ok()
}

/// The first address of a network: all that is known of where from.
fn network(text: &str) -> Option<IpAddr> {
    let (address, _) = text.split_once('/')?;
    address.parse().ok()
}

fn limits(task: &TaskScope) -> Limits {
    let list = |items: Option<Vec<&str>>| {
        items.map(|items| items.into_iter().map(str::to_owned).collect())
    };
    Limits {
        operations: list(task.operations().map(Iterator::collect)),
        destinations: list(task.destinations().map(Iterator::collect)),
        calls: task.calls,
    }
}
