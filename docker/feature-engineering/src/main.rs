//! The processing step: feature engineering in a SageMaker processing container.
fn main() {}
