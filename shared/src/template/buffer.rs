//! A bound on what a template is filled to.

use std::io::{self, Write};

/// Takes at most so many bytes, and refuses the rest.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
    is_over: bool,
}

impl Buffer {
    /// An empty one.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            is_over: false,
        }
    }

    /// Whether there was more to write than the limit.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.bytes.len() {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let mut buffer = Buffer::new(4);
        assert!(buffer.write_all(b"four").is_ok());
        assert!(!buffer.is_over());
        assert!(buffer.write_all(b"!").is_err());
        assert!(buffer.is_over());
        assert_eq!(buffer.into_bytes(), b"four");
    }
}
