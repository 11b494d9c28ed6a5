//! Core.

pub mod nearest;
pub mod record;
pub mod training_template;
