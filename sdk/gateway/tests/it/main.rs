//! Egress between real sockets: a caller, a third party, and leases as a broker gives them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails loudly"
)]

use std::alloc::System;

use zeroizing_alloc::ZeroAlloc;

/// As in the program: one of the tests looks into memory.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

mod abuse;
mod addresses;
mod calls;
mod canary;
mod deploy;
mod drift;
mod dumps;
mod hold;
mod http_2;
mod kept_back;
mod leases;
mod process;
mod smuggling;
mod streaming;
mod support;
mod telemetry;
mod third_party;
mod tls;
mod ways;
mod websocket;
