//! When requests are due.
//!
//! Timers of the runtime tick in milliseconds and are late by one or two, as long as what is measured takes. A thread
//! that does nothing else wakes within some 0.1 ms, and is late only when the machine is.

use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// What one asker waits for: the instants at which it is to ask, each told when it has come. An asker that is busy
/// finds them later, and counts from when they were.
pub struct Turns(UnboundedReceiver<Instant>);

impl Turns {
    /// The next instant, which is past; `None` after the last.
    pub async fn next(&mut self) -> Option<Instant> {
        self.0.recv().await
    }
}

/// `count` instants, so far apart, dealt out to `askers` in turn.
pub fn instants(
    askers: usize,
    begin: Instant,
    pause: Duration,
    count: usize,
) -> std::io::Result<Vec<Turns>> {
    let (tellers, turns): (Vec<_>, Vec<_>) = (0..askers.max(1))
        .map(|_| {
            let (teller, turns) = unbounded_channel();
            (teller, Turns(turns))
        })
        .unzip();
    thread::Builder::new()
        .name("instants".to_owned())
        .spawn(move || tell(&tellers, begin, pause, count))?;
    Ok(turns)
}

fn tell(tellers: &[UnboundedSender<Instant>], begin: Instant, pause: Duration, count: usize) {
    for (turn, teller) in (0..count).zip(tellers.iter().cycle()) {
        let due = begin + pause.mul_f64(turn as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // Whose asker has gone away is told no more; the others are.
        if teller.send(due).is_err() && tellers.iter().all(UnboundedSender::is_closed) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn instants_are_dealt_out_in_turn_and_none_is_told_before_it_has_come() {
        let (begin, pause) = (Instant::now(), Duration::from_millis(2));
        let mut turns = instants(2, begin, pause, 5).unwrap();
        let mut told = Vec::new();
        for turns in &mut turns {
            while let Some(due) = turns.next().await {
                assert!(Instant::now() >= due);
                told.push((due - begin).as_millis());
            }
        }
        assert_eq!(told, [0, 4, 8, 2, 6]);
    }

    #[tokio::test]
    async fn a_busy_asker_finds_what_it_has_missed_as_it_was_due() {
        let begin = Instant::now();
        let mut turns = instants(1, begin, Duration::from_millis(1), 3).unwrap();
        let asker = turns.first_mut().unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut found = Vec::new();
        while let Some(due) = asker.next().await {
            found.push((due - begin).as_millis());
        }
        assert_eq!(found, [0, 1, 2]);
    }
}
