//! Requests are due at fixed instants, and each is timed from when it was due.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Answers, Connection, Question, Turns, instants};

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
    let per_second = per_second.max(0.001);
    let pause = Duration::from_secs_f64(1.0 / per_second);
    let count = (lasting.as_secs_f64() * per_second).ceil() as usize;
    let begin = Instant::now() + Duration::from_millis(20);
    let mut all = Answers::none();
    let Ok(turns) = instants(connections, begin, pause, count) else {
        // Without a thread nobody can ask in time.
        all.broken = count as u64;
        return all;
    };
    let mut askers = JoinSet::new();
    for (number, turns) in turns.into_iter().enumerate() {
        let questions = Arc::clone(&questions);
        let first = number * questions.len() / connections;
        askers.spawn(async move { ask(to, &questions, first, turns).await });
    }
    while let Some(done) = askers.join_next().await {
        if let Ok(answers) = done {
            all.beside(&answers);
        }
    }
    all.elapsed = begin.elapsed();
    all
}

async fn ask(to: SocketAddr, questions: &[Question], first: usize, mut turns: Turns) -> Answers {
    let mut answers = Answers::none();
    let mut asked = questions.iter().cycle().skip(first);
    let mut connection = None;
    while let Some(due) = turns.next().await {
        let Some(question) = asked.next() else {
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
    }
    answers
}
