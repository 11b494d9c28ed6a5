//! Creates an execution record and starts the pipeline with every parameter of its training template.
fn main() {}
