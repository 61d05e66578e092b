//! What is held stays in the gate's hands: its bytes cannot be taken out and sent.

use bytes::Bytes;
use gatehouse_gate::Held;

fn take(held: Held) -> Bytes {
    held.waiting.run
}

fn main() {}
