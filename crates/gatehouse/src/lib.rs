//! Wires the rooms into one program: configuration, the running gateway, and the commands.
//!
//! Knows every room. No rule is decided here: policies decide in `policy`, what passes is the business of `gate`.

mod accounts;
mod activity;
mod agent;
mod at_start;
mod backtest;
mod bounded;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
mod control;
mod demo;
mod exchange;
mod explain;
mod held_bodies;
mod indexer;
mod interception;
mod java;
mod keys;
pub mod lines;
pub mod load;
mod log_files;
mod login;
mod mail;
mod mask_test;
mod mentions;
mod nearest;
mod notify;
mod observe;
mod output;
mod pace;
mod policy_test;
mod recognizer;
mod reference;
mod registry;
mod reload;
mod replay;
mod restore;
mod run;
pub mod scratch;
mod search;
pub mod serve;
mod sign_in;
mod start;
pub mod state;
mod tape;
mod trust;
mod watch;
mod web;

pub use registry::{protocol, protocols, schemas};
