//! Rim.
