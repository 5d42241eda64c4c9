//! For tests of everything that sends telemetry: rotel, an OTLP receiver that we did not write, and what it prints of
//! what it got.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up fails loudly; nothing here runs outside tests"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};

/// One receiver for each signal, so that what they print is not mixed. It listens; what came is read of [`Received`].
pub struct Receiver {
    signals: Vec<Signal>,
}

struct Signal {
    name: &'static str,
    port: u16,
    file: PathBuf,
    child: Child,
}

/// All that a receiver got until it was ended.
pub struct Received {
    printed: BTreeMap<&'static str, String>,
}

impl Receiver {
    /// Starts it; says aloud when there is none.
    pub fn start(folder: &Path) -> Option<Self> {
        let program = std::env::var("LANYARD_ROTEL").unwrap_or_else(|_| {
            let home = std::env::var("HOME").unwrap_or_default();
            format!("{home}/.cache/lanyard/rotel/bin/rotel-agent")
        });
        if !Path::new(&program).exists() {
            // In CI that is a failure: a check that never runs is no check.
            let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            let what = "rotel is missing: telemetry is not tried against a real receiver (`.ci/run` installs one)";
            assert!(!is_ci, "{what}");
            // Not what a test prints, which is shown of those alone that fail.
            let _ = writeln!(std::io::stderr(), "\n*** {what} ***\n");
            return None;
        }
        let signals =
            ["traces", "metrics", "logs"].map(|name| Signal::start(&program, name, folder));
        Some(Self {
            signals: signals.into(),
        })
    }

    /// The variables that send everything here.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variable = |signal: &Signal| {
            (
                format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.name.to_uppercase()),
                format!("http://127.0.0.1:{}", signal.port),
            )
        };
        self.signals.iter().map(variable).collect()
    }

    /// Ends it and reads what it got. It acknowledges before it prints: only once it has ended has it printed all.
    pub fn end(self) -> Received {
        let printed = self.signals.into_iter().map(Signal::end).collect();
        Received { printed }
    }
}

impl Received {
    /// All it printed of `traces`, `metrics` or `logs`.
    pub fn printed(&self, name: &str) -> &str {
        self.printed.get(name).unwrap()
    }

    /// The spans, metrics or records it got, each as it was printed.
    pub fn got(&self, name: &str) -> Vec<Got> {
        let begins = match name {
            "traces" => "Span #",
            "metrics" => "Metric #",
            _ => "LogRecord #",
        };
        let mut all: Vec<Got> = Vec::new();
        let mut inside = false;
        for line in self.printed(name).lines() {
            if line.starts_with(begins) {
                all.push(Got(String::new()));
                inside = true;
            } else if line.starts_with("Scope") || line.starts_with("Resource") {
                inside = false;
            }
            if let (true, Some(got)) = (inside, all.last_mut()) {
                got.0.push_str(line.trim());
                got.0.push('\n');
            }
        }
        all
    }

    /// The log records with this event name.
    pub fn events(&self, name: &str) -> Vec<Got> {
        let line = format!("EventName: {name}");
        let mut all = self.got("logs");
        all.retain(|got| got.0.lines().any(|found| found == line));
        all
    }

    /// The last export of this metric.
    pub fn metric(&self, name: &str) -> Got {
        let all = self.got("metrics");
        let found = all.into_iter().rev().find(|got| got.has("Name", name));
        found.unwrap_or_else(|| panic!("no metric {name} in {}", self.printed("metrics")))
    }
}

impl Signal {
    fn start(program: &str, name: &'static str, folder: &Path) -> Self {
        // Tests that run at the same time ask for free ports too: a port may be somebody else's a moment later.
        let mut tries = (0..5).filter_map(|_| Self::try_start(program, name, folder));
        let signal = tries.next();
        signal.unwrap_or_else(|| panic!("rotel found no free port five times"))
    }

    fn try_start(program: &str, name: &'static str, folder: &Path) -> Option<Self> {
        let (port, unused) = (free_port(), free_port());
        let file = folder.join(format!("{name}.txt"));
        let output = File::create(&file).unwrap();
        let child = Command::new(program)
            .args(["start", "--exporter", "blackhole"])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{port}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{unused}")])
            .args(["--debug-log", name, "--debug-log-verbosity", "detailed"])
            .arg("--pid-file")
            .arg(folder.join(format!("{name}.pid")))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut signal = Self {
            name,
            port,
            file,
            child,
        };
        let began = Instant::now();
        // Whoever has the port answers; that it is rotel, its first line says, which it prints once it is bound.
        while !signal.says("Starting Rotel") || TcpStream::connect(("127.0.0.1", port)).is_err() {
            if signal.child.try_wait().unwrap().is_some() {
                let said = std::fs::read_to_string(&signal.file).unwrap();
                assert!(said.contains("Address already in use"), "rotel: {said}");
                return None;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "rotel does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(signal)
    }

    fn says(&self, words: &str) -> bool {
        std::fs::read_to_string(&self.file).is_ok_and(|said| said.contains(words))
    }

    fn end(mut self) -> (&'static str, String) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.unwrap(), rustix::process::Signal::TERM).unwrap();
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "rotel does not end"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        (self.name, std::fs::read_to_string(&self.file).unwrap())
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A span, a metric or a log record.
#[derive(Debug)]
pub struct Got(String);

impl Got {
    /// Whether an attribute or field has this value, of whatever type.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.value(name).is_some_and(|found| found == value)
    }

    /// The value of an attribute or field, without its type.
    pub fn value(&self, name: &str) -> Option<&str> {
        let value = self.0.lines().find_map(|line| {
            let (key, value) = line.trim_start_matches("-> ").split_once(':')?;
            (key.trim() == name).then_some(value.trim())
        })?;
        let inner = value.split_once('(').and_then(|(kind, rest)| {
            let typed = matches!(kind, "Str" | "Int" | "Bool" | "Double");
            rest.strip_suffix(')').filter(|_| typed)
        });
        Some(inner.unwrap_or(value))
    }

    /// The numbers of a metric's points, by the value of one label.
    pub fn points(&self, label: &str) -> Vec<(String, u64)> {
        let mut points = Vec::new();
        for point in self.0.split("DataPoints #").skip(1) {
            let point = Got(point.to_owned());
            let count = point.value("Value").or_else(|| point.value("Count"));
            if let (Some(word), Some(count)) = (point.value(label), count) {
                points.push((word.to_owned(), count.parse().unwrap()));
            }
        }
        points
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
