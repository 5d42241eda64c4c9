//! What a Lanyard access token is, and when it may be believed.
//!
//! No I/O and no clock: `now` is an argument, keys and watermarks are given.
#![forbid(unsafe_code)]

mod lineage;
mod node;
mod rev;

pub use lineage::{Lineage, TooDeep};
pub use node::{InvalidNodeId, NodeId};
pub use rev::Rev;
