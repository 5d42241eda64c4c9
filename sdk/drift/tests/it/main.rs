//! Behaviour of the drift engine, told as short stories about services and thieves.
#![cfg(test)]

mod bad_input;
mod budget;
mod flooding;
mod fuzzed;
mod interleaving;
mod judging;
mod learning;
mod merging;
mod tracking;
mod wire;
mod world;
