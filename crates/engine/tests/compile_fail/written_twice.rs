//! A cleared frame is written once.

use bytes::Bytes;
use gatehouse_engine::Outlet;
use gatehouse_gate::Cleared;

fn push(outlet: &mut Outlet<Vec<u8>>, cleared: Cleared<Bytes>) {
    outlet.push(cleared);
    outlet.push(cleared);
}

fn main() {}
