//! Who knows the addresses of names.

use std::io;
use std::net::IpAddr;

use futures::future::BoxFuture;

/// Somebody who knows the addresses of names. It is asked once for each connection, and what it says is judged.
pub trait Names: Send + Sync {
    /// All addresses of a name.
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// This machine's own resolver.
pub struct System;

impl Names for System {
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|found| found.ip()).collect())
        })
    }
}
