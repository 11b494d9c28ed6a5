//! DeepAR (Salinas et al., arXiv 1704.04110) with the contract of SageMaker's
//! `forecasting-deepar` image: what it reads, how it trains, what it predicts
//! and how it is scored.

pub mod baseline;
pub mod calendar;
pub mod deepar;
pub mod faults;
pub mod hyperparameters;
mod likelihood;
pub mod metrics;
pub mod score;
pub mod series;
mod special;
