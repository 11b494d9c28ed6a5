//! The three checksums that the AWS SDK takes from the crate `crc-fast`.
//!
//! That crate keeps a table for each of some hundred algorithms, 0.7 MB that no
//! compression makes smaller and no linker removes: a fifth of what the custom
//! resource's function weighs (`docs/FUNCTIONS.md`). This one has the interface
//! that `aws-smithy-checksums` uses and leaves the work to `crc32fast` and `crc`.
//! S3 compares a checksum with what it received, so a wrong one would be an
//! error, not a wrong object.

use crc::Crc;

/// CRC-32C; its table has 1 KB.
static CRC_32_ISCSI: Crc<u32> = Crc::<u32>::new(&crc::CRC_32_ISCSI);
/// CRC-64/NVME; its table has 2 KB.
static CRC_64_NVME: Crc<u64> = Crc::<u64>::new(&crc::CRC_64_NVME);

/// The algorithms, by their names in the catalogue of parametrised CRCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// CRC-32, that of S3's `x-amz-checksum-crc32` and of gzip.
    Crc32IsoHdlc,
    /// CRC-32C, that of `x-amz-checksum-crc32c`.
    Crc32Iscsi,
    /// CRC-64/NVME, that of `x-amz-checksum-crc64nvme`.
    Crc64Nvme,
}

/// A checksum of the bytes so far.
#[derive(Clone)]
pub struct Digest(State);

#[derive(Clone)]
enum State {
    Crc32IsoHdlc(crc32fast::Hasher),
    Crc32Iscsi(crc::Digest<'static, u32>),
    Crc64Nvme(crc::Digest<'static, u64>),
}

impl Digest {
    /// The checksum of no bytes.
    #[must_use]
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        Self(match algorithm {
            CrcAlgorithm::Crc32IsoHdlc => State::Crc32IsoHdlc(crc32fast::Hasher::new()),
            CrcAlgorithm::Crc32Iscsi => State::Crc32Iscsi(CRC_32_ISCSI.digest()),
            CrcAlgorithm::Crc64Nvme => State::Crc64Nvme(CRC_64_NVME.digest()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32IsoHdlc(digest) => digest.update(bytes),
            State::Crc32Iscsi(digest) => digest.update(bytes),
            State::Crc64Nvme(digest) => digest.update(bytes),
        }
    }

    /// The checksum; of those with 32 bits, the lower half.
    #[must_use]
    pub fn finalize(self) -> u64 {
        match self.0 {
            State::Crc32IsoHdlc(digest) => digest.finalize().into(),
            State::Crc32Iscsi(digest) => digest.finalize().into(),
            State::Crc64Nvme(digest) => digest.finalize(),
        }
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match &self.0 {
            State::Crc32IsoHdlc(_) => "Crc32IsoHdlc",
            State::Crc32Iscsi(_) => "Crc32Iscsi",
            State::Crc64Nvme(_) => "Crc64Nvme",
        };
        formatter.debug_tuple("Digest").field(&name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [CrcAlgorithm; 3] = [
        CrcAlgorithm::Crc32IsoHdlc,
        CrcAlgorithm::Crc32Iscsi,
        CrcAlgorithm::Crc64Nvme,
    ];

    fn checksum(algorithm: CrcAlgorithm, parts: &[&[u8]]) -> u64 {
        let mut digest = Digest::new(algorithm);
        for part in parts {
            digest.update(part);
        }
        digest.finalize()
    }

    /// The remainder bit by bit, as the catalogue defines it: reflected, with
    /// all bits set before and flipped after.
    fn by_definition(width: u32, polynomial: u64, bytes: &[u8]) -> u64 {
        let ones = u64::MAX >> (64 - width);
        let polynomial = polynomial.reverse_bits() >> (64 - width);
        let mut rest = ones;
        for byte in bytes {
            rest ^= u64::from(*byte);
            for _ in 0..8 {
                rest = (rest >> 1) ^ if rest & 1 == 1 { polynomial } else { 0 };
            }
        }
        rest ^ ones
    }

    #[test]
    fn the_catalogues_check_values_are_met() {
        let check: &[&[u8]] = &[b"123456789"];
        assert_eq!(checksum(CrcAlgorithm::Crc32IsoHdlc, check), 0xcbf4_3926);
        assert_eq!(checksum(CrcAlgorithm::Crc32Iscsi, check), 0xe306_9283);
        assert_eq!(
            checksum(CrcAlgorithm::Crc64Nvme, check),
            0xae8b_1486_0a79_9888
        );
    }

    #[test]
    fn no_bytes_have_the_checksum_zero() {
        for algorithm in ALL {
            assert_eq!(checksum(algorithm, &[]), 0);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_the_remainder_of_the_definition(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            for (algorithm, width, polynomial) in [
                (CrcAlgorithm::Crc32IsoHdlc, 32, 0x04c1_1db7),
                (CrcAlgorithm::Crc32Iscsi, 32, 0x1edc_6f41),
                (CrcAlgorithm::Crc64Nvme, 64, 0xad93_d235_94c9_3659),
            ] {
                prop_assert_eq!(
                    checksum(algorithm, &[&bytes]),
                    by_definition(width, polynomial, &bytes)
                );
            }
        }

        #[test]
        fn the_checksum_does_not_depend_on_how_the_bytes_arrive(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            at in any::<proptest::sample::Index>(),
        ) {
            let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
            for algorithm in ALL {
                prop_assert_eq!(
                    checksum(algorithm, &[head, tail]),
                    checksum(algorithm, &[&bytes])
                );
            }
        }
    }
}
