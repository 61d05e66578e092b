//! The test harness: real servers and clients, and the real program.
//!
//! Knows everything, and is known by nothing.

pub mod browser;
pub mod certificates;
pub mod delegation;
pub mod fixture;
pub mod http;
pub mod provider;
pub mod raw;
pub mod secret;
pub mod served;
pub mod signer;
pub mod statements;
pub mod stores;
pub mod web;

pub use fixture::{Credential, Fixture, Setup};
