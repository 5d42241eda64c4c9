//! Starts the real binary and talks to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// The binary, without any of the surrounding environment's settings.
pub(crate) fn lanyard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanyard"));
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("LANYARD_") || name.starts_with("OTEL_"))
    {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").args(arguments);
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    lanyard(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs it, which must work, and reads its JSON.
pub(crate) fn json(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        words(&output.stderr)
    );
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", words(&output.stdout)))
}

/// Runs it, which must fail with this code, and reads what it says.
pub(crate) fn refused(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {}",
        words(&output.stderr)
    );
    assert!(
        output.stdout.is_empty(),
        "{arguments:?} printed data: {}",
        words(&output.stdout)
    );
    words(&output.stderr)
}

pub(crate) fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running broker; killed when dropped.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Running {
    /// Starts it; standard error is collected.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts it with these variables set.
    pub(crate) fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = lanyard(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (mut from, to) = (child.stderr.take().unwrap(), said.clone());
        let listener = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                to.lock().unwrap().push_str(&words(&chunk[..length]));
            }
        });
        Self {
            child,
            said,
            listener: Arc::new(Mutex::new(Some(listener))),
        }
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::with_capacity(1, self.child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty(), "it ended: {}", self.said());
        line
    }

    /// All it has said on standard error.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; all it said on standard error.
    pub(crate) fn said_at_the_end(self) -> String {
        let (said, listener) = (self.said.clone(), self.listener.clone());
        self.wait();
        let listener = listener.lock().unwrap().take();
        listener.unwrap().join().unwrap();
        said.lock().unwrap().clone()
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and says the exit code.
    pub(crate) fn wait(self) -> Option<i32> {
        self.status().code()
    }

    /// Waits for its end and says how it was.
    pub(crate) fn status(mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end: {}", self.said());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A newcomer's broker and what it printed.
pub(crate) struct Dev {
    pub(crate) running: Running,
    pub(crate) printed: Value,
}

impl Dev {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts it with these variables set.
    pub(crate) fn start_with(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let folder = folder.to_str().unwrap();
        let arguments = [
            "dev",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
            folder,
        ];
        let mut running = Running::start_with(&arguments, variables);
        let printed = serde_json::from_str(&running.line()).unwrap();
        Self { running, printed }
    }

    pub(crate) fn text(&self, member: &str) -> &str {
        self.printed[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member} in {}", self.printed))
    }

    /// `client_credentials` with the demo identity's key, or another's.
    pub(crate) async fn token(
        &self,
        client: &Client,
        id: &str,
        secret: &str,
    ) -> (StatusCode, Value) {
        let request = client
            .post(format!("{}/oauth/token", self.text("issuer")))
            .basic_auth(id, Some(secret))
            .form(&[("grant_type", "client_credentials")]);
        answer(request).await
    }

    pub(crate) async fn demo_token(&self, client: &Client) -> String {
        let (status, answer) = self
            .token(client, self.text("client_id"), self.text("client_secret"))
            .await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn is_active(&self, client: &Client, token: &str, key: (&str, &str)) -> bool {
        let request = client
            .post(format!("{}/oauth/introspect", self.text("issuer")))
            .basic_auth(key.0, Some(key.1))
            .form(&[("token", token)]);
        let (status, answer) = answer(request).await;
        assert_eq!(status, 200, "{answer}");
        answer["active"].as_bool().unwrap()
    }

    pub(crate) async fn admin(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let mut request = client
            .request(method.clone(), format!("{}{path}", self.text("admin_url")))
            .bearer_auth(self.text("admin_token"));
        if method != Method::GET {
            request = request.json(&body);
        }
        answer(request).await
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// A client that trusts this certificate besides nothing.
pub(crate) fn client(trusted_pem: Option<&str>) -> Client {
    // Fails when another test was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder().no_proxy().pool_max_idle_per_host(0);
    if let Some(pem) = trusted_pem {
        let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        builder = builder.tls_certs_only([certificate]);
    }
    builder.build().unwrap()
}
