//! What is in `deploy/` for egress is loaded by the program it is for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lanyard_gateway::egress::Config;

fn deploy(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.unwrap().join("deploy").join(file)
}

#[test]
fn the_example_is_a_configuration_and_the_one_of_the_guide_too() {
    let config = Config::read(deploy("egress.toml")).unwrap();
    assert!(config.tls.is_some() && config.admin.unwrap().ip().is_loopback());
    let guide = deploy("../docs/egress.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("egress.toml");
    fs::write(&file, text).unwrap();
    Config::read(file).unwrap();
}

#[test]
fn the_unit_starts_this_program_and_systemd_finds_little_exposed() {
    let text = fs::read_to_string(deploy("lanyard-egress.service")).unwrap();
    assert!(text.contains("/usr/bin/lanyard-gateway egress --config /etc/lanyard/egress.toml"));
    let known = Command::new("systemd-analyze").arg("--version").output();
    if known.is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "systemd-analyze is missing"
        );
        println!("systemd-analyze is missing: the unit was not verified");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("lanyard-egress.service");
    let program = env!("CARGO_BIN_EXE_lanyard-gateway");
    fs::write(&unit, text.replace("/usr/bin/lanyard-gateway", program)).unwrap();
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    assert!(verify.status.success() && said.trim().is_empty(), "{said}");
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(&unit)
        .output()
        .unwrap();
    assert!(
        security.status.success(),
        "{}",
        String::from_utf8_lossy(&security.stdout)
    );
}

#[test]
fn a_start_that_cannot_be_says_what_to_correct() {
    let folder = tempfile::tempdir().unwrap();
    let start = |text: &str| {
        let file = folder.path().join("egress.toml");
        fs::write(&file, text).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_lanyard-gateway"))
            .args(["egress", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(program.status.code(), Some(2));
        String::from_utf8(program.stderr).unwrap()
    };
    let text = "enrolment = \"/none/e.json\"\nstate = \"/none\"\nlisten = \"127.0.0.1:0\"\n";
    assert!(
        start(text).contains("lanyard gateway add"),
        "{}",
        start(text)
    );
    assert!(start(&text.replace("127.0.0.1", "0.0.0.0")).contains("[tls]"));
    assert!(start("listen = 1").contains("egress.toml"));

    // An enrolment holds a key: others that can read it are told of, whatever else is wrong.
    let enrolment = folder.path().join("e.json");
    fs::write(&enrolment, "{}").unwrap();
    let enrolment = enrolment.to_str().unwrap();
    let text = text.replace("/none/e.json", enrolment);
    for (mode, is_told) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(enrolment, fs::Permissions::from_mode(mode)).unwrap();
        let said = start(&text);
        let told = said.contains(&format!(
            "can be read by others: run `chmod 600 {enrolment}`"
        ));
        assert_eq!(told, is_told, "{mode:o}: {said}");
    }
}
