//! The processing step: feature engineering in a SageMaker processing container.

pub mod environment;
pub mod hosts;
pub mod journal;
pub mod layout;
pub mod report;
pub mod text;
