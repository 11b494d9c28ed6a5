//! Core.

pub mod custom_resource;
#[cfg(feature = "features")]
pub mod features;
pub mod nearest;
pub mod record;
pub mod training_template;
