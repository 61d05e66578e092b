//! An outlet takes no bytes that were not cleared.

use bytes::Bytes;
use gatehouse_engine::Outlet;

fn main() {
    let mut outlet = Outlet::new(Vec::new());
    outlet.push(Bytes::from_static(b"DROP TABLE orders"));
}
