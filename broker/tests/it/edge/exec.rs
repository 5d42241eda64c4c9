//! Programs that know nothing of Lanyard: `lanyard exec` and `lanyard token file` with a real broker.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use super::harness::{Dev, Running, client, json, refused, run, words};

/// A token of this identity lives this many seconds: renewed after about two.
const SHORT_LIFE: &str = "4";

/// A broker, and an identity with its key in a file.
struct Place {
    dev: Dev,
    folder: tempfile::TempDir,
    id: String,
    key: PathBuf,
}

impl Place {
    fn new(lifetime: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(&folder.path().join("data"));
        let data = folder.path().join("data");
        let key = folder.path().join("tool.key");
        let at = ["--json", "--data-dir", data.to_str().unwrap()];
        let add = [
            "identity",
            "add",
            "tool",
            "--owner",
            "dev",
            "--audience",
            "https://orders.example",
            "--audience",
            "https://egress.example",
            "--scope",
            "orders:read",
            "--scope",
            "stripe:use",
            "--scope",
            "mail:use",
            "--max-lifetime",
            lifetime,
        ];
        let identity = json(&[&add[..], &at].concat());
        let out = ["key", "add", "tool", "--out", key.to_str().unwrap()];
        json(&[&out[..], &at].concat());
        Self {
            dev,
            id: identity["id"].as_str().unwrap().to_owned(),
            folder,
            key,
        }
    }

    fn secret(&self) -> String {
        std::fs::read_to_string(&self.key)
            .unwrap()
            .trim()
            .to_owned()
    }

