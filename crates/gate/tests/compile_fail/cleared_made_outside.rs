//! A frame is cleared by the gate and by nobody else.

use gatehouse_gate::Cleared;

fn main() {
    let _ = Cleared::new("DROP TABLE orders", None);
}
