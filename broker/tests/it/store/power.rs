//! A power cut: what the device had not received is gone, and nothing acknowledged was in it.
//!
//! The log lies on ext4 on a loop device. The writer is stopped at a random moment, and the image is
//! copied as it is then: exactly what the device had received. The copy is mounted and opened.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Dice;
use super::crash::{Acks, Worker, verify};

/// Whether this machine lets us mount; says so aloud when not, and fails when CI promised it would.
pub(crate) fn may_mount(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    let tools = ["mkfs.ext4", "mount", "umount"];
    let missing: Vec<&str> = tools
        .into_iter()
        .filter(|tool| {
            !Command::new("sh")
                .args(["-c", &format!("command -v {tool}")])
                .output()
                .unwrap()
                .status
                .success()
        })
        .collect();
    if root && missing.is_empty() && Path::new("/dev/loop-control").exists() {
        return true;
    }
    let reason = if root {
        format!("loop devices or {missing:?} are missing")
    } else {
        "it needs root".to_owned()
    };
    println!("NOT RUN: {what}: {reason}");
    eprintln!("NOT RUN: {what}: {reason}");
    assert!(
        std::env::var("CI").as_deref() != Ok("true") || !root,
        "in CI this must run: {reason}"
    );
    false
}

/// A mounted file system, unmounted at the end.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    pub(crate) fn new(arguments: &[&str], at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        run(Command::new("mount").args(arguments).arg(at));
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        // A process that was just killed may still be letting go of it.
        while !Command::new("umount")
            .arg(&self.0)
            .output()
            .is_ok_and(|output| output.status.success())
        {
            if Instant::now() > deadline {
                let _ = Command::new("umount").arg("-l").arg(&self.0).status();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn wait_until_stopped(pid: u32) {
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let stat = task.unwrap().path().join("stat");
        let stopped = || {
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            // State D is a write on its way to the device: it ends when the device has it.
            text.rsplit(')')
                .next()
                .is_none_or(|rest| rest.trim_start().starts_with('T') || rest.is_empty())
        };
        while !stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut_at_any_moment() {
    if !may_mount("the power-cut test") {
        return;
    }
    let cuts: u64 = std::env::var("LANYARD_POWER_CUTS").map_or(20, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let memory = Mount::new(
        &["-t", "tmpfs", "-o", "size=256m", "tmpfs"],
        &folder.path().join("memory"),
    );
    let (image, copy) = (memory.0.join("image"), memory.0.join("copy"));
    let mut dice = Dice::new(14);
    let mut total = 0;
    let mut disk: Option<Mount> = None;
    let mut acks = Acks::new();
    for cut in 0..cuts {
        if cut % 5 == 0 {
            drop(disk.take());
            acks.clear();
            std::fs::File::create(&image)
                .unwrap()
                .set_len(64 << 20)
                .unwrap();
            run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
            disk = Some(Mount::new(
                &["-o", "loop", image.to_str().unwrap()],
                &folder.path().join("disk"),
            ));
        }
        let data = disk.as_ref().unwrap().0.join("data");
        let mut worker = Worker::start(&data, cut);
        worker.let_work(&mut dice, 300);
        let pid = rustix::process::Pid::from_child(&worker.child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        wait_until_stopped(worker.child.id());
        std::fs::copy(&image, &copy).unwrap();
        let said = worker.kill();
        total += said.len();
        acks.extend(said);
        let after = Mount::new(
            &["-o", "loop", copy.to_str().unwrap()],
            &folder.path().join("after"),
        );
        verify(&after.0.join("data"), &acks);
        drop(after);
    }
    println!("{cuts} power cuts, {total} acknowledged, none lost");
    assert!(total as u64 > cuts);
}
