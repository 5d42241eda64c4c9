//! What a call is made with ends while the call waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::support::{HEADER, Script, World, carried, http, party, serve};
use crate::ways::with_tokens;

/// Until a call is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(300);
/// Less than a third party has for its answer.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_call_that_waits_for_a_connection_is_not_made_once_its_token_or_its_value_has_ended() {
    // It takes connections and never says a word of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            open.push(stream);
        }
    });
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificates = format!("certificates = '''{}'''", made.cert.pem());
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let written = party(nowhere, HEADER, &certificates)
        .replace("http://127.0.0.1:1", &format!("https://localhost:{port}"));
    for (ending, expected) in [
        ("the token", 401),
        ("the secret", 503),
        ("the integration", 503),
        ("egress", 503),
        ("a refusal", 503),
        ("its removal", 503),
    ] {
        let world = World::new(&written).await;
        let token = world.numbered(4_711, "party:use");
        let request = http().get(world.url("/party/v1/x")).bearer_auth(token);
        let call = tokio::spawn(request.send());
        sleep(ON_ITS_WAY).await;
        assert!(!call.is_finished(), "{ending}: nothing was waited for");
        match ending {
            "the token" => world.end(4_711),
            "the secret" => world.end(1002),
            "the integration" => world.end(1001),
            "egress" => world.end(77),
            "a refusal" => world.refuse().await,
            _ => world.change(|script| script.integrations.clear()).await,
        }
        let answer = timeout(SOON, call).await.expect(ending);
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), expected, "{ending}");
        if expected == 401 {
            let challenge = &answer.headers()["www-authenticate"];
            assert_eq!(challenge, "Bearer error=\"invalid_token\"");
        }
    }
}

/// Another version and another rule come while third parties think; no good call is broken for that.
#[tokio::test]
async fn a_call_that_was_made_is_answered_though_its_lease_and_the_form_of_the_integration_are_over()
 {
    let slow = Router::new().fallback(|| async {
        sleep(Duration::from_millis(1_500)).await;
        "done"
    });
    let written = party(serve(slow).await, HEADER, "");
    let world = World::new(&written).await;
    world
        .change(|script| script.lease_for = Duration::from_millis(700))
        .await;
    let changing = async {
        sleep(ON_ITS_WAY).await;
        let other = written.replace("/v1/{what}", "/v1/{which}");
        let change = world.change(|script| {
            script.integrations = vec![carried(1001, &other)];
            let lease = script.leases.get_mut("party").unwrap();
            *lease = (1002, 2, None, "the second value".to_owned());
        });
        change.await;
    };
    let (answer, ()) = tokio::join!(world.get("/party/v1/x"), changing);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "done");
}

/// Says a word at once, and another one each time this has passed.
fn talking(every: Duration) -> Router {
    Router::new().fallback(move || async move {
        let words = futures::stream::unfold(Duration::ZERO, move |wait| async move {
            sleep(wait).await;
            Some((Ok::<_, std::io::Error>("word "), every))
        });
        Body::from_stream(words)
    })
}

#[tokio::test]
async fn an_answer_that_is_still_coming_is_cut_off_once_its_value_is_taken_back() {
    // One goes on and on; the other one has fallen silent.
    for every in [Duration::from_millis(20), Duration::from_secs(3_600)] {
        let upstream = serve(talking(every)).await;
        for ending in [
            "the secret",
            "the integration",
            "egress",
            "a refusal",
            "its removal",
        ] {
            let world = World::new(&party(upstream, HEADER, "")).await;
            let mut answer = world.get("/party/v1/x").await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.chunk().await.unwrap().unwrap(), "word ");
            match ending {
                "the secret" => world.end(1002),
                "the integration" => world.end(1001),
                "egress" => world.end(77),
                "a refusal" => world.refuse().await,
                _ => world.change(|script| script.integrations.clear()).await,
            }
            let end = async {
                loop {
                    match answer.chunk().await {
                        Ok(Some(_)) => {}
                        end => return end,
                    }
                }
            };
            let end = timeout(SOON, end).await.expect(ending);
            assert!(end.is_err(), "{ending}: it looks whole");
        }
    }
}

#[tokio::test]
async fn an_answer_goes_on_when_another_version_comes_and_the_time_of_its_own_is_over() {
    let upstream = serve(talking(Duration::from_millis(20))).await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let short = |script: &mut Script| script.lease_for = Duration::from_millis(700);
    world.change(short).await;
    let mut answer = world.get("/party/v1/x").await;
    let other = |script: &mut Script| {
        let lease = script.leases.get_mut("party").unwrap();
        *lease = (1002, 2, None, "the second value".to_owned());
    };
    world.change(other).await;
    let later = tokio::time::Instant::now() + Duration::from_millis(1_500);
    while tokio::time::Instant::now() < later {
        let word = timeout(SOON, answer.chunk()).await.unwrap();
        assert!(word.unwrap().is_some());
    }
}

#[tokio::test]
async fn callers_who_leave_while_a_token_is_asked_for_have_it_asked_for_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let tokens = {
        let asked = Arc::clone(&asked);
        move || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_secs(2)).await;
            "{\"access_token\":\"third-party-token\",\"expires_in\":0}"
        }
    };
    let world = with_tokens(post(tokens)).await;
    for _ in 0..4 {
        let request = http().get(world.url("/party/v1/x"));
        let request = request.bearer_auth(world.token("party:use"));
        let left = request.timeout(Duration::from_millis(300)).send().await;
        assert!(left.unwrap_err().is_timeout());
    }
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // What is over at once is used for a moment all the same.
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_was_spent_of_an_integration_stays_spent_in_its_next_form() {
    let upstream = serve(Router::new().fallback(|| async {})).await;
    let budget = "[budget]\ncalls_per_minute = 2\n";
    let written = party(upstream, HEADER, "").replace("[inject]", &format!("{budget}[inject]"));
    let world = World::new(&written).await;
    for _ in 0..2 {
        assert_eq!(world.get("/party/v1/x").await.status(), 200);
    }
    let other = written.replace("/v1/{what}", "/v1/{which}");
    let change = world.change(|script| script.integrations = vec![carried(1001, &other)]);
    change.await;
    assert_eq!(world.get("/party/v1/x").await.status(), 429);
    // Another integration of the same name has spent nothing.
    let change = world.change(|script| script.integrations = vec![carried(1003, &written)]);
    change.await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
}
