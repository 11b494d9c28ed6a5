//! Files whose names or contents somebody else gave.
//!
//! [`below`] makes paths of names, and none that leads out of the folder meant; [`bounded`] reads
//! regular files, and no more of them than a limit.

pub mod below;
pub mod bounded;

#[cfg(test)]
mod testing {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::path::Path;

    /// Makes a named pipe, which anybody who opens it would wait for.
    pub(crate) fn make_pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
}
