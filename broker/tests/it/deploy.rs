//! Every file in `deploy/` is loaded by the program it is for, or by a parser of its format.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::missing;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("deploy")
        .join(file)
}

#[test]
fn systemd_accepts_the_unit_and_finds_little_exposed() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return missing("systemd-analyze", "the systemd unit was not verified");
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("lanyard.service");
    let text = fs::read_to_string(deploy("lanyard.service")).unwrap();
    assert!(text.contains("/usr/bin/lanyard serve"));
    fs::write(
        &unit,
        text.replace("/usr/bin/lanyard", env!("CARGO_BIN_EXE_lanyard")),
    )
    .unwrap();

    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    assert!(verify.status.success() && said.trim().is_empty(), "{said}");

    let broken = folder.path().join("broken.service");
    fs::write(&broken, "[Service]\nExecStart=/does/not/exist\n").unwrap();
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&broken)
        .output()
        .unwrap();
    assert!(
        !verify.stderr.is_empty(),
        "systemd-analyze says nothing even about a broken unit"
    );

    // The threshold is in tenths: 2.0 of 10, where an unconfined service has 9.6.
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
fn the_unit_sets_only_variables_the_broker_reads() {
    let text = fs::read_to_string(deploy("lanyard.service")).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="))
        .map(|setting| setting.split('=').next().unwrap().to_owned());
    assert_known_variables(names);
}

#[test]
fn the_dockerfile_parses_and_copies_only_what_is_there() {
    let dockerfile =
        dockerfile_parser::Dockerfile::parse(&fs::read_to_string(deploy("Dockerfile")).unwrap())
            .unwrap();
    let mut stages = BTreeSet::new();
    let mut variables = Vec::new();
    let mut runs_as_root = true;
    for instruction in &dockerfile.instructions {
        use dockerfile_parser::Instruction;
        match instruction {
            Instruction::From(from) => {
                runs_as_root = true;
                stages.extend(from.alias.as_ref().map(|alias| alias.content.clone()));
            }
            Instruction::Copy(copy) => {
                let from = copy.flags.iter().find(|flag| flag.name.content == "from");
                if let Some(stage) = from {
                    assert!(
                        stages.contains(&stage.value.content),
                        "no stage `{}`",
                        stage.value.content
                    );
                    for source in &copy.sources {
                        assert_eq!(source.content, "/build/target/release/lanyard");
                    }
                }
            }
            Instruction::Env(env) => {
                variables.extend(env.vars.iter().map(|var| var.key.content.clone()))
            }
            Instruction::Misc(misc) if misc.instruction.content == "USER" => {
                runs_as_root = misc.arguments.to_string().contains("root")
                    && !misc.arguments.to_string().contains("nonroot");
            }
            _ => {}
        }
    }
    assert!(!runs_as_root, "the image runs as root");
    assert_known_variables(variables.into_iter());
}

/// Every `LANYARD_…` variable a deployment sets is a setting's, or names the configuration file.
fn assert_known_variables(names: impl Iterator<Item = String>) {
    let known: BTreeSet<_> = lanyard::config::table::ALL
        .iter()
        .map(lanyard::config::table::Setting::variable)
        .chain(["LANYARD_CONFIG".to_owned()])
        .collect();
    let mut seen = 0;
    for name in names.filter(|name| name.starts_with("LANYARD_")) {
        assert!(
            known.contains(&name),
            "`{name}` is no setting of `lanyard serve`"
        );
        seen += 1;
    }
    assert!(seen > 0, "no variable was checked");
}

#[test]
fn the_collector_listens_where_the_broker_sends() {
    let text = fs::read_to_string(deploy("otel-collector.yaml")).unwrap();
    let config: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    assert_eq!(
        config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"],
        "127.0.0.1:4317"
    );
    let pipelines = config["service"]["pipelines"].as_mapping().unwrap();
    let names: BTreeSet<_> = pipelines.keys().filter_map(|name| name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["logs", "metrics", "traces"]));
    for pipeline in pipelines.values() {
        for part in ["receivers", "processors", "exporters"] {
            for name in pipeline[part].as_sequence().unwrap() {
                let name = name.as_str().unwrap();
                assert!(config[part].get(name).is_some(), "{part} has no `{name}`");
            }
        }
    }
}
