//! How far one entry reaches: the end of a root with many descendants, at eight gateways.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lanyard::clock::SystemClock;
use lanyard::crypto::SigningKeyPair;
use lanyard::issue::administration::{NewIdentity, NewOwner};
use lanyard::issue::keys::RootSigner;
use lanyard::issue::limits::LimitSettings;
use lanyard::issue::policy::{Lifetimes, Request};
use lanyard::issue::proof::oidc::FederationSettings;
use lanyard::issue::{Exchange, Issue, IssueSettings, IssueState, Subject};
use lanyard::policy::Policies;
use lanyard::store::event::{By, Kind};
use lanyard_sdk::feed::DeathWatch;
use lanyard_token::{Algorithm, NodeId, Rev};

use super::world::{World, until};

const GATEWAYS: usize = 8;
/// Ends of small roots, one after the other, for a median and a 99th percentile.
const ROOTS: usize = 200;
/// Below what one token may have as children.
const CHILDREN: usize = 900;

/// 2,000 descendants; more with `LANYARD_DESCENDANTS`.
fn descendants() -> usize {
    std::env::var("LANYARD_DESCENDANTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000)
}

/// A token as a gateway asks after it.
struct Known {
    rev: Rev,
    nodes: Vec<NodeId>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_root_is_one_frame_and_every_descendant_is_refused_at_eight_gateways() {
    let state = Arc::new(IssueState::new());
    let world = World::open_beside(Some(state.clone())).await;
    let issue = room(&world, state).await;
    let (owner, known, bystander) = mint(&issue).await;

    let folder = tempfile::tempdir().unwrap();
    let readers: Vec<_> = (1..=GATEWAYS as u64)
        .map(|number| world.reader(number, folder.path()))
        .collect();
    until("all are connected", || {
        readers.iter().all(|(view, _)| view.has_snapshot()) && world.room.open_streams() == GATEWAYS
    })
    .await;
    let lives = |known: &Known| {
        readers
            .iter()
            .map(|(view, _)| view.check(known.rev, &known.nodes).is_ok())
            .collect::<Vec<_>>()
    };
    assert!(known.iter().all(|known| lives(known) == [true; GATEWAYS]));

    let watches: Vec<_> = readers
        .iter()
        .map(|(view, _)| view.subscribe(known[0].rev, &known[0].nodes))
        .collect();
    let before = world.room.head();
    let began = Instant::now();
    issue.disable(owner, By::Broker, "stolen").await.unwrap();
    let durable = began.elapsed();
    all_dead(&watches).await;
    let reached = began.elapsed();
    assert_eq!(world.room.head().n, before.n + 1, "one frame");
    assert!(known.iter().all(|known| lives(known) == [false; GATEWAYS]));
    assert_eq!(lives(&bystander), [true; GATEWAYS]);
    println!(
        "one frame ended {} tokens: in the log after {durable:?}, known to the last of {GATEWAYS} gateways after {reached:?}",
        known.len()
    );

    // What one end says of the bound is little.
    let mut took = Vec::with_capacity(ROOTS);
    for number in 0..ROOTS {
        let (owner, token) = root_of_one(&issue, number).await;
        let watches: Vec<_> = readers
            .iter()
            .map(|(view, _)| view.subscribe(token.rev, &token.nodes))
            .collect();
        let began = Instant::now();
        issue.disable(owner, By::Broker, "stolen").await.unwrap();
        all_dead(&watches).await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    // The nearest rank: that many of a hundred took no longer.
    let at = |percent: usize| took[(ROOTS * percent).div_ceil(100) - 1];
    let (half, most) = (at(50), at(99));
    println!(
        "{ROOTS} roots of one token each, one after the other: p50 {half:?}, p99 {most:?}, longest {:?}",
        took[ROOTS - 1]
    );
}

/// Until every gateway knows; a frame that is lost fails here and does not wait for ever.
async fn all_dead(watches: &[DeathWatch]) {
    const LONGEST: Duration = Duration::from_secs(60);
    for watch in watches {
        let dead = tokio::time::timeout(LONGEST, watch.dead()).await;
        dead.expect("the end has reached every gateway");
    }
}

/// An owner, and the one token below it.
async fn root_of_one(issue: &Issue, number: usize) -> (NodeId, Known) {
    let name = format!("root-{number}");
    let owner = NewOwner {
        name: name.clone(),
        contact: None,
    };
    issue.create_owner(owner, By::Broker).await.unwrap();
    let client = client(issue, &format!("of-{name}"), &name).await;
    let token = issue
        .client_credentials(&client, &Request::default(), None)
        .await;
    let token = token.unwrap_or_else(|why| panic!("{why}")).token;
    let known = as_known(issue, token.expose());
    (issue.find_owner(&name).unwrap(), known)
}

/// An issue room over the same log as the feed.
async fn room(world: &World, state: Arc<IssueState>) -> Issue {
    const NO_LIMITS: LimitSettings = LimitSettings {
        identity_per_second: 1_000_000,
        identity_burst: 1_000_000,
        failures_per_second: 1_000_000,
        failures_burst: 1_000_000,
    };
    let root = SigningKeyPair::generate(Algorithm::EdDsa).unwrap();
    let settings = IssueSettings {
        issuer: "https://broker.example".to_owned(),
        algorithm: Algorithm::EdDsa,
        lifetimes: Lifetimes::default(),
        unused_days: Some(90),
        limits: NO_LIMITS,
        policies: Arc::new(Policies::open(None).unwrap()),
        federation: FederationSettings::default(),
    };
    let issue = Issue::new(
        state,
        world.store.clone(),
        Arc::new(SystemClock),
        world.seal.clone(),
        Arc::new(RootSigner::from_pkcs8(&root).unwrap()),
        settings,
    );
    let issue = issue.unwrap();
    issue.keep_keys().await.unwrap();
    issue
}

/// An owner with many tokens below it, in chains and side by side; and a token of another owner.
async fn mint(issue: &Issue) -> (NodeId, Vec<Known>, Known) {
    for name in ["team", "others"] {
        let owner = NewOwner {
            name: name.to_owned(),
            contact: None,
        };
        issue.create_owner(owner, By::Broker).await.unwrap();
    }
    let mut known = Vec::new();
    let client = client(issue, "billing", "team").await;
    let request = Request {
        lifetime: Some(3_600),
        ..Request::default()
    };
    while known.len() < descendants() {
        let parent = issue.client_credentials(&client, &request, None).await;
        let parent = parent.unwrap_or_else(|why| panic!("{why}")).token;
        known.push(as_known(issue, parent.expose()));
        for _ in 0..CHILDREN.min(descendants() - known.len()) {
            let exchange = Exchange {
                client: Some(&client),
                subject: Subject::AccessToken(parent.expose()),
                actor: None,
                request: &request,
                address: None,
            };
            let child = issue.exchange(exchange).await;
            let child = child.unwrap_or_else(|why| panic!("{why}")).token;
            known.push(as_known(issue, child.expose()));
        }
    }
    let stranger = self::client(issue, "server", "others").await;
    let token = issue.client_credentials(&stranger, &request, None).await;
    let token = token.unwrap_or_else(|why| panic!("{why}")).token;
    let bystander = as_known(issue, token.expose());
    (issue.find_owner("team").unwrap(), known, bystander)
}

async fn client(issue: &Issue, name: &str, owner: &str) -> lanyard::issue::Client {
    let new = NewIdentity {
        name: name.to_owned(),
        owner: owner.to_owned(),
        kind: Kind::Service,
        tags: Vec::new(),
        audiences: vec!["https://orders.example".to_owned()],
        scopes: "orders:read".to_owned(),
        max_lifetime: None,
    };
    let id = issue.create_identity(new, By::Broker).await.unwrap().id;
    let (_, key) = issue.add_key(name, None, None, By::Broker).await.unwrap();
    issue
        .authenticate(&id.to_string(), key.expose(), None)
        .unwrap_or_else(|why| panic!("{why}"))
}

fn as_known(issue: &Issue, token: &str) -> Known {
    let proven = issue.introspect(token).expect("it lives");
    let claims = &proven.claims;
    Known {
        rev: claims.rev,
        nodes: claims.nodes().collect(),
    }
}
