//! Files whose names or contents somebody else gave.
//!
//! [`below`] makes paths of names, and none that leads out of the folder meant; [`bounded`] reads
//! regular files, and no more of them than a limit.

pub mod below;
pub mod bounded;
