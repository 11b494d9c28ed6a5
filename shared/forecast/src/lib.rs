//! DeepAR (Salinas et al., arXiv 1704.04110) with the contract of SageMaker's
//! `forecasting-deepar` image: what it reads, how it trains, what it predicts
//! and how it is scored.

#[cfg(feature = "network")]
pub mod baseline;
pub mod calendar;
#[cfg(feature = "network")]
pub mod deepar;
pub mod faults;
pub mod hyperparameters;
#[cfg(feature = "network")]
mod likelihood;
#[cfg(feature = "network")]
pub mod metrics;
#[cfg(feature = "network")]
pub mod score;
#[cfg(feature = "network")]
pub mod series;
#[cfg(feature = "network")]
mod special;
