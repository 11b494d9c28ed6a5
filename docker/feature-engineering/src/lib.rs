//! The processing step: feature engineering in a SageMaker processing container.
//!
//! Decisions are pure ([`job`], [`journal::LogQueue`], [`report`], [`store`]'s item
//! shapes); files and AWS are reached through [`outputs`] and the traits of
//! [`store`], so that the whole step runs in tests without AWS.

pub mod aws;
pub mod environment;
pub mod job;
pub mod journal;
pub mod layout;
pub mod outputs;
pub mod report;
pub mod step;
pub mod store;
pub mod sync;

#[cfg(test)]
mod testing;
