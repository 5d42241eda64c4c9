//! Private places in every spelling that some reader of addresses takes (SSRF): none of them is ever connected to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lanyard_gateway::egress::upstream::{Resolver, Resolving};
use lanyard_token::integration::{Integration, Upstream};
use tokio::net::{TcpListener, lookup_host};
use tokio::time::timeout;

use crate::support::{HEADER, World};
use crate::third_party::{OK, answering};

/// Hosts as they stand in a URL.
const SPELLINGS: [&str; 78] = [
    // This machine.
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "00000177.0.0.1",
    "127.0.0.1.",
    "127.0.0.1:0443",
    "0",
    "0x0",
    "00000000.0",
    "0.0.0.0",
    "0.0.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "[::]",
    "[::1]",
    "::1",
    "[::1",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    // The cloud's metadata.
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    // Neighbours.
    "10.0.0.1",
    "167772161",
    "0x0a000001",
    "012.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "192.168.257",
    "3232235777",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::ffff:10.0.0.1]",
    "[fc00::1]",
    "[fec0::1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[ff02::1]",
    "[2001::1]",
    // Letters that become an address, and addresses that look like another part of a URL.
    "127\u{3002}0\u{3002}0\u{3002}1",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "%31%32%37.0.0.1",
    "host.example@127.0.0.1",
    "127.0.0.1#host.example",
    "127.0.0.1\\@host.example",
    "127.0.0.1%00host.example",
];
/// A little: what is not connected to is refused at once.
const SOON: Duration = Duration::from_secs(5);

/// Listens on this machine, in both of its families where it has them; the port, and how often it was reached.
async fn listening() -> (u16, Arc<AtomicUsize>) {
    let reached = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let second = TcpListener::bind(("::1", port)).await;
    for listener in [Ok(listener), second].into_iter().flatten() {
        let reached = Arc::clone(&reached);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                reached.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    (port, reached)
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_an_upstream_that_is_connected_to() {
    let (port, reached) = listening().await;
    let mut called = Vec::new();
    for host in SPELLINGS {
        let url = format!("https://{host}:{port}");
        let written = named(&url, "");
        if url.parse::<Upstream>().is_err() {
            let refused = toml::from_str::<Integration>(&written);
            assert!(refused.is_err(), "{host}");
            continue;
        }
        let world = World::new(&written).await;
        let answer = timeout(SOON, world.get("/party/v1/x")).await.expect(host);
        assert_eq!(answer.status(), 502, "{host}");
        assert!(answer.text().await.unwrap().contains("unreachable"));
        called.push(host);
    }
    // Those in their usual spelling.
    assert!(called.contains(&"127.0.0.1") && called.contains(&"[::1]"));
    for other in [
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "LOCALHOST",
        "::1",
    ] {
        assert!(!called.contains(&other), "{other} is an upstream");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// Says what it is told to.
#[derive(Default)]
struct Told(Mutex<Vec<SocketAddr>>);

impl Resolver for Told {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        let answer = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(answer) })
    }
}

/// What this machine reads a spelling as, without asking anybody.
async fn read(host: &str, port: u16) -> Vec<SocketAddr> {
    let host = host.trim_matches(['[', ']']);
    let is_number = |byte: u8| byte.is_ascii_hexdigit() || b"xX.:".contains(&byte);
    if !host.bytes().all(is_number) || host.ends_with('.') || host.ends_with(":0443") {
        return Vec::new();
    }
    let read = lookup_host((host, port)).await;
    read.map(Iterator::collect).unwrap_or_default()
}

#[tokio::test]
async fn no_name_that_leads_to_a_private_address_is_connected_to() {
    let (port, reached) = listening().await;
    let resolver = Arc::new(Told::default());
    let url = format!("https://party.example:{port}");
    let world = World::resolving(&named(&url, ""), Arc::<Told>::clone(&resolver) as _).await;
    let open = SocketAddr::from(([1, 1, 1, 1], port));
    let mut led_to = 0;
    for host in SPELLINGS {
        let addresses = read(host, port).await;
        if addresses.is_empty() {
            continue;
        }
        led_to += 1;
        // One that is allowed does not make the other one so, wherever it stands.
        let before = [vec![open], addresses.clone()].concat();
        let behind = [addresses.clone(), vec![open]].concat();
        for told in [addresses, before, behind] {
            *resolver.0.lock().unwrap() = told;
            let answer = timeout(SOON, world.get("/party/v1/x")).await.expect(host);
            assert_eq!(answer.status(), 502, "{host}");
            assert!(answer.text().await.unwrap().contains("unreachable"));
        }
    }
    assert!(led_to >= 60, "{led_to}");
    // In clear only within networks that are named.
    *resolver.0.lock().unwrap() = vec![SocketAddr::from(([127, 0, 0, 1], port))];
    let clear = named(&format!("http://party.example:{port}"), "\"10.0.0.0/8\"");
    let world = World::resolving(&clear, resolver).await;
    assert_eq!(world.get("/party/v1/x").await.status(), 502);
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// Says another address each time it is asked.
struct Rebinding {
    first: Vec<SocketAddr>,
    then: Vec<SocketAddr>,
    asked: AtomicUsize,
}

impl Resolver for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = if asked == 0 {
            self.first.clone()
        } else {
            self.then.clone()
        };
        Box::pin(async move { Ok(answer) })
    }
}

fn named(host: &str, private: &str) -> String {
    format!(
        "name = \"party\"\nupstream = \"{host}\"\nprivate = [{private}]\n[inject]\n{HEADER}\n\
         [[rule]]\nmethod = \"GET\"\ntemplate = \"/v1/{{what}}\"\nclass = \"normal\"\n"
    )
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_connected_to() {
    let head = format!("{OK}content-length: 5\r\nconnection: close\r\n\r\nfirst");
    let good = answering(head.into_bytes(), None).await;
    let head = format!("{OK}content-length: 6\r\nconnection: close\r\n\r\nsecond");
    let other = answering(head.into_bytes(), None).await;
    let asked = AtomicUsize::new(0);
    let resolver = Arc::new(Rebinding {
        first: vec![good],
        then: vec![other],
        asked,
    });
    let url = format!("http://party.example:{}", good.port());
    let world = World::resolving(
        &named(&url, "\"127.0.0.0/8\""),
        Arc::<Rebinding>::clone(&resolver) as _,
    )
    .await;
    assert_eq!(
        world.get("/party/v1/x").await.text().await.unwrap(),
        "first"
    );
    assert_eq!(
        resolver.asked.load(Ordering::SeqCst),
        1,
        "once for a connection"
    );
}
