//! What Pipewright decides, apart from where it runs: no AWS SDK, no clock, no
//! environment, no I/O but what is passed in.

pub mod arn;
mod canonical_json;
pub mod custom_resource;
pub mod definition;
pub mod encoding;
#[cfg(feature = "features")]
pub mod features;
pub mod indicators;
pub mod instance_type;
pub mod reading;
pub mod record;
pub mod template;
pub mod training_template;

pub use canonical_json::canonical_json;
pub use pipewright_wording::{self as wording, nearest};
