//! A session is granted by the gate and by nobody else, whatever lease its maker holds.

use std::sync::Arc;

use gatehouse_gate::{Grant, Target};
use gatehouse_model::{TaskAccount, Lease, SessionId};

fn grant(session: SessionId, lease: Lease, target: Arc<Target>) -> Grant {
    Grant::new(session, lease, target, Arc::new(TaskAccount::default()))
}

fn main() {}
