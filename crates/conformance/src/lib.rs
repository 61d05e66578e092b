//! The test harness: real servers, the real program, and the four laws over real bytes.
//!
//! Knows everything, and is known by nothing.

pub mod browser;
pub mod certificates;
pub mod delegation;
pub mod evidence;
pub mod fixture;
pub mod http;
pub mod laws;
pub mod provider;
pub mod raw;
pub mod recorded;
pub mod replay;
pub mod secret;
pub mod served;
pub mod signer;
pub mod statements;
pub mod stores;
pub mod web;

pub use fixture::{Credential, Fixture, Setup};
