//! Where rotations connect to: nowhere but the open internet and what a plan names, however an address is spelled and
//! whatever a name means a moment later.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum_server::tls_rustls::RustlsConfig;
use futures::future::BoxFuture;
use lanyard::clock::{Clock, SystemClock};
use lanyard::outbound::names::{Names, System};
use lanyard::outbound::{Caller, Reach};
use lanyard::vault::rotate::driver::{Driver, Unsuitable};
use lanyard::vault::rotate::machine::Answer;
use lanyard::vault::rotate::third_party::ThirdParty;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use tokio::net::TcpListener;

use super::http::{DESCRIPTIONS, Manager, order};
use super::postgres::superuser;
use super::servers::{PATIENCE, PostgresServer, SUPERUSER, SUPERUSER_PASSWORD, to_this_machine};

/// Addresses of this machine, in every spelling that something on the way might read as one.
const HERE: [&str; 38] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127.000.000.001",
    "127.8.9.10",
    "0x7f.1",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "0x7f.0.0.0x1",
    "0177.0.0.1",
    "0177.0.0.01",
    "017700000001",
    "2130706433",
    "0",
    "0x0",
    "0.0.0.0",
    "00000000",
    "%31%32%37.0.0.1",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[::1%25lo]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "public.example@127.0.0.1",
    "public.example:80@127.0.0.1",
];

/// Addresses that only this machine's neighbours have, and what clouds tell about a machine.
const NEIGHBOURS: [&str; 40] = [
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "0300.0250.0.1",
    "3232235521",
    "169.254.169.254",
    "169.254.43518",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "2852039166",
    "0251.0376.0251.0376",
    "025177524776",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "198.18.0.1",
    "192.88.99.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[::ffff:169.254.169.254]",
    "[::a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::]",
];

/// Knows of every name that it is this machine, as whoever runs a name server may say; numbers are read by the system.
struct Hostile;

impl Names for Hostile {
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let is_number = name.ends_with(|last: char| last.is_ascii_digit())
            && name
                .bytes()
                .all(|byte| byte == b'.' || byte.is_ascii_hexdigit() || b"xX".contains(&byte));
        if is_number {
            System.addresses(name)
        } else {
            Box::pin(async { Ok(vec![[127, 0, 0, 1].into()]) })
        }
    }
}

/// Listens, and counts who comes. Whoever comes is sent away.
async fn listen(at: SocketAddr, came: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            came.fetch_add(1, Ordering::SeqCst);
        }
    });
    at
}

/// One port of this machine, on all the addresses that the spellings lead to.
async fn listen_everywhere() -> (u16, Arc<AtomicUsize>) {
    let came = Arc::new(AtomicUsize::new(0));
    let port = listen(([127, 0, 0, 1], 0).into(), came.clone())
        .await
        .port();
    listen(([127, 8, 9, 10], port).into(), came.clone()).await;
    listen((std::net::Ipv6Addr::LOCALHOST, port).into(), came.clone()).await;
    (port, came)
}

fn vendor(base: &str) -> Value {
    let text = toml::from_str::<toml::Value>(DESCRIPTIONS[0].1).unwrap();
    let mut settings = serde_json::to_value(text).unwrap();
    settings["kind"] = json!("http");
    settings["base"] = json!(base);
    settings
}

/// The drivers that would go there, as their plans say it in the log.
fn plans(host: &str, port: u16) -> Vec<Value> {
    let mut plans: Vec<Value> = ["https", "http"]
        .iter()
        .map(|scheme| vendor(&format!("{scheme}://{host}:{port}/")))
        .collect();
    let url = format!("https://{host}:{port}/");
    plans.push(json!({"kind": "aws_iam", "user": "shop", "iam": url, "sts": url}));
    let host = host.trim_matches(['[', ']']);
    for plain in [true, false] {
        plans.push(json!({
            "kind": "postgres", "host": host, "port": port, "database": "shop",
            "roles": ["shop_a", "shop_b"], "plain": plain,
        }));
    }
    plans
}

fn driver(plan: &Value, outside: &Caller) -> Result<Box<dyn Driver>, Option<Unsuitable>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let third_party: ThirdParty = serde_json::from_value(plan.clone()).map_err(|_| None)?;
    third_party.driver(outside, &clock, PATIENCE).map_err(Some)
}

