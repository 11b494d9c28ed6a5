//! The stand-in for SageMaker on a laptop: its API on loopback, and pipelines that run.
fn main() {}
