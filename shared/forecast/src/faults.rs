//! All that is wrong with an input, told at once.

use std::error::Error;
use std::fmt;

use pipewright_wording::count;

/// How many faults are told; the rest are counted.
pub const TOLD: usize = 20;

/// The faults of an input: the first [`TOLD`], and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults<F> {
    told: Vec<F>,
    count: usize,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self {
            told: Vec::new(),
            count: 0,
        }
    }
}

impl<F> Faults<F> {
    /// The first of them, in the input's order.
    #[must_use]
    pub fn told(&self) -> &[F] {
        &self.told
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds one.
    pub fn push(&mut self, fault: F) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(fault);
        }
    }

    /// `value` if there are no faults.
    ///
    /// # Errors
    /// These faults, if there are some.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.count == 0 {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl<F> From<F> for Faults<F> {
    fn from(fault: F) -> Self {
        Self {
            told: vec![fault],
            count: 1,
        }
    }
}

impl<F: fmt::Display> fmt::Display for Faults<F> {
    /// One fault as it is; of several the number, then each on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([fault], 1) = (self.told.as_slice(), self.count) {
            return write!(f, "{fault}");
        }
        write!(f, "{}:", count(self.count, "fault"))?;
        for fault in &self.told {
            write!(f, "\n  {fault}")?;
        }
        match self.count - self.told.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl<F: fmt::Display + fmt::Debug> Error for Faults<F> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_faults_are_told_and_the_rest_counted() {
        let mut faults = Faults::default();
        faults.push(1);
        assert_eq!(faults.to_string(), "1");
        faults.push(2);
        assert_eq!(faults.to_string(), "2 faults:\n  1\n  2");
        (3..=30).for_each(|fault| faults.push(fault));
        assert_eq!(faults.count(), 30);
        assert_eq!(faults.told(), (1..=20).collect::<Vec<_>>());
        assert!(faults.to_string().ends_with("\n  20\n  and 10 more"));
    }
}
