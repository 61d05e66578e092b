//! Nothing is written that was not cleared, and nothing dialed without a grant: each case tries, and none compiles.
//!
//! The expected errors lie beside the cases; `TRYBUILD=overwrite` renews them.

#[test]
fn no_way_around_the_outlet() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
