//! Credentials at third parties: real servers, and what may come between.

mod aws_iam;
mod cached_errors;
mod commands;
mod faults;
mod full;
mod hostile;
mod http;
mod metrics;
mod owner_ended;
mod planned;
mod plans;
mod postgres;
mod reach;
mod rotation;
mod servers;
mod under_way;
mod vendor;
