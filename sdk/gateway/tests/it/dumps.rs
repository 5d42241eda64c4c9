//! Nobody gets a picture of the program's memory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Somebody who is not root: what root looks into says nothing.
const NOBODY: u32 = 65_534;
/// How long the program may take to come as far as to its enrolment.
const LONGEST: Duration = Duration::from_secs(60);

/// Ends with the test, however it ends.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn egress_leaves_no_picture_of_its_memory_and_lets_nobody_look_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    open_to_all(folder.path(), 0o755);
    let enrolment = at("enrolment");
    let made = Command::new("mkfifo").arg(&enrolment).status().unwrap();
    assert!(made.success());
    open_to_all(&enrolment, 0o666);
    let settings = format!(
        "enrolment = \"{}\"\nstate = \"/none\"\nlisten = \"127.0.0.1:0\"\n",
        enrolment.display()
    );
    fs::write(at("egress.toml"), settings).unwrap();
    open_to_all(&at("egress.toml"), 0o644);
    // Where it was built nobody else may come.
    let program = at("lanyard-gateway");
    fs::copy(env!("CARGO_BIN_EXE_lanyard-gateway"), &program).unwrap();
    open_to_all(&program, 0o755);

    let mut command = Command::new(&program);
    command
        .args(["egress", "--config"])
        .arg(at("egress.toml"))
        .current_dir("/")
        .stderr(Stdio::null());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut running = Ends(command.spawn().unwrap());
    // It is waited for by whoever reads it: the program, before it has any secret.
    let began = Instant::now();
    let _held = loop {
        let opened = rustix::fs::open(
            &enrolment,
            rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK,
            rustix::fs::Mode::empty(),
        );
        match opened {
            Ok(opened) => break File::from(opened),
            Err(_) => assert!(
                began.elapsed() < LONGEST && running.0.try_wait().unwrap().is_none(),
                "it never reads its enrolment"
            ),
        }
        std::thread::sleep(Duration::from_millis(20));
    };

    let its = Path::new("/proc").join(running.0.id().to_string());
    let limits = fs::read_to_string(its.join("limits")).unwrap();
    let mut limits = limits.lines();
    let core = limits.find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"]);
    // What belongs to a process that cannot be dumped belongs to root.
    let status = fs::read_to_string(its.join("status")).unwrap();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let user = user.unwrap().split_whitespace().next().unwrap();
    assert_ne!(user, "0", "root's would say nothing");
    assert_eq!(fs::metadata(its.join("mem")).unwrap().uid(), 0);

    let aborted = Command::new("kill")
        .args(["-ABRT", &running.0.id().to_string()])
        .status();
    assert!(aborted.unwrap().success());
    let ended = running.0.wait().unwrap();
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped());
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
