//! What leaves was cleared: raw bytes do not stand for a cleared frame.

use bytes::Bytes;
use gatehouse_gate::Next;

fn main() {
    let _ = Next::Out(Some(Bytes::from_static(b"DROP TABLE orders")));
}
