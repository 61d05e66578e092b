//! Nor can a receipt be put together from its parts.

use gatehouse_gate::{Durability, Receipt};

fn main() {
    let _ = Receipt { index: 7, durability: Durability::Process };
}
