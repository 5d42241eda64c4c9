//! The feed reader: what it refuses, what it survives.

mod attacks;
mod order;
mod reader;
mod teller;
