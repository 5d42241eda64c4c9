//! How long policies take: `cargo bench -p lanyard --bench policy`.
//!
//! A thousand policies over a hundred audiences, a hundred thousand identities; then slices of a hundred, the most that
//! a decision is to look at; then the worst case, all policies in one slice; then decisions while bundles are exchanged. Prints a table and asserts nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement may stop where a broker must not"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use lanyard::policy::administration::{Act, Action, On};
use lanyard::policy::{Asked, AskedBy, Binding, Bundle, Party, Policies, Proof, Risk};
use lanyard_token::{Audience, ScopeSet};
use time::macros::datetime;

const AUDIENCES: usize = 100;
const POLICIES_EACH: usize = 10;
/// Audiences that share all policies where a slice has a hundred.
const SHARED: usize = 10;
const IDENTITIES: usize = 100_000;
const OWNERS: usize = 1_000;
const LABELS: usize = 200;
const DECISIONS: usize = 50_000;
/// Of those that look at everything: a millisecond each.
const SLOW_DECISIONS: usize = 5_000;
/// Identities that somebody approved something for: fewer than answers are remembered.
const APPROVED: usize = 1_000;
const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");

struct Identity {
    name: String,
    owner: String,
    tags: Vec<String>,
    audiences: Vec<Audience>,
    scopes: ScopeSet,
}

fn main() {
    let identities: Vec<_> = (0..IDENTITIES).map(identity).collect();
    let folder = tempfile::tempdir().unwrap();
    println!("policies                         scopes  looked at   p50 µs   p99 µs   max µs");

    let embedded = Bundle::embedded().unwrap();
    table("registered alone", &embedded, &identities, 1, DECISIONS);

    let began = Instant::now();
    let sliced = load(folder.path(), "sliced", |audience, number| {
        sliced_policy(audience, number)
    });
    let took = began.elapsed();
    table(
        "1,000 over 100 audiences",
        &sliced,
        &identities,
        1,
        DECISIONS,
    );
    table(
        "1,000 over 100 audiences",
        &sliced,
        &identities,
        4,
        DECISIONS,
    );

    let hundred = load(folder.path(), "hundred", |audience, number| {
        hundred_policy(audience, number)
    });
    let theirs: Vec<_> = (0..IDENTITIES)
        .map(|number| identity(number / SHARED * AUDIENCES + number % SHARED))
        .collect();
    table("100 in each slice", &hundred, &theirs, 1, DECISIONS);
    table("100 in each slice", &hundred, &theirs, 4, DECISIONS);

    let whole = load(folder.path(), "whole", |audience, number| {
        whole_policy(audience, number)
    });
    table("1,000 in one slice", &whole, &identities, 1, SLOW_DECISIONS);

    approvers(&identities);

    println!(
        "\nreading, checking and slicing 1,000 policies: {} ms",
        took.as_millis()
    );
    let (slices, largest) = sliced.sliced();
    println!("slices: {slices}, the largest with {largest} policies");
    exchanging(&folder.path().join("sliced"), &identities);
}

/// Half of the policies are for a label, the others for an owner, one identity, or the whole audience.
fn sliced_policy(audience: usize, number: usize) -> String {
    let id = format!("p{audience}-{number}");
    let at = format!("https://a{audience}.example");
    let who = match number {
        0 => "principal".to_owned(),
        1 => format!("principal == Lanyard::Identity::\"i{audience}\""),
        2..5 => format!(
            "principal in Lanyard::Owner::\"o{}\"",
            audience * 10 + number
        ),
        _ => format!(
            "principal in Lanyard::Tag::\"t{}\"",
            (audience * 10 + number) % LABELS
        ),
    };
    let condition = if number == 0 {
        "principal.audiences.contains(resource.audience) && principal.scopes.contains(resource.name)"
    } else {
        "context.proof == \"api_key\" && context.hour >= 6 && context.risk == \"none\""
    };
    format!(
        "@id(\"{id}\") permit({who}, action == Lanyard::Action::\"issue\", resource in Lanyard::Audience::\"{at}\") when {{ {condition} }};\n"
    )
}

