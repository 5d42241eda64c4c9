//! The `lanyard` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider per process each: libraries never install one, so the binary does.
    lanyard::crypto::jwt_provider::install();
    // Fails only when there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    lanyard::cli::run()
}
