//! Whether something works, looked at every ten milliseconds.
//!
//! A thread for each kind of third party, which does nothing else: however many cases and brokers are busy, it is the
//! next one to run. One look serves all cases at once, since a look for each would keep the machine from anything
//! else. What it saw is kept as spans, in which the very same credentials worked, with the times right before and after each
//! look: a case judges them afterwards, by what was in force according to the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lanyard::clock::{Clock, SystemClock, UnixMillis};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::vault::vendor::Books;

/// How often it is looked.
const SAMPLE: Duration = Duration::from_millis(10);

/// The credentials that work, by whose they are: the name of each, and behind a `#` what tells it from another one of the same
/// name, such as the verifier of a password.
type Seen = HashMap<String, BTreeSet<String>>;

/// Where it is looked.
pub(super) enum Source {
    /// Roles that may log in: those of `NAME_a` and `NAME_b` are `NAME`'s.
    Postgres(PgConnection),
    /// Keys of users, at this page of moto.
    Moto(reqwest::Client, String),
    /// What each vendor knows.
    Vendors(Vendors),
}

/// Vendors at work.
pub(super) type Vendors = Arc<Mutex<HashMap<String, Arc<Books>>>>;

/// The same worked, from the first look to the last.
pub(super) struct Span {
    pub(super) working: BTreeSet<String>,
    pub(super) first: Look,
    pub(super) last: Look,
}

/// When it was looked: right before and right after.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) before: UnixMillis,
    pub(super) after: UnixMillis,
}

/// Looks at a third party for as long as this is kept.
pub(super) struct Samples {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What was seen of somebody, by looks that began since then: one that was on its way saw what was before.
struct Watched {
    since: UnixMillis,
    spans: Vec<Span>,
}

#[derive(Default)]
struct Shared {
    watched: Mutex<HashMap<String, Watched>>,
    /// How many milliseconds lay between two looks, and how often.
    gaps: Mutex<BTreeMap<u128, u64>>,
    over: AtomicBool,
}

impl Samples {
    /// What `open` opens is used on the thread that looks.
    pub(super) fn start<F: Future<Output = Source>>(
        open: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut source = open().await;
                its.look_on(&mut source).await;
            });
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Looks for somebody too, from here on.
    pub(super) fn watch(&self, whose: &str) {
        let mut watched = self.shared.watched.lock().unwrap();
        let watching = Watched {
            since: SystemClock.now(),
            spans: Vec::new(),
        };
        watched.insert(whose.to_owned(), watching);
    }

    /// What was seen since; it is not looked for them any more.
    pub(super) fn taken(&self, whose: &str) -> Vec<Span> {
        let mut watched = self.shared.watched.lock().unwrap();
        let watched = watched.remove(whose);
        watched.map(|watched| watched.spans).unwrap_or_default()
    }

    /// Milliseconds between looks: of how many, the usual, and what one in a hundred is longer than.
    pub(super) fn gaps(&self) -> (u64, u128, u128) {
        let gaps = self.shared.gaps.lock().unwrap();
        let all: u64 = gaps.values().sum();
        let part = |of: u64| {
            let mut left = of;
            let found = gaps.iter().find(|(_, count)| {
                let is_here = left <= **count;
                left = left.saturating_sub(**count);
                is_here
            });
            found.map_or(0, |(gap, _)| *gap)
        };
        (all, part(all / 2), part(all * 99 / 100))
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let ended = self.thread.take().unwrap().join();
        // A second panic would hide the first one.
        assert!(ended.is_ok() || std::thread::panicking(), "nobody looked");
    }
}

impl Shared {
    async fn look_on(&self, source: &mut Source) {
        let mut last: Option<Instant> = None;
        while !self.over.load(Ordering::SeqCst) {
            let begun = Instant::now();
            if self.watched.lock().unwrap().is_empty() {
                last = None;
            } else {
                let before = SystemClock.now();
                let seen = source.look().await;
                let after = SystemClock.now();
                self.take(&seen, Look { before, after });
                if let Some(last) = last.replace(begun) {
                    let gap = begun.duration_since(last).as_millis();
                    *self.gaps.lock().unwrap().entry(gap).or_default() += 1;
                }
            }
            tokio::time::sleep(SAMPLE.saturating_sub(begun.elapsed())).await;
        }
    }

    fn take(&self, seen: &Seen, look: Look) {
        let nothing = BTreeSet::new();
        for (whose, Watched { since, spans }) in &mut *self.watched.lock().unwrap() {
            if look.before <= *since {
                continue;
            }
            let working = seen.get(whose).unwrap_or(&nothing);
            match spans.last_mut() {
                Some(span) if span.working == *working => span.last = look,
                _ => spans.push(Span {
                    working: working.clone(),
                    first: look,
                    last: look,
                }),
            }
        }
    }
}

impl Source {
    async fn look(&mut self) -> Seen {
        match self {
            Self::Postgres(connection) => {
                let rows = sqlx::query(
                    "SELECT rolname::text, md5(rolpassword) FROM pg_authid WHERE rolname LIKE '%\\__' AND rolcanlogin \
                     AND rolpassword IS NOT NULL AND (rolvaliduntil IS NULL OR rolvaliduntil > now())",
                )
                .fetch_all(connection)
                .await
                .unwrap();
                let mut seen = Seen::new();
                for row in rows {
                    let (role, verifier): (String, String) = (row.get(0), row.get(1));
                    if let Some((whose, _)) = role.rsplit_once('_') {
                        let one = format!("{role}#{verifier}");
                        seen.entry(whose.to_owned()).or_default().insert(one);
                    }
                }
                seen
            }
            Self::Moto(client, page) => {
                let answer = client.get(&*page).send().await.unwrap();
                serde_json::from_str(&answer.text().await.unwrap()).unwrap()
            }
            Self::Vendors(vendors) => {
                let vendors = vendors.lock().unwrap();
                let each = vendors.iter();
                each.map(|(whose, books)| (whose.clone(), books.ours()))
                    .collect()
            }
        }
    }
}
