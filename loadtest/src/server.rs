//! The servers that figures are compared with, and our own in the same clothes: each a process of its own, so that
//! the operating system can tell what it costs.
//!
//! All are axum on the same number of threads and give the same answer. They differ in what happens before:
//! nothing, `jsonwebtoken` with its key parsed once, a map of tokens seen before (the cache that people build when
//! decoding becomes too slow: it never notices a revocation), or Lanyard's layer. [`minting`] is the same for issuing.

mod decoding;
mod guarded;
mod minting;
mod remembering;
mod signing;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

/// Where the one answer is.
pub const PATH: &str = "/orders/4711";
/// Where an answer is that does not end, behind Lanyard's layer.
pub const EVENTS: &str = "/events";
/// What a token needs for it.
pub const SCOPE: &str = "orders:read";
/// What it is for.
pub const AUDIENCE: &str = "https://orders.example";

/// `lanyard-loadtest serve`: what the benchmarks start.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// What stands before the answer.
    #[arg(value_enum)]
    kind: Kind,
    /// Threads that serve.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Whose tokens.
    #[arg(long)]
    issuer: Option<String>,
    /// A gateway's enrolment file, for `lanyard`.
    #[arg(long)]
    enrolment: Option<PathBuf>,
    /// Where the gateway keeps its position, for `lanyard`.
    #[arg(long)]
    state: Option<PathBuf>,
}

/// What stands before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Nothing.
    Hello,
    /// `jsonwebtoken`, its key parsed once.
    Jsonwebtoken,
    /// The same, and a map of tokens it has decoded before.
    SeenMap,
    /// Lanyard's layer, with feed and reports.
    Lanyard,
    /// Not before an answer: a token endpoint that signs with `jsonwebtoken` and keeps nothing.
    Mint,
}

impl Kind {
    /// As the command line has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Jsonwebtoken => "jsonwebtoken",
            Self::SeenMap => "seen-map",
            Self::Lanyard => "lanyard",
            Self::Mint => "mint",
        }
    }
}

/// Serves until it is ended; the first line of its output is its address.
#[expect(
    clippy::print_stdout,
    reason = "whoever started it reads the address here"
)]
pub fn run(args: &ServeArgs) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.workers.max(1))
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let router = router(args).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // A connection that just broke is the service's to notice.
            let _ = stream.set_nodelay(true);
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await?;
        Ok(())
    })
}

/// Lets this process and those it starts have as many files open as the system allows; how many that is.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    // Refused, it stays as it is: what is read back counts.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

async fn router(args: &ServeArgs) -> Result<Router, Box<dyn Error>> {
    let issuer = || args.issuer.as_deref().ok_or("--issuer is missing");
    let answer = Router::new().route("/orders/{id}", get(async || "hello"));
    Ok(match args.kind {
        Kind::Hello => answer,
        Kind::Jsonwebtoken => decoding::before(answer, decoding::Decoder::of(issuer()?).await?),
        Kind::SeenMap => remembering::before(answer, decoding::Decoder::of(issuer()?).await?),
        Kind::Lanyard => {
            let (enrolment, state) = (args.enrolment.as_deref(), args.state.as_deref());
            guarded::before(
                answer,
                enrolment.ok_or("--enrolment is missing")?,
                state.ok_or("--state is missing")?,
            )
            .await?
        }
        Kind::Mint => minting::endpoint()?,
    })
}
