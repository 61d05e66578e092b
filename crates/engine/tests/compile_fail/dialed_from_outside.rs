//! Nothing outside the engine dials a target, with a grant or without.

use gatehouse_engine::dial;

fn main() {
    let _ = dial::connect;
}
