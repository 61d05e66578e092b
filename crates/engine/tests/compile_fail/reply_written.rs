//! Not even a protocol's own words are written before the gate cleared them.

use bytes::Bytes;
use gatehouse_engine::Outlet;
use gatehouse_model::Denial;
use gatehouse_protocol::{Reply, Session};

fn refuse(session: &mut dyn Session, run: &Bytes, denial: &Denial, outlet: &mut Outlet<Vec<u8>>) {
    let mut reply = Reply::default();
    session.refuse(run, denial, &mut reply);
    outlet.push(reply.to_target.freeze());
}

fn main() {}
