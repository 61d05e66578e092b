//! A receipt says that a record was written; only who wrote it makes one.

use gatehouse_gate::{Durability, Receipt};

fn main() {
    let _ = Receipt::new(7, Durability::Disk);
}
