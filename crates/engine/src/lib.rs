//! The only data-path sockets: listens, dials, and carries bytes between them and the gate.
//!
//! Knows sockets, TLS, time and tasks of the runtime. What bytes mean it asks the gate, and it writes nothing but
//! what the gate cleared: `dial` takes nothing but a grant, [`Outlet`] nothing but a cleared frame.

mod carriers;
mod carry;
mod dial;
mod disk;
mod listener;
mod login;
mod outlet;
mod roster;
mod surveyor;
mod tls;
mod web;
mod wire;

use std::io;
use std::sync::Arc;

use gatehouse_gate::{Tape, Target};
use gatehouse_model::{Account, Lease, Secret, SessionId, TaskId, Verifier};
use jiff::Timestamp;

pub use disk::Disk;
pub use listener::{Engine, EngineLimits, Listener};
pub use outlet::Outlet;
pub use roster::{LiveSession, Roster};
pub use tls::{ServerTls, TlsError, check_identity};
pub use web::{WebStream, check_authorities, connect_web};

/// What the engine asks of the rest of the gateway.
pub trait House: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// 32 random bytes.
    fn entropy(&self) -> [u8; 32];

    /// The credential that a client logs in by, and the task that it belongs to; without a task it is a decoy, always
    /// the same for the same user.
    fn verifier(&self, user: &str, target: &str) -> (Option<TaskId>, Verifier);

    /// The lease of a task as it stands now, with what its sessions share.
    fn lease(&self, task: &TaskId) -> Option<(Lease, Arc<Account>)>;

    /// A target of the configuration.
    fn target(&self, name: &str) -> Option<Arc<Target>>;

    /// The secret of the gateway's account at a target.
    fn secret(&self, target: &Target) -> Result<Secret, String>;

    /// A new recording.
    fn tape(&self, session: &SessionId, target: &Target, opened: Timestamp) -> io::Result<Box<dyn Tape>>;
}
