//! Who holds an outlet cannot take the socket out of it and write past it.

use gatehouse_engine::Outlet;

fn take(outlet: Outlet<Vec<u8>>) -> Vec<u8> {
    outlet.into_writer()
}

fn main() {}
