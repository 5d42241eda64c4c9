//! Every setting once: its name, default and meaning.

/// One setting. The variable of `section.key` is `LANYARD_SECTION__KEY`.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `key` or `section.key`, as in the TOML file.
    pub key: &'static str,
    /// As if it had been written in the file.
    pub default: Option<&'static str>,
    /// One line.
    pub help: &'static str,
}

/// All of them, in the order of the example file.
pub const ALL: &[Setting] = &[
    setting(
        "issuer",
        None,
        "who issues: the address callers reach the public listener at",
    ),
    setting(
        "listen",
        Some("127.0.0.1:8420"),
        "public listener: OAuth, metadata, feed, reports",
    ),
    setting(
        "admin_listen",
        Some("127.0.0.1:8421"),
        "admin listener: administration, metrics",
    ),
    setting(
        "data_dir",
        Some("/var/lib/lanyard"),
        "where the log and its index lie",
    ),
    setting(
        "socket",
        None,
        "the administrators' Unix socket (default: admin.sock in data_dir)",
    ),
    setting(
        "behind_proxy",
        Some("false"),
        "a proxy in front ends TLS and sets X-Forwarded-For",
    ),
    setting(
        "tls.cert_file",
        None,
        "certificate chain of the public listener, PEM",
    ),
    setting("tls.key_file", None, "its private key, PEM"),
    setting(
        "admin_tls.cert_file",
        None,
        "certificate chain of the admin listener (default: [tls])",
    ),
    setting("admin_tls.key_file", None, "its private key"),
    setting(
        "seal.key_file",
        None,
        "the root sealing key, outside data_dir: lanyard seal init FILE",
    ),
    setting(
        "seal.key_variable",
        None,
        "development only: the environment variable that holds it, 64 hexadecimal digits",
    ),
    setting(
        "trust.root_key_file",
        None,
        "the root key that delegates to signing keys: lanyard root init FILE",
    ),
    setting(
        "store.anchor_file",
        None,
        "a second copy of the log's head, on another disk",
    ),
    setting(
        "store.reserve_bytes",
        Some("1048576"),
        "written ahead, so that revocations never wait for space",
    ),
    setting("tokens.algorithm", Some("ES256"), "ES256 or EdDSA"),
    setting(
        "tokens.lifetime",
        Some("300"),
        "seconds, when nobody asks for another",
    ),
    setting("tokens.max_lifetime", Some("3600"), "seconds, of any token"),
    setting(
        "policy.bundle",
        None,
        "folder of policies (default: everybody gets what it was registered for)",
    ),
    setting(
        "federation.issuers",
        None,
        "whose tokens may be proof, separated by spaces: ISSUER, or ISSUER=KEY-SET",
    ),
    setting(
        "federation.private_addresses",
        Some("false"),
        "they may lie on loopback and private networks, in plain HTTP on loopback",
    ),
    setting(
        "leaks.github_keys_file",
        None,
        "public keys that GitHub's secret scanning signs with, PEM",
    ),
    setting(
        "lifecycle.unused_days",
        Some("90"),
        "whole days without use after which an identity is disabled; 0: never",
    ),
    setting(
        "drift.mode",
        Some("observe"),
        "observe or enforce; hard rules are always enforced",
    ),
    setting(
        "drift.max_revocations_per_minute",
        Some("10"),
        "by the drift engine",
    ),
    setting(
        "drift.windows_days",
        Some("14"),
        "days for which closed windows are kept, for lanyard drift would",
    ),
    setting(
        "drift.windows_bytes",
        Some("268435456"),
        "of them all together; the oldest go first",
    ),
    setting(
        "limits.requests_per_second",
        Some("50"),
        "sustained, of one identity",
    ),
    setting("limits.burst", Some("200"), "how many it may save up"),
    setting(
        "limits.connections",
        Some("4096"),
        "open connections of one listener",
    ),
    setting(
        "limits.header_timeout",
        Some("5"),
        "seconds to send a request's head",
    ),
    setting(
        "telemetry.log",
        Some("lanyard=info,lanyard::audit::export=warn,warn"),
        "what is logged on standard error",
    ),
    setting("telemetry.log_format", Some("text"), "text or json"),
    setting(
        "telemetry.otlp_endpoint",
        None,
        "where OpenTelemetry goes; OTEL_ variables are honoured too",
    ),
];

const fn setting(key: &'static str, default: Option<&'static str>, help: &'static str) -> Setting {
    Setting { key, default, help }
}

impl Setting {
    /// `LANYARD_SECTION__KEY`.
    pub fn variable(&self) -> String {
        format!("LANYARD_{}", self.key.replace('.', "__").to_uppercase())
    }
}
