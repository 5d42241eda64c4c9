//! The whole broker as its users meet it: the real binary, real sockets.

mod apply;
mod attacks;
mod commands;
mod cut_off;
pub(crate) mod harness;
mod life;
mod routes;
mod serving;
