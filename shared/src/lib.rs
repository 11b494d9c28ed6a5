//! Core.

pub mod nearest;
pub mod training_template;
