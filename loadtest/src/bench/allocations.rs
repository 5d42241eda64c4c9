//! Whether the path of a seen token allocates: counted by another program, whose allocator counts.

use std::error::Error;
use std::process::Stdio;

use lanyard_token::Algorithm;
use tokio::process::Command;

use super::Findings;
use super::absent::Absent;
use super::micro::COMMAND;
use super::seen::Subject;
use super::target::{Goal, Target};

const PROGRAM: &str = "lanyard-allocations";
const ID: &str = "P1-allocations";

/// One token that was seen before, for whoever counts what its path does.
pub struct SeenPath(Subject);

impl SeenPath {
    /// Ready to be taken.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self(Subject::new(Algorithm::Es256, 1)?))
    }

    /// A call, all checks and its settlement included.
    pub fn take(&self) -> Result<(), Box<dyn Error>> {
        self.0.call(0)
    }

    /// Looks at what was noted, so that there is room for more: at least every two thousand calls.
    pub fn look(&self) {
        self.0.look();
    }
}

/// Allocations of one call; nothing, and a word about it, when the program is not there.
pub(super) async fn measure(findings: &mut Findings) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?.with_file_name(PROGRAM);
    if !program.exists() {
        let why = format!("P1-allocations: build `{PROGRAM}` beside this program");
        findings.missing.push(Absent::of(why, &[ID]));
        return Ok(());
    }
    let ran = Command::new(program)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if !ran.status.success() {
        return Err(format!("{PROGRAM} failed: {}", String::from_utf8_lossy(&ran.stderr)).into());
    }
    let counts = String::from_utf8(ran.stdout)?;
    let counts: Vec<f64> = counts.lines().map(str::parse).collect::<Result<_, _>>()?;
    let goal = Goal::AtMost(0.0);
    findings.add(Target::of(ID, "", COMMAND, goal, counts));
    Ok(())
}
