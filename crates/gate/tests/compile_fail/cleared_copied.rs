//! A frame was cleared once, and is written once.

use bytes::Bytes;
use gatehouse_gate::Cleared;

fn twice(cleared: Cleared<Bytes>) -> [Bytes; 2] {
    [cleared.into_frame(), cleared.into_frame()]
}

fn main() {}
