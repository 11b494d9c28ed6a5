//! The processing step's program.
fn main() {}
