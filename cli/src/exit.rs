//! What the commands end with. `docs/CLI.md` has the table; a status keeps its meaning.

/// The thing asked about is not as it should be, or what was asked for could not be done.
pub(crate) const FAILURE: u8 = 1;

/// The arguments are wrong, or what is to be compared cannot be read.
pub(crate) const TROUBLE: u8 = 2;

/// The time was up.
pub(crate) const TIMED_OUT: u8 = 3;
