//! The four laws over recorded sessions, and bytes that nobody should say, for every protocol of the registry: without a
//! socket, a server or the program.
//!
//! Knows the door. What real servers and clients do, `gatehouse-conformance` tests.

pub mod evidence;
pub mod frames;
pub mod laws;
pub mod recorded;
pub mod replay;
