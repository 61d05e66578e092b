//! Nor can a cleared frame be put together from its parts.

use gatehouse_gate::Cleared;

fn main() {
    let _ = Cleared { frame: "DROP TABLE orders", receipt: None };
}
