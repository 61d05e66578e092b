//! What leaves was cleared: raw bytes do not stand for a cleared frame.

use bytes::Bytes;
use gatehouse_gate::Outward;

fn main() {
    let _ = Outward { to_client: None, to_target: Some(Bytes::from_static(b"DROP TABLE orders")) };
}
