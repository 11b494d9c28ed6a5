//! Core.

pub mod custom_resource;
pub mod definition;
#[cfg(feature = "features")]
pub mod features;
pub mod nearest;
pub mod record;
pub mod template;
pub mod training_template;
