//! The door cannot be gone around: each case is a way to try, and none compiles.
//!
//! The expected errors lie beside the cases; `TRYBUILD=overwrite` renews them.

#[test]
fn no_way_around_the_gate() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
