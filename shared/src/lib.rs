//! Core.

pub mod nearest;