/// The most that a decision is to look at: each policy is for everybody at one of a few audiences.
fn hundred_policy(audience: usize, number: usize) -> String {
    let at = format!("https://a{}.example", audience % SHARED);
    format!(
        "@id(\"p{audience}-{number}\") permit(principal, action == Lanyard::Action::\"issue\", \
         resource in Lanyard::Audience::\"{at}\") when {{ principal.scopes.contains(resource.name) && \
         context.proof == \"api_key\" && context.hour >= 6 && context.risk == \"none\" }};\n"
    )
}

/// The same conditions without a head: nothing says whom a policy is not for.
fn whole_policy(audience: usize, number: usize) -> String {
    format!(
        "@id(\"p{audience}-{number}\") permit(principal, action == Lanyard::Action::\"issue\", resource) when {{ \
         resource.audience == \"https://a{audience}.example\" && principal.scopes.contains(resource.name) && \
         context.proof == \"api_key\" }};\n"
    )
}

fn load(folder: &Path, name: &str, policy: impl Fn(usize, usize) -> String) -> Bundle {
    let folder = folder.join(name);
    for audience in 0..AUDIENCES {
        let grant = folder.join(format!("g{audience}"));
        fs::create_dir_all(&grant).unwrap();
        let text: String = (0..POLICIES_EACH)
            .map(|number| policy(audience, number))
            .collect();
        fs::write(grant.join("policy.cedar"), text).unwrap();
    }
    fs::write(folder.join("schema.cedarschema"), SCHEMA).unwrap();
    Bundle::load(&folder).unwrap_or_else(|broken| panic!("{broken}"))
}

fn identity(number: usize) -> Identity {
    let audience = |shift: usize| format!("https://a{}.example", (number + shift) % AUDIENCES);
    Identity {
        name: format!("i{number}"),
        owner: format!("o{}", number % OWNERS),
        tags: (0..4)
            .map(|shift| format!("t{}", (number * 7 + shift * 31) % LABELS))
            .collect(),
        audiences: (0..2)
            .map(|shift| audience(shift).parse().unwrap())
            .collect(),
        scopes: "orders:read orders:write stock:read stock:write"
            .parse()
            .unwrap(),
    }
}

/// One identity after the other, in an order that no cache likes.
fn picked(identities: &[Identity], step: usize) -> &Identity {
    &identities[step.wrapping_mul(7_919) % identities.len()]
}

fn decide(bundle: &Bundle, identity: &Identity, scopes: &ScopeSet) -> Duration {
    let asked = asked(identity, scopes);
    let began = Instant::now();
    let given = std::hint::black_box(bundle.grant(&asked));
    let took = began.elapsed();
    assert!(given.is_ok(), "{given:?}");
    took
}

fn asked<'a>(identity: &'a Identity, scopes: &'a ScopeSet) -> Asked<'a> {
    Asked {
        subject: Party {
            name: &identity.name,
            kind: "service",
            owner: &identity.owner,
            tags: &identity.tags,
            audiences: &identity.audiences,
            scopes: &identity.scopes,
            max_lifetime: 3_600,
            age_days: None,
            unused_days: None,
        },
        actor: None,
        audience: &identity.audiences[0],
        scopes: Some(scopes),
        within: None,
        partial: false,
        lifetime: 300,
        grant: AskedBy::ClientCredentials,
        proof: Proof::ApiKey,
        oidc: None,
        binding: Binding::None,
        network: Some([192, 0, 2, 7].into()),
        risk: Risk::None,
        task: None,
        approvals: &[],
        time: datetime!(2026-01-05 10:00 UTC),
    }
}

fn table(name: &str, bundle: &Bundle, identities: &[Identity], scopes: usize, decisions: usize) {
    let wanted: ScopeSet = identities[0].scopes.iter().take(scopes).cloned().collect();
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    let mut looked_at = 0;
    for step in 0..decisions {
        let identity = picked(identities, step);
        let took = decide(bundle, identity, &wanted);
        histogram.record(nanos(took)).unwrap();
        if step < 1_000 {
            let scopes: Vec<_> = wanted.iter().take(1).map(Some).collect();
            let rulings = bundle.rulings(&asked(identity, &wanted), &scopes).unwrap();
            looked_at = looked_at.max(rulings[0].looked_at);
        }
    }
    println!(
        "{name:<32} {scopes:>6} {looked_at:>10} {:>8.1} {:>8.1} {:>8.1}",
        micros(histogram.value_at_quantile(0.5)),
        micros(histogram.value_at_quantile(0.99)),
        micros(histogram.max()),
    );
}

