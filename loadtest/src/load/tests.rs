use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use super::*;

async fn server(router: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn questions(path: &str) -> Arc<[Question]> {
    Arc::from([Question::get("localhost", path, &[])])
}

#[tokio::test]
async fn answers_are_counted_by_whether_they_are_the_expected_ones() {
    let router = Router::new().route("/good", get(async || "yes"));
    let to = server(router).await;
    let lasting = Duration::from_millis(200);
    let good = closed(to, questions("/good"), 2, lasting).await;
    assert!(good.answered > 10 && good.refused == 0 && good.broken == 0);
    assert_eq!(good.waits.len(), good.answered);
    let other = closed(to, questions("/other"), 1, lasting).await;
    assert!(other.answered == 0 && other.refused > 10);
}

#[tokio::test]
async fn an_answer_in_chunks_is_read_to_its_end() {
    let chunks = async || {
        let parts = ["one", "two\r\n0\r\n", "three"].map(Ok::<_, std::io::Error>);
        axum::body::Body::from_stream(futures::stream::iter(parts))
    };
    let to = server(Router::new().route("/", get(chunks))).await;
    let mut connection = Connection::open(to).await.unwrap();
    let question = Question::get("localhost", "/", &[]);
    for _ in 0..20 {
        assert_eq!(connection.ask(&question).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_pause_of_the_server_is_felt_by_every_request_that_was_due_meanwhile() {
    // One answer in fifty takes 200 ms, and one connection asks a hundred times a second: whoever waits for the slow
    // answer before asking again sees one slow answer; those due meanwhile waited as well.
    let counter = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let slow = move || {
        let number = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            if number.is_multiple_of(50) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            "done"
        }
    };
    let to = server(Router::new().route("/", get(slow))).await;
    let answers = open(to, questions("/"), 1, 100.0, Duration::from_secs(1)).await;
    assert_eq!(answers.broken, 0);
    let late = answers.waits.iter_recorded();
    let late: u64 = late
        .filter(|value| value.value_iterated_to() > 50_000_000)
        .map(|value| value.count_at_value())
        .sum();
    assert!(
        late >= 10,
        "{late} requests waited, of {}",
        answers.waits.len()
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_is_told() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let to = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let answers = closed(to, questions("/"), 1, Duration::from_millis(100)).await;
    assert!(answers.broken > 0 && answers.answered == 0);
}

#[test]
fn processor_time_of_this_process_grows() {
    let mine = ProcessorTime::of(std::process::id());
    let before = mine.used().unwrap();
    let mut sum = 0_u64;
    while mine.used().unwrap() < before + Duration::from_millis(5) {
        sum = (0..100_000_u64).fold(sum, |a, b| std::hint::black_box(a ^ b));
    }
    assert!(mine.used().unwrap() > before);
}
