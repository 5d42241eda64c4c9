//! The program: what it inherits, which signals reach it, and how it ended.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal as Sent, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is said of this command's own credentials and of administrators': nothing of it is the program's business.
const OURS: [&str; 4] = [
    "LANYARD_CLIENT_ID",
    "LANYARD_CLIENT_SECRET_FILE",
    "LANYARD_ADMIN_TOKEN",
    "LANYARD_ADMIN_TOKEN_FILE",
];
/// What shells add to the number of the signal that ended a program.
const ENDED_BY_SIGNAL: i32 = 128;

/// A program that is not started yet.
pub(super) struct Program {
    command: Command,
    name: String,
}

/// Why it does not start.
pub(super) struct Unstartable {
    pub(super) words: String,
    /// There is no such program.
    pub(super) is_missing: bool,
}

/// A program that runs.
pub(super) struct Started(Child);

impl Program {
    /// `None` where there is not even a name.
    pub(super) fn new(command: &[OsString]) -> Option<Self> {
        let (name, arguments) = command.split_first()?;
        let mut command = Command::new(name);
        command.args(arguments);
        for ours in OURS {
            command.env_remove(ours);
        }
        Some(Self {
            command,
            name: name.display().to_string(),
        })
    }

    /// Leaves out the variables whose values are secret, and names them.
    pub(super) fn forget_secrets(&mut self, is_secret: impl Fn(&[u8]) -> bool) -> Vec<String> {
        let mut forgotten = Vec::new();
        for (name, value) in std::env::vars_os() {
            if is_secret(value.as_encoded_bytes()) {
                forgotten.push(name.display().to_string());
                self.command.env_remove(name);
            }
        }
        forgotten
    }

    pub(super) fn set(&mut self, name: &str, value: &OsStr) {
        self.command.env(name, value);
    }

    /// Starts it, with this command's own input and outputs.
    pub(super) fn start(mut self) -> Result<Started, Unstartable> {
        self.command
            .spawn()
            .map(Started)
            .map_err(|error| Unstartable {
                words: format!("cannot start `{}`: {error}", self.name),
                is_missing: error.kind() == io::ErrorKind::NotFound,
            })
    }
}

impl Started {
    /// Waits for its end, and says its exit code as a shell would.
    pub(super) async fn wait_for_end(mut self, mut signals: Signals) -> io::Result<u8> {
        // `None` once it was waited for: never a stranger who got its number since.
        while let Some(id) = self.0.id() {
            tokio::select! {
                ended = self.0.wait() => return ended.map(code),
                heard = signals.next() => {
                    let child = i32::try_from(id).ok().and_then(Pid::from_raw);
                    if let (Some(sent), Some(child)) = (heard, child) {
                        // Fails when it ended this moment, which is seen next.
                        let _ = kill_process(child, sent);
                    }
                }
            }
        }
        self.0.wait().await.map(code)
    }
}

fn code(ended: ExitStatus) -> u8 {
    let code = ended
        .code()
        .or_else(|| ended.signal().map(|signal| ENDED_BY_SIGNAL + signal))
        .unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// Signals that are meant for the program.
pub(super) struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
    quit: Signal,
    first: Signal,
    second: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            first: signal(SignalKind::user_defined1())?,
            second: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one to pass on, or `None` where the program has it already.
    async fn next(&mut self) -> Option<Sent> {
        tokio::select! {
            _ = self.terminate.recv() => Some(Sent::TERM),
            _ = self.hang_up.recv() => Some(Sent::HUP),
            _ = self.first.recv() => Some(Sent::USR1),
            _ = self.second.recv() => Some(Sent::USR2),
            _ = self.interrupt.recv() => (!from_terminal()).then_some(Sent::INT),
            _ = self.quit.recv() => (!from_terminal()).then_some(Sent::QUIT),
        }
    }
}

/// Keys pressed at a terminal reach all that runs in front there, the program as well: passed on, they would reach it
/// twice, and many programs take the second as "at once".
fn from_terminal() -> bool {
    // Not standard input, which may be a file also where somebody sits at the keys.
    std::fs::File::open("/dev/tty")
        .is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|front| front == getpgrp()))
}