    /// `lanyard …` as this identity.
    fn line<'l>(&'l self, first: &[&'l str], more: &[&'l str]) -> Vec<&'l str> {
        let who = [
            "--issuer",
            self.dev.text("issuer"),
            "--client-id",
            &self.id,
            "--key-file",
            self.key.to_str().unwrap(),
        ];
        [first, &who, more].concat()
    }

    fn exec(&self, more: &[&str]) -> Output {
        run(&self.line(&["exec"], more))
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_program_gets_a_token_in_a_file_and_in_its_variables_and_its_exit_code_is_passed_on() {
    let place = Place::new("600");
    let script = r#"
        printf '%s\n' "$LANYARD_TOKEN_FILE" "$(stat -c %a "$LANYARD_TOKEN_FILE")" "$(cat "$LANYARD_TOKEN_FILE")" \
            "$API_KEY" "$API_BASE" "$LANYARD_EGRESS_URL"
        exit 7
    "#;
    let output = place.exec(&[
        "--integration",
        "stripe",
        "--egress-url",
        "https://egress.example/",
        "--env",
        "API_KEY=sk {token}",
        "--env",
        "API_BASE={url}/v1",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(output.status.code(), Some(7), "{}", words(&output.stderr));
    let printed = words(&output.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    let [file, mode, token, key, base, egress] = lines[..] else {
        panic!("{printed}")
    };
    assert_eq!(mode, "600");
    assert_eq!(key, format!("sk {token}"));
    assert_eq!(base, "https://egress.example/stripe/v1");
    assert_eq!(egress, "https://egress.example");
    assert!(!Path::new(file).exists() && !Path::new(file).parent().unwrap().exists());

    let http = client(None);
    let asked = http
        .post(format!("{}/oauth/introspect", place.dev.text("issuer")))
        .basic_auth(&place.id, Some(place.secret()))
        .form(&[("token", token)]);
    let (status, told) = super::harness::answer(asked).await;
    assert_eq!(status, 200);
    assert_eq!(told["active"], true, "{told}");
    assert_eq!(told["scope"], "stripe:use");
    assert_eq!(told["aud"], "https://egress.example");
}

#[test]
fn a_key_that_others_can_read_is_used_and_told_of() {
    let place = Place::new("600");
    let more = ["--audience", "https://orders.example", "--", "true"];
    let key = place.key.to_str().unwrap();
    for (mode, is_told) in [(0o600, false), (0o400, false), (0o640, true), (0o644, true)] {
        std::fs::set_permissions(&place.key, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = place.exec(&more);
        let said = words(&output.stderr);
        assert!(output.status.success(), "{mode:o}: {said}");
        let told = said.contains(&format!("can be read by others: run `chmod 600 {key}`"));
        assert_eq!(told, is_told, "{mode:o}: {said}");
    }
}

#[test]
fn the_key_is_neither_in_the_programs_variables_nor_in_any_argument() {
    let place = Place::new("600");
    let secret = place.secret();
    let script = "cat /proc/$$/environ /proc/$$/cmdline /proc/$PPID/cmdline; cat /proc/$PPID/environ && echo 'R'EAD";
    let line = place.line(
        &["exec"],
        &[
            "--audience",
            "https://orders.example",
            "--",
            "sh",
            "-c",
            script,
        ],
    );
    let output = super::harness::lanyard(&line)
        .env("OLD_HABIT", format!("key={secret}"))
        .env("LANYARD_CLIENT_SECRET_FILE", &place.key)
        .env("LANYARD_ADMIN_TOKEN", "an-administrators-token")
        .env("UNTOUCHED", "still-here")
        .output()
        .unwrap();
    let seen = words(&output.stdout);
    assert!(
        seen.contains("LANYARD_TOKEN_FILE=") && seen.contains("still-here"),
        "{seen}"
    );
    assert!(
        seen.contains("--key-file"),
        "its own arguments are seen: {seen}"
    );
    // Root looks into every process.
    if !seen.contains("READ") {
        assert!(!seen.contains(&secret), "{seen}");
        assert!(!seen.contains("an-administrators-token"), "{seen}");
    }
    let own = seen.split("--key-file").next().unwrap();
    assert!(
        !own.contains(&secret) && !own.contains("an-administrators-token"),
        "{own}"
    );
    assert!(!own.contains("LANYARD_CLIENT_SECRET_FILE"), "{own}");
    let said = words(&output.stderr);
    assert!(
        said.contains("the variable OLD_HABIT holds the key"),
        "{said}"
    );

    let given = format!("A={secret}");
    for more in [
        [
            "--audience",
            "https://orders.example",
            "--",
            "curl",
            &secret,
        ],
        [
            "--audience=https://orders.example",
            "--env",
            &given,
            "--",
            "true",
        ],
    ] {
        let said = refused(&place.line(&["exec"], &more), 2);
        assert!(
            said.contains("key revoke") && !said.contains(&secret),
            "{said}"
        );
    }
}

#[test]
fn the_file_has_the_next_token_before_the_last_one_ends() {
    let place = Place::new(SHORT_LIFE);
    let script = r#"
        first=$(cat "$LANYARD_TOKEN_FILE")
        for n in $(seq 100); do
            now=$(cat "$LANYARD_TOKEN_FILE")
            [ "$now" != "$first" ] && [ -n "$now" ] && exit 0
            sleep 0.1
        done
        exit 3
    "#;
    let output = place.exec(&[
        "--audience",
        "https://orders.example",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output.stderr));
}

#[test]
fn signals_reach_the_program_and_its_end_by_one_is_told_as_shells_do() {
    let place = Place::new("600");
    let script = r#"
        trap 'kill $!; exit 9' TERM
        trap 'echo again' USR1
        echo "$LANYARD_TOKEN_FILE"
        sleep 60 & wait; wait; kill $!
    "#;
    let line = place.line(
        &["exec"],
        &[
            "--audience",
            "https://orders.example",
            "--",
            "sh",
            "-c",
            script,
        ],
    );
    let mut running = Running::start(&line);
    let file = running.line();
    assert!(Path::new(file.trim()).exists());
    running.signal("USR1");
    assert_eq!(running.line().trim(), "again");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(9));
    assert!(!Path::new(file.trim()).exists());

    let killed = place.exec(&[
        "--audience",
        "https://orders.example",
        "--",
        "sh",
        "-c",
        "kill -KILL $$",
    ]);
    assert_eq!(killed.status.code(), Some(128 + 9));
}

#[test]
fn nothing_is_started_without_a_token_and_what_was_asked_wrongly_is_said() {
    let place = Place::new("600");
    let mark = place.folder.path().join("started");
    let touch = ["--", "touch", mark.to_str().unwrap()];
    let egress = ["--egress-url", "https://egress.example"];
    let two = ["--integration", "stripe", "--integration", "mail"];
    for (more, code, why) in [
        (
            vec!["--audience", "https://elsewhere.example"],
            1,
            "invalid_target",
        ),
        (vec![], 2, "--audience"),
        (vec!["--integration", "stripe"], 2, "--egress-url"),
        (vec!["--integration", "Stripe!"], 2, "integration"),
        (
            vec![
                "--integration",
                "stripe",
                "--egress-url",
                "http://egress.example",
            ],
            2,
            "https",
        ),
        (
            [&two[..], &egress, &["--env", "A={url}"]].concat(),
            2,
            "{url:NAME}",
        ),
        (
            [&two[..], &egress, &["--env", "A={nothing}"]].concat(),
            2,
            "{nothing}",
        ),
        (
            vec!["--audience", "https://orders.example", "--env", "A={url}"],
            2,
            "--egress-url",
        ),
    ] {
        let said = refused(&place.line(&["exec"], &[&more[..], &touch].concat()), code);
        assert!(said.contains(why), "{more:?}: {said}");
    }
    assert!(!mark.exists());

    let audience = ["--audience", "https://orders.example", "--"];
    for (program, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let said = refused(
            &place.line(&["exec"], &[&audience[..], &[program]].concat()),
            code,
        );
        assert!(
            said.contains(&format!("cannot start `{program}`")),
            "{said}"
        );
    }
}

#[test]
fn a_token_file_is_kept_renewed_on_demand_and_removed_at_the_end() {
    let place = Place::new("600");
    let out = place.folder.path().join("orders.token");
    let more = [
        "--audience",
        "https://orders.example",
        "--scope",
        "orders:read",
        "--out",
        out.to_str().unwrap(),
    ];
    let line = place.line(&["token", "file"], &more);
    let read = || std::fs::read_to_string(&out).unwrap_or_default();
    for end in ["TERM", "INT"] {
        let mut running = Running::start(&line);
        assert!(running.line().contains("kept in"));
        let first = read();
        assert_eq!(first.split('.').count(), 3);
        let mode = std::fs::metadata(&out).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        running.signal("HUP");
        until("another token", || read() != first && !read().is_empty());
        running.signal(end);
        assert_eq!(running.wait(), Some(0));
        assert!(!out.exists());
    }

    std::fs::write(&out, "somebody's notes").unwrap();
    let said = refused(&line, 2);
    assert!(said.contains("holds no token"), "{said}");
    assert_eq!(read(), "somebody's notes");
}

#[test]
fn a_broker_that_goes_away_is_told_of_once_and_the_program_goes_on() {
    let place = Place::new(SHORT_LIFE);
    let script = r#"echo ready; read -r _ < "$GATE"; exit 5"#;
    let gate = place.folder.path().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made.unwrap().success());
    let variable = format!("GATE={}", gate.display());
    let line = place.line(
        &["exec"],
        &[
            "--audience",
            "https://orders.example",
            "--env",
            &variable,
            "--",
            "sh",
            "-c",
            script,
        ],
    );
    let mut running = Running::start(&line);
    assert_eq!(running.line().trim(), "ready");
    place.dev.running.signal("KILL");
    until("it is said", || running.said().contains("no fresh token"));
    std::fs::write(&gate, "go\n").unwrap();
    let said = running.said();
    assert_eq!(said.matches("no fresh token").count(), 1, "{said}");
    assert_eq!(running.wait(), Some(5));
}
