//! kill -9 at any moment of mixed load loses nothing that was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lanyard::store::{Event, Projection, Store};

use super::{Dice, Ledger, all_records, config, created, open, open_with, revoked};

const FOLDER_VARIABLE: &str = "LANYARD_STORE_CHILD";
const RUN_VARIABLE: &str = "LANYARD_STORE_RUN";
const CALLERS: usize = 8;

/// Not a test by itself: the process that is killed. It appends until then, and says what was answered.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER_VARIABLE) else {
        return;
    };
    let run = std::env::var(RUN_VARIABLE).unwrap();
    let mut config = config(Path::new(&folder));
    config.segment_bytes = 64 << 10;
    config.prepare_from = 8 << 10;
    config.checkpoint_records = 40;
    let opened = open_with(config).unwrap();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (log, run) = (&opened.log, &run);
            scope.spawn(move || {
                for n in 0_u64.. {
                    let name = format!("{run}/{caller}/{n}");
                    let mut events = vec![created(&name)];
                    events.extend((0..n % 3).map(|_| revoked(n)));
                    let rev = log.append(events).wait().unwrap();
                    println!("ack {name} {}", rev.as_u64());
                }
            });
        }
    });
}

/// A child at work, and what it said so far.
pub(crate) struct Worker {
    pub(crate) child: Child,
    acks: Arc<Mutex<Acks>>,
    listener: JoinHandle<()>,
}

/// What was acknowledged: name and the place of its record.
pub(crate) type Acks = BTreeMap<String, u64>;

impl Worker {
    pub(crate) fn start(folder: &Path, run: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::crash::child_that_appends_until_it_is_killed",
                "--nocapture",
            ])
            .env(FOLDER_VARIABLE, folder)
            .env(RUN_VARIABLE, run.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let acks = Arc::new(Mutex::new(Acks::new()));
        let heard = acks.clone();
        let listener = std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                // The last line may be cut off: then it was not said.
                if let Some(ack) = line
                    .strip_suffix('\n')
                    .and_then(|line| line.split_once("ack "))
                {
                    let (name, rev) = ack.1.split_once(' ').unwrap();
                    heard
                        .lock()
                        .unwrap()
                        .insert(name.to_owned(), rev.parse().unwrap());
                }
                line.clear();
            }
        });
        Self {
            child,
            acks,
            listener,
        }
    }

    /// Waits until something was acknowledged, then a random while.
    pub(crate) fn let_work(&mut self, dice: &mut Dice, longest_ms: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.acks.lock().unwrap().is_empty() {
            if self.child.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let mut words = String::new();
                let _ = self.child.kill();
                self.child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut words)
                    .unwrap();
                panic!("the child does not work: {words}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_micros(dice.below(longest_ms * 1_000)));
    }

    /// SIGKILL; returns everything that was acknowledged.
    pub(crate) fn kill(mut self) -> Acks {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listener.join().unwrap();
        std::mem::take(&mut *self.acks.lock().unwrap())
    }
}

/// Every acknowledged append is there, whole, at the place that was said; each caller's in order; and
/// the state is that of a full replay.
pub(crate) fn verify(folder: &Path, acks: &Acks) {
    let opened =
        open(folder).unwrap_or_else(|error| panic!("refused after {} acks: {error}", acks.len()));
    let records = all_records(&opened.log).unwrap();
    let (mut places, replayed) = (BTreeMap::new(), Ledger::default());
    for record in &records {
        replayed.apply(record);
        for (position, event) in record.events.iter().enumerate() {
            if let Event::OwnerCreated { name, .. } = event {
                let n: u64 = name.rsplit('/').next().unwrap().parse().unwrap();
                let rest = &record.events[position + 1..];
                assert!(
                    rest.len() as u64 >= n % 3
                        && rest.iter().take((n % 3) as usize).all(|e| *e == revoked(n)),
                    "{name}"
                );
                assert_eq!(
                    places.insert(name.clone(), record.rev.as_u64()),
                    None,
                    "{name} is there twice"
                );
            }
        }
    }
    for (name, rev) in acks {
        assert_eq!(
            places.get(name),
            Some(rev),
            "{name} was acknowledged at {rev}"
        );
    }
    for name in places.keys() {
        let (caller, n) = name.rsplit_once('/').unwrap();
        let n: u64 = n.parse().unwrap();
        if n > 0 {
            let before = places.get(&format!("{caller}/{}", n - 1));
            assert!(
                before.is_some_and(|before| before < &places[name]),
                "{name} came before its predecessor"
            );
        }
    }
    assert_eq!(opened.ledger.rows(), replayed.rows());
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_moment() {
    let kills: u64 = std::env::var("LANYARD_KILLS").map_or(50, |text| text.parse().unwrap());
    let mut dice = Dice::new(13);
    let (mut folder, mut acks, mut total) = (tempfile::tempdir().unwrap(), Acks::new(), 0);
    for run in 0..kills {
        if run % 5 == 0 {
            (folder, acks) = (tempfile::tempdir().unwrap(), Acks::new());
        }
        let mut worker = Worker::start(folder.path(), run);
        worker.let_work(&mut dice, 120);
        let said = worker.kill();
        total += said.len();
        acks.extend(said);
        verify(folder.path(), &acks);
    }
    println!("{kills} kills, {total} acknowledged, none lost");
    assert!(total as u64 > kills);
}