/// Whether somebody could still give what they approved: asked with every token of an identity that has an approval. With the
/// policies that come with Lanyard; `no` takes every part of every policy, the first time.
fn approvers(identities: &[Identity]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let bundle = Bundle::load(&folder).unwrap_or_else(|broken| panic!("{broken}"));
    let audience: Audience = "https://lanyard.example/admin".parse().unwrap();
    let scopes: ScopeSet = "lanyard:admin".parse().unwrap();
    println!("\nwhether an approver still could  p50 µs   p99 µs   max µs");
    for (name, role, could) in [
        ("yes", "role.administrator", true),
        ("no", "role.auditor", false),
    ] {
        let tags = [role.to_owned()];
        let who = Party {
            name: "second",
            kind: "administrator",
            owner: "platform",
            tags: &tags,
            audiences: std::slice::from_ref(&audience),
            scopes: &scopes,
            max_lifetime: 3_600,
            age_days: None,
            unused_days: None,
        };
        for again in [false, true] {
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            for identity in &identities[..APPROVED] {
                let asked = asked(identity, &identity.scopes);
                let act = Act {
                    who,
                    action: Action::ApprovalsGive,
                    on: On::Identity(asked.subject),
                    wider: false,
                    scopes: &scopes,
                    network: None,
                    time: asked.time,
                };
                let began = Instant::now();
                let found = std::hint::black_box(bundle.could_still(&act));
                histogram.record(nanos(began.elapsed())).unwrap();
                assert_eq!(found, could, "{name}");
            }
            println!(
                "{:<30} {:>8.1} {:>8.1} {:>8.1}",
                format!("{name}, {}", if again { "again" } else { "the first time" }),
                micros(histogram.value_at_quantile(0.5)),
                micros(histogram.value_at_quantile(0.99)),
                micros(histogram.max()),
            );
        }
    }
}

/// Two threads decide; meanwhile nothing, or a bundle a millisecond is put in force.
fn exchanging(folder: &Path, identities: &[Identity]) {
    let bundles: Vec<_> = (0..2)
        .map(|_| Arc::new(Bundle::load(folder).unwrap()))
        .collect();
    let policies = Policies::open(Some(folder)).unwrap();
    let wanted: ScopeSet = identities[0].scopes.iter().take(1).cloned().collect();
    println!("\ntwo threads decide               p50 µs   p99 µs   max µs    swaps");
    for exchanging in [false, true] {
        let (stop, mut swaps) = (AtomicBool::new(false), 0_u64);
        let histogram = std::thread::scope(|scope| {
            let deciders: Vec<_> = (0..2)
                .map(|thread| {
                    let (policies, wanted, stop) = (&policies, &wanted, &stop);
                    scope.spawn(move || {
                        let mut histogram = Histogram::<u64>::new(3).unwrap();
                        let mut step = thread;
                        while !stop.load(Ordering::Relaxed) {
                            let began = Instant::now();
                            decide(&policies.current(), picked(identities, step), wanted);
                            histogram.record(nanos(began.elapsed())).unwrap();
                            step += 2;
                        }
                        histogram
                    })
                })
                .collect();
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
                if exchanging {
                    policies.swap(Arc::clone(&bundles[swaps as usize % 2]));
                    swaps += 1;
                }
            }
            stop.store(true, Ordering::Relaxed);
            let mut all = Histogram::<u64>::new(3).unwrap();
            for decider in deciders {
                all.add(decider.join().unwrap()).unwrap();
            }
            all
        });
        println!(
            "{:<30} {:>8.1} {:>8.1} {:>8.1} {swaps:>8}",
            if exchanging {
                "while bundles are exchanged"
            } else {
                "undisturbed"
            },
            micros(histogram.value_at_quantile(0.5)),
            micros(histogram.value_at_quantile(0.99)),
            micros(histogram.max()),
        );
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}
