//! The whole broker as its users meet it: the real binary, real sockets.

mod apply;
mod attacks;
mod bad_input;
mod commands;
mod cut_off;
mod egress;
mod exec;
mod federation;
pub(crate) mod harness;
mod integrations;
mod leaks;
mod life;
mod narrowed;
mod routes;
mod sealing;
mod secrets;
mod serving;
