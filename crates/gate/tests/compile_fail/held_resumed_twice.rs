//! One answer, one operation: what was resumed is gone.

use gatehouse_gate::{Answer, Held, Passage};
use jiff::Timestamp;

fn resume(passage: &mut Passage, now: Timestamp, held: Box<Held>) {
    let _ = passage.resume(now, held, Some(Answer::Approved));
    let _ = passage.resume(now, held, Some(Answer::Approved));
}

fn main() {}
