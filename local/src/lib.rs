//! The stand-in for SageMaker on a laptop.
//!
//! [`state`] decides everything and touches nothing.

pub mod clock;
pub mod error;
pub mod event;
pub mod names;
pub mod state;
