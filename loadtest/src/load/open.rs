//! Requests are due at fixed instants, and each is timed from when it was due.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{Answers, Connection, Question};

/// Asks `per_second` times a second for this long, over so many connections that share the instants evenly. Whatever
/// a connection could not send in time, because it still waited for an answer, it sends at once, and the time since
/// it was due counts as waited.
pub async fn open(
    to: SocketAddr,
    questions: Arc<[Question]>,
    connections: usize,
    per_second: f64,
    lasting: Duration,
) -> Answers {
    let connections = connections.max(1);
    let pause = Duration::from_secs_f64(connections as f64 / per_second.max(0.001));
    let begin = Instant::now() + Duration::from_millis(20);
    let mut askers = JoinSet::new();
    for number in 0..connections {
        let questions = Arc::clone(&questions);
        // Spread over the pause, so that connections do not ask in one burst.
        let first_due = begin + pause.mul_f64(number as f64 / connections as f64);
        let first = number * questions.len() / connections;
        askers.spawn(
            async move { ask(to, &questions, first, first_due, pause, begin + lasting).await },
        );
    }
    let mut all = Answers::none();
    while let Some(done) = askers.join_next().await {
        if let Ok(answers) = done {
            all.beside(&answers);
        }
    }
    all.elapsed = begin.elapsed();
    all
}

async fn ask(
    to: SocketAddr,
    questions: &[Question],
    first: usize,
    mut due: Instant,
    pause: Duration,
    end: Instant,
) -> Answers {
    let mut answers = Answers::none();
    let mut turns = questions.iter().cycle().skip(first);
    let mut connection = None;
    while due < end {
        sleep_until(due).await;
        let Some(question) = turns.next() else {
            return answers;
        };
        let live = match connection.take() {
            Some(live) => Ok(live),
            None => Connection::open(to).await,
        };
        match live {
            Ok(mut live) => match live.ask(question).await {
                Ok(status) => {
                    answers.count(status == question.expected, due.elapsed());
                    connection = Some(live);
                }
                Err(_) => answers.broken += 1,
            },
            Err(_) => answers.broken += 1,
        }
        due += pause;
    }
    answers
}
