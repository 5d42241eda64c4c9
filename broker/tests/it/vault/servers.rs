//! The third parties that rotations are tried against: real ones, on loopback, ended by their own process ids.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lanyard::outbound::{Caller, Reach};
use lanyard::vault::SecretValue;

/// A value as the vault keeps it.
pub(super) fn secret(text: String) -> SecretValue {
    SecretValue::parse(text.into()).unwrap()
}

/// How long the drivers wait in tests that nobody holds up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The open internet and this machine, which a plan has to name.
pub(super) fn this_machine() -> Reach {
    Reach::public().with(&["127.0.0.0/8".parse().unwrap()])
}

/// Calls to this machine.
pub(super) fn to_this_machine() -> Caller {
    Caller::new(this_machine()).unwrap()
}

/// A PostgreSQL of this machine, in a folder of its own.
pub(super) struct PostgresServer {
    child: Child,
    pub(super) port: u16,
    _folder: tempfile::TempDir,
}

/// Who may do everything there.
pub(super) const SUPERUSER: &str = "postgres";
/// Its password.
pub(super) const SUPERUSER_PASSWORD: &str = "of-this-test-alone";

impl PostgresServer {
    /// Starts one that wants a password from everybody.
    pub(super) fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one that has TLS too: a certificate and its key.
    pub(super) fn start_with_tls(certificate: &str, key: &str) -> Self {
        Self::start_with(Some((certificate, key)))
    }

    fn start_with(tls: Option<(&str, &str)>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("lanyard-postgres-")
            .tempdir()
            .unwrap();
        let path = folder.path();
        let password = path.join("password");
        std::fs::write(&password, SUPERUSER_PASSWORD).unwrap();
        let data = path.join("data");
        std::fs::create_dir(&data).unwrap();
        let mut with_tls = Vec::new();
        if let Some((certificate, key)) = tls {
            for (setting, text) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
                let file = path.join(setting);
                std::fs::write(&file, text).unwrap();
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
                with_tls.extend(["-c".to_owned(), format!("{setting}={}", file.display())]);
            }
            with_tls.extend(["-c".to_owned(), "ssl=on".to_owned()]);
        }
        give_to_postgres(path);
        let made = as_postgres(&program("initdb"))
            .args([
                "--no-sync",
                "--auth",
                "scram-sha-256",
                "--username",
                SUPERUSER,
            ])
            .arg("--pwfile")
            .arg(&password)
            .arg(&data)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = free_port();
        let child = as_postgres(&program("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(path)
            .args(["-c", "fsync=off", "-c", "log_statement=all"])
            .args(["-c", "max_connections=300"])
            .args(with_tls)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path.join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self {
            child,
            port,
            _folder: folder,
        };
        wait_for(port);
        server
    }

    /// Everything it wrote down.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self._folder.path().join("log")).unwrap()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // SIGINT: a fast shutdown, which ends the server's own children too.
        let _ = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}

/// The newest of the installed ones.
fn program(name: &str) -> String {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| {
            versions
                .flatten()
                .map(|version| version.path().join("bin").join(name))
                .filter(|path| path.exists())
                .collect()
        })
        .unwrap_or_default();
    found.sort();
    found.pop().map_or_else(
        || panic!("PostgreSQL is missing: install it with `apt-get install postgresql`"),
        |path| path.display().to_string(),
    )
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &str) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn give_to_postgres(path: &Path) {
    if is_root() {
        let status = Command::new("chown")
            .args(["-R", "postgres:postgres"])
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(super) fn wait_for(port: u16) {
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "nothing listens at {port}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// IAM and STS of AWS, as moto plays them, with its authentication on: without it a dead key works.
pub(super) struct Moto {
    child: Child,
    pub(super) port: u16,
}

impl Moto {
    /// Starts one; the first `unchecked` calls are carried out for anybody, so that there can be a first key.
    pub(super) fn start(unchecked: usize) -> Self {
        let port = free_port();
        let child = Command::new(moto())
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", unchecked.to_string())
            .env(
                "PYTHONPATH",
                concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/vault/moto"),
            )
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "moto is missing: `pip install 'moto[server]'`, and say where with LANYARD_MOTO",
            );
        let server = Self { child, port };
        wait_for(port);
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// A page of its own that shows whose keys there are; see `moto/sitecustomize.py`.
    pub(super) fn keys(&self) -> String {
        format!("{}moto-api/keys", self.url())
    }
}

/// Where the checks installed it, else wherever this machine has it.
fn moto() -> std::ffi::OsString {
    std::env::var_os("LANYARD_MOTO").unwrap_or_else(|| "moto_server".into())
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
