//! Every connection asks again as soon as it was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Answers, Connection, Question};

/// Asks for this long, over so many connections; each goes round the questions, beginning at its own place.
///
/// A connection that breaks is counted and opened again: a server that drops what it cannot do must not look fast.
pub async fn closed(
    to: SocketAddr,
    questions: Arc<[Question]>,
    connections: usize,
    lasting: Duration,
) -> Answers {
    let mut askers = JoinSet::new();
    for number in 0..connections {
        let questions = Arc::clone(&questions);
        askers.spawn(async move {
            let first = number * questions.len() / connections.max(1);
            ask(to, &questions, first, lasting).await
        });
    }
    let mut all = Answers::none();
    while let Some(done) = askers.join_next().await {
        if let Ok(answers) = done {
            all.beside(&answers);
        }
    }
    all
}

async fn ask(to: SocketAddr, questions: &[Question], first: usize, lasting: Duration) -> Answers {
    let mut answers = Answers::none();
    let began = Instant::now();
    let mut turns = questions.iter().cycle().skip(first);
    while began.elapsed() < lasting {
        let Ok(mut connection) = Connection::open(to).await else {
            answers.broken += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while began.elapsed() < lasting {
            let Some(question) = turns.next() else {
                return answers;
            };
            let asked = Instant::now();
            match connection.ask(question).await {
                Ok(status) => answers.count(status == question.expected, asked.elapsed()),
                Err(_) => {
                    answers.broken += 1;
                    break;
                }
            }
        }
    }
    answers.elapsed = began.elapsed();
    answers
}
