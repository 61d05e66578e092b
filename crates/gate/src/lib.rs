//! The one door: nothing reaches a target or comes back from one but through here.
//!
//! Knows policy, masks, the journal and what protocols say bytes mean. It alone makes a [`Grant`], without which no
//! dialer dials, and a [`Cleared`], without which no outlet writes; it makes them only after the record is written.
//! It holds no socket, no runtime and no clock.

mod asking;
mod cleared;
mod descriptions;
mod desk;
mod editor;
mod foresight;
mod gate;
mod grant;
mod judgement;
mod kept;
mod ledger;
mod lockdown;
mod passage;
mod tape;
mod tunnel;

pub use asking::MayBegin;
pub use cleared::{Cleared, Durability, Receipt};
pub use descriptions::{Description, Descriptions, Saying};
pub use desk::{
    Answer, AnswerError, Answered, Approver, Asked, AskedTask, Desk, Granted, HeldOperation, HoldMode, PendingRequest,
    RequestState, Terms,
};
pub use foresight::{Foreseen, Understood, understand};
pub use gate::{Gate, GateLimits, SessionEnd, budget_record};
pub use grant::{Account, AwsSigning, Grant, Route, Showing, Target, TargetClasses, TlsIdentity, TlsMode, Trust};
pub use kept::{Bodies, KeptBody, NotKept};
pub use ledger::{Ledger, Log, Unrecorded};
pub use lockdown::{Lockdown, Lockdowns, Scope};
pub use passage::{Held, Next, Passage, Stop};
pub use tape::{Piece, Tape, TapeSeal};
pub use tunnel::{Tunnel, TunnelEnd, Whereto};
