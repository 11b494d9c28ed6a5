//! DeepAR with the contract of SageMaker's `forecasting-deepar` image: the same
//! directories, hyperparameters, log lines, metrics, requests and answers. The
//! artifact is of our own format.
//!
//! What DeepAR computes is in `pipewright-forecast`. This program reads the job's
//! files, writes the log and the artifact, and answers requests; docs/DEEPAR.md
//! describes it.

pub mod files;
pub mod layout;
pub mod log;
pub mod serve;
pub mod train;