/// Makes every call of a driver; says how often it was sure of something.
async fn call(driver: &dyn Driver) -> Vec<String> {
    let manager = Manager::new();
    let manager = manager.shows();
    let answers = [
        driver.find(&manager).await,
        driver.create(&manager, order()).await.answer,
        driver.verify(&manager).await,
        driver.revoke(&manager, manager.reference).await,
    ];
    let mut whys = Vec::new();
    for answer in answers {
        match answer {
            Answer::Refused(why) | Answer::Unclear(why) => whys.push(why),
            sure => panic!("{sure:?}"),
        }
    }
    whys
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_connected_to() {
    let (port, came) = listen_everywhere().await;
    let outside = Caller::new(Reach::asking(Arc::new(Hostile))).unwrap();
    let (mut at_the_plan, mut at_the_call) = (0, 0);
    for host in HERE.into_iter().chain(NEIGHBOURS) {
        for plan in plans(host, port) {
            match driver(&plan, &outside) {
                Err(_) => at_the_plan += 1,
                Ok(driver) => {
                    at_the_call += 1;
                    for why in call(&*driver).await {
                        let judged = why.contains("private address") || why.contains("none was");
                        assert!(judged, "{host}: {why}: {plan}");
                    }
                }
            }
        }
        // Without a plan that looks first.
        if let Ok(url) = format!("https://{host}:{port}/").parse()
            && let Ok(request) = outside.request(Method::GET, url)
        {
            assert!(request.send().await.is_err(), "{host}");
        }
        let bare = host.trim_matches(['[', ']']);
        assert!(outside.reach().connect(bare, port).await.is_err(), "{host}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 0);
    assert!(HERE.len() + NEIGHBOURS.len() >= 60);
    assert!(
        at_the_plan > 0 && at_the_call > 0,
        "{at_the_plan}, {at_the_call}"
    );
}

#[tokio::test]
async fn what_is_named_is_connected_to_so_the_listener_does_hear() {
    let (port, came) = listen_everywhere().await;
    let named = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
    let outside = Caller::new(Reach::asking(Arc::new(Hostile)).with(&named)).unwrap();
    for host in ["127.0.0.1", "2130706433", "localhost", "[::1]"] {
        let before = came.load(Ordering::SeqCst);
        let drivers: Vec<_> = plans(host, port)
            .iter()
            .filter_map(|plan| driver(plan, &outside).ok())
            .collect();
        assert_eq!(drivers.len(), 5, "{host}");
        for driver in drivers {
            let there = tokio::time::timeout(PATIENCE, call(&*driver));
            // Whoever is sent away at once fails; whoever is not waits for an answer.
            let _ = there.await;
        }
        assert!(came.load(Ordering::SeqCst) > before, "{host}");
    }
}

/// Says one thing after the other, the last one for ever.
struct Changing(Mutex<VecDeque<IpAddr>>, AtomicUsize);

impl Changing {
    fn new(addresses: &[[u8; 4]]) -> Arc<Self> {
        let addresses = addresses.iter().map(|address| (*address).into()).collect();
        Arc::new(Self(Mutex::new(addresses), AtomicUsize::new(0)))
    }
}

impl Names for Changing {
    fn addresses(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut left = self.0.lock().unwrap();
        let now = if left.len() > 1 {
            left.pop_front()
        } else {
            left.front().copied()
        };
        Box::pin(async move { Ok(now.into_iter().collect()) })
    }
}

#[tokio::test]
async fn a_name_that_means_another_address_a_moment_later_leads_nowhere() {
    // The one may be reached, as an address in the open may; the other is what whoever runs the name is after.
    let (good, bad) = ([127, 0, 0, 2], [127, 0, 0, 1]);
    let named = ["127.0.0.2/32".parse().unwrap()];
    for kind in 0..3 {
        let (well, badly) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let port = listen((good, 0).into(), well.clone()).await.port();
        listen((bad, port).into(), badly.clone()).await;
        let names = Changing::new(&[good, bad]);
        let outside = Caller::new(Reach::asking(names.clone()).with(&named)).unwrap();
        // Of the plans without TLS none takes a name.
        let all = plans("rebinding.example", port);
        let plan = [&all[0], &all[2], &all[4]][kind];
        let driver = driver(plan, &outside).unwrap_or_else(|why| panic!("{why:?}"));
        let manager = Manager::new();
        let manager = manager.shows();
        for _ in 0..2 {
            let answer = driver.verify(&manager).await;
            assert!(matches!(answer, Answer::Unclear(_)), "{answer:?}");
        }
        let reached = (well.load(Ordering::SeqCst), badly.load(Ordering::SeqCst));
        assert_eq!(reached, (1, 0), "{plan}");
        assert_eq!(
            names.1.load(Ordering::SeqCst),
            2,
            "asked once for each: {plan}"
        );
        // An honest name has no address that is refused.
        let both = Both([good.into(), bad.into()]);
        let outside = Caller::new(Reach::asking(Arc::new(both)).with(&named)).unwrap();
        let driver = self::driver(plan, &outside).unwrap_or_else(|why| panic!("{why:?}"));
        driver.verify(&manager).await;
        assert_eq!(well.load(Ordering::SeqCst), 1, "{plan}");
    }
}

struct Both([IpAddr; 2]);

impl Names for Both {
    fn addresses(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let both = self.0.to_vec();
        Box::pin(async move { Ok(both) })
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let came = Arc::new(AtomicUsize::new(0));
    let private = listen(([127, 0, 0, 1], 0).into(), came.clone()).await;
    for status in [301, 302, 303, 307, 308, 300] {
        for to in [
            format!("http://{private}/"),
            format!("//{private}/"),
            "/elsewhere".to_owned(),
        ] {
            let asked = Arc::new(AtomicUsize::new(0));
            let seen = asked.clone();
            let routes = Router::new().fallback(move || {
                seen.fetch_add(1, Ordering::SeqCst);
                let to = to.clone();
                async move {
                    (StatusCode::from_u16(status).unwrap(), [("location", to)]).into_response()
                }
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}/", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
            let aws = json!({"kind": "aws_iam", "user": "shop", "iam": base, "sts": base});
            for plan in [vendor(&base), aws] {
                let before = asked.load(Ordering::SeqCst);
                let driver =
                    driver(&plan, &to_this_machine()).unwrap_or_else(|why| panic!("{why:?}"));
                call(&*driver).await;
                assert_eq!(asked.load(Ordering::SeqCst) - before, 4, "{status}: {plan}");
            }
        }
    }
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_is_known_by_its_name_at_the_address_that_was_judged() {
    let made = rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let server = PostgresServer::start_with_tls(&certificate, &made.signing_key.serialize_pem());
    superuser(&server).await.execute("SELECT 1").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certificate).unwrap();
    let names = Changing::new(&[[127, 0, 0, 1]]);
    let named = ["127.0.0.0/8".parse().unwrap()];
    let outside = Caller::new(Reach::asking(names).with(&named)).unwrap();
    let plan = |host: &str| {
        json!({
            "kind": "postgres", "host": host, "port": server.port, "database": "postgres",
            "roles": [SUPERUSER, "other"], "ca_file": ca_file,
        })
    };
    let manager = Manager::called(SUPERUSER, SUPERUSER_PASSWORD);
    let manager = manager.shows();
    let right = driver(&plan("db.example"), &outside).unwrap_or_else(|why| panic!("{why:?}"));
    assert_eq!(right.verify(&manager).await, Answer::Works);
    assert!(matches!(right.find(&manager).await, Answer::Found(_)));
    for host in ["elsewhere.example", "127.0.0.1"] {
        let wrong = driver(&plan(host), &outside).unwrap_or_else(|why| panic!("{why:?}"));
        let failed = Answer::Unclear("TLS failed".to_owned());
        assert_eq!(wrong.verify(&manager).await, failed, "{host}");
    }
    // Somebody who is believed as usual is not believed where a plan names who is.
    let mut usual = plan("db.example");
    usual["ca_file"] = Value::Null;
    let usual = driver(&usual, &outside).unwrap_or_else(|why| panic!("{why:?}"));
    assert!(matches!(usual.verify(&manager).await, Answer::Unclear(_)));
}

#[tokio::test]
async fn certificates_that_a_plan_names_are_believed_alone() {
    let made = rcgen::generate_simple_self_signed(["vendor.example".to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = RustlsConfig::from_pem(pem.clone().into_bytes(), key.into_bytes());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = axum_server::from_tcp_rustls(listener, config.await.unwrap()).unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let seen = came.clone();
    let routes = Router::new().fallback(move || {
        seen.fetch_add(1, Ordering::SeqCst);
        async { StatusCode::IM_A_TEAPOT }
    });
    tokio::spawn(server.serve(routes.into_make_service()));
    let folder = tempfile::tempdir().unwrap();
    let (right, other) = (folder.path().join("right"), folder.path().join("other"));
    std::fs::write(&right, pem).unwrap();
    let another = rcgen::generate_simple_self_signed(["vendor.example".to_owned()]).unwrap();
    std::fs::write(&other, another.cert.pem()).unwrap();
    let named = ["127.0.0.0/8".parse().unwrap()];
    let reach = Reach::asking(Changing::new(&[[127, 0, 0, 1]])).with(&named);
    let outside = Caller::new(reach).unwrap();
    let plans = |host: &str| {
        let url = format!("https://{host}:{port}/");
        let aws = json!({"kind": "aws_iam", "user": "shop", "iam": url, "sts": url});
        [vendor(&url), aws]
    };
    for (host, ca_file, is_believed) in [
        ("vendor.example", json!(right), true),
        ("vendor.example", json!(other), false),
        ("vendor.example", Value::Null, false),
        ("elsewhere.example", json!(right), false),
    ] {
        for mut plan in plans(host) {
            plan["ca_file"] = ca_file.clone();
            let before = came.load(Ordering::SeqCst);
            let driver = driver(&plan, &outside).unwrap_or_else(|why| panic!("{why:?}"));
            call(&*driver).await;
            let calls = came.load(Ordering::SeqCst) - before;
            assert_eq!(calls > 0, is_believed, "{host} by {ca_file}: {plan}");
        }
    }
    let mut plan = vendor("https://vendor.example/");
    plan["ca_file"] = json!(folder.path().join("missing"));
    assert!(driver(&plan, &outside).is_err());
}
