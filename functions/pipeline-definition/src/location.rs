//! Where the things of one custom resource lie in S3.
//!
//! `<prefix>/<stack digest>/<sha256>.json` is a definition and
//! `<prefix>/<stack digest>/executor/<sha256>/run-fe-step.sh` a script, each
//! under the SHA-256 of its bytes; the digest of stack and resource keeps two
//! stacks with the same content apart. The physical id is `<bucket>/<key>` of
//! the definition.
//!
//! `<prefix>/<stack digest>/made/<properties>/<definition>/<script>` notes, by
//! their digests, which definition and script came of which properties: a
//! rollback brings back old properties while the function may already have new
//! code, and must still find what they gave.
//!
//! `<prefix>/<stack digest>/made/creations/<creation>/begun` and `.../done` are
//! what a creation writes before all and after all else, under the digest of its
//! event. A deletion can so tell what is whole from what a creation
//! has left, or has yet to write; see [`Creation`].

use pipewright::wording::hex;
use sha2::{Digest, Sha256};

use crate::store::Bucket;

/// SageMaker keeps the base name of what it copies into a container.
const EXECUTOR_NAME: &str = "run-fe-step.sh";

/// Hexadecimal digits of a stack digest.
const STACK_DIGEST_LEN: usize = 16;

/// Hexadecimal digits of a SHA-256.
const SHA256_LEN: usize = 64;

/// Hexadecimal digits of a creation's name.
const CREATION_LEN: usize = 16;

/// In the place of a script's digest, where the properties name a script.
const GIVEN: &str = "given";

/// Which definition and script came of certain properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeNote {
    /// The digest of the definition's bytes.
    pub definition: String,
    /// The digest of the script's bytes; none where the properties name one.
    pub script: Option<String>,
}

/// Where one custom resource keeps its things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: Bucket,
    /// The key prefix, without a slash at either end.
    pub prefix: String,
    /// [`Request::stack_digest`](pipewright::custom_resource::Request::stack_digest).
    pub stack_digest: String,
}

impl Location {
    /// The key of the definition whose bytes have the digest `sha256`.
    #[must_use]
    pub fn definition_key(&self, sha256: &str) -> String {
        format!("{}{sha256}.json", self.root())
    }

    /// The key of the script whose bytes have the digest `sha256`.
    #[must_use]
    pub fn executor_key(&self, sha256: &str) -> String {
        format!("{}{sha256}/{EXECUTOR_NAME}", self.executors())
    }

    /// What all keys of this resource begin with.
    #[must_use]
    pub fn root(&self) -> String {
        format!("{}/{}/", self.prefix, self.stack_digest)
    }

    /// What the keys of its scripts begin with.
    #[must_use]
    pub fn executors(&self) -> String {
        format!("{}executor/", self.root())
    }

    /// What the keys of its notes begin with.
    #[must_use]
    pub fn notes(&self) -> String {
        format!("{}made/", self.root())
    }

    /// The key of what a creation writes before, or after, everything else.
    #[must_use]
    pub fn creation_key(&self, of: &Creation) -> String {
        let (creation, state) = match of {
            Creation::Begun(creation) => (creation, "begun"),
            Creation::Done(creation) => (creation, "done"),
        };
        format!("{}{creation}/{state}", self.creations())
    }

    /// Which creation wrote the object with this key, and when; none for any
    /// other key.
    #[must_use]
    pub fn creation(&self, key: &str) -> Option<Creation> {
        let (creation, state) = key.strip_prefix(&self.creations())?.split_once('/')?;
        let creation = || creation.to_owned();
        match state {
            "begun" => Some(Creation::Begun(creation())),
            "done" => Some(Creation::Done(creation())),
            _ => None,
        }
    }

    /// What the keys of creations begin with: among the notes, which programs
    /// before this one delete with the last definition.
    fn creations(&self) -> String {
        format!("{}creations/", self.notes())
    }

    /// The key of the note that `made` came of the properties whose digest is
    /// `properties`.
    #[must_use]
    pub fn note_key(&self, properties: &str, made: &MadeNote) -> String {
        let script = made.script.as_deref().unwrap_or(GIVEN);
        format!("{}{properties}/{}/{script}", self.notes(), made.definition)
    }

    /// The digest of the properties and what came of them, by the key of a
    /// note; none for any other key.
    #[must_use]
    pub fn note<'a>(&self, key: &'a str) -> Option<(&'a str, MadeNote)> {
        let (properties, rest) = key.strip_prefix(&self.notes())?.split_once('/')?;
        let (definition, script) = rest.split_once('/')?;
        let shaped = is_sha256(properties)
            && is_sha256(definition)
            && (is_sha256(script) || script == GIVEN);
        shaped.then(|| {
            let made = MadeNote {
                definition: definition.to_owned(),
                script: (script != GIVEN).then(|| script.to_owned()),
            };
            (properties, made)
        })
    }

    /// The digest in the key of a definition of this resource; none for any
    /// other key.
    #[must_use]
    pub fn definition_digest<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.root())?
            .strip_suffix(".json")
            .filter(|digest| is_hex(digest, SHA256_LEN))
    }
}

/// The id by which CloudFormation knows a definition: `<bucket>/<key>`. Where a
/// creation did not come to its end, `/<creation>` follows: a later one may have
/// made the same definition again, which is not to go with what the first left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalId {
    /// Where the resource keeps its things.
    pub location: Location,
    /// The digest of the definition's bytes.
    pub sha256: String,
    /// The creation that was to make it, if it did not come to its end.
    pub unfinished: Option<String>,
}

/// How far a creation has come, by what it has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It is under way, or has died on it.
    Begun(String),
    /// It has written everything.
    Done(String),
}

impl PhysicalId {
    /// Reads an id, whose bucket must belong to the account `owner`; none if it
    /// has not the shape that this function gives ids.
    #[must_use]
    pub fn parse(id: &str, owner: &str) -> Option<Self> {
        let (bucket, key) = id.split_once('/')?;
        let (key, unfinished) = match key.rsplit_once('/')? {
            (key, creation) if is_hex(creation, CREATION_LEN) => (key, Some(creation)),
            _ => (key, None),
        };
        let (folder, file) = key.rsplit_once('/')?;
        let (prefix, stack_digest) = folder.rsplit_once('/')?;
        let sha256 = file.strip_suffix(".json")?;
        let shaped = is_bucket(bucket)
            && is_prefix(prefix)
            && is_hex(stack_digest, STACK_DIGEST_LEN)
            && is_hex(sha256, SHA256_LEN);
        shaped.then(|| Self {
            location: Location {
                bucket: Bucket {
                    name: bucket.to_owned(),
                    owner: owner.to_owned(),
                },
                prefix: prefix.to_owned(),
                stack_digest: stack_digest.to_owned(),
            },
            sha256: sha256.to_owned(),
            unfinished: unfinished.map(str::to_owned),
        })
    }

    /// The definition's key.
    #[must_use]
    pub fn key(&self) -> String {
        self.location.definition_key(&self.sha256)
    }
}

impl std::fmt::Display for PhysicalId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.location.bucket.name, self.key())?;
        match &self.unfinished {
            Some(creation) => write!(formatter, "/{creation}"),
            None => Ok(()),
        }
    }
}

/// The SHA-256 of `bytes` in lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether `text` is a SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    is_hex(text, SHA256_LEN)
}

/// Whether S3 could have a bucket named `name`: 3 to 63 lower-case letters,
/// digits, dots and hyphens, with a letter or digit at both ends.
#[must_use]
pub fn is_bucket(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&b| plain(b) || b == b'.' || b == b'-')
        && bytes.first().is_some_and(|&b| plain(b))
        && bytes.last().is_some_and(|&b| plain(b))
}

/// Whether `prefix` is parts of the characters that need no escaping in a key,
/// parted by single slashes; at most 512 bytes, so that ids stay below 1,024.
#[must_use]
pub fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= 512
        && prefix.split('/').all(|part| {
            !matches!(part, "" | "." | "..")
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!_.*'()-".contains(&b))
        })
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::OWNER;
    use proptest::prelude::*;

    fn bucket(name: &str) -> Bucket {
        Bucket {
            name: name.to_owned(),
            owner: OWNER.to_owned(),
        }
    }

    fn location() -> Location {
        Location {
            bucket: bucket("bucket"),
            prefix: "a/b".to_owned(),
            stack_digest: "0123456789abcdef".to_owned(),
        }
    }

    #[test]
    fn keys_have_the_documented_shape() {
        let digest = sha256(b"");
        assert_eq!(
            location().definition_key(&digest),
            "a/b/0123456789abcdef/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.json"
        );
        assert_eq!(
            location().executor_key("d"),
            "a/b/0123456789abcdef/executor/d/run-fe-step.sh"
        );
    }

    #[test]
    fn only_definitions_of_the_same_resource_are_recognised() {
        let location = location();
        let digest = sha256(b"");
        assert_eq!(
            location.definition_digest(&location.definition_key(&digest)),
            Some(digest.as_str())
        );
        for other in [
            location.executor_key(&digest),
            format!("a/b/0123456789abcde0/{digest}.json"),
            format!("a/b/0123456789abcdef/x{digest}.json"),
            format!("a/b/0123456789abcdef/{}.json", &digest[1..]),
            format!("a/b/0123456789abcdef/{digest}.json.bak"),
        ] {
            assert_eq!(location.definition_digest(&other), None, "{other}");
        }
    }

    #[test]
    fn a_note_tells_what_it_was_written_from() {
        let location = location();
        let (properties, definition) = (sha256(b"p"), sha256(b"d"));
        for script in [None, Some(sha256(b"s"))] {
            let made = MadeNote {
                definition: definition.clone(),
                script,
            };
            let key = location.note_key(&properties, &made);
            assert_eq!(location.note(&key), Some((properties.as_str(), made)));
            assert_eq!(location.definition_digest(&key), None);
            assert_eq!(location.note(&format!("{key}/x")), None);
        }
        assert_eq!(location.note(&location.definition_key(&definition)), None);
        assert_eq!(location.note(&location.executor_key(&definition)), None);
    }

    #[test]
    fn ids_of_another_shape_are_foreign() {
        let digest = sha256(b"");
        for id in [
            String::new(),
            "bucket".to_owned(),
            "bucket/key".to_owned(),
            "failed-create-0123456789abcdef".to_owned(),
            format!("bucket/0123456789abcdef/{digest}.json"),
            format!("bucket/a/0123456789ABCDEF/{digest}.json"),
            format!("bucket/a/0123456789abcdef/{digest}"),
            format!("bucket/a/../0123456789abcdef/{digest}.json"),
            format!("bucket//0123456789abcdef/{digest}.json"),
            format!("/a/0123456789abcdef/{digest}.json"),
            format!("BUCKET/a/0123456789abcdef/{digest}.json"),
        ] {
            assert_eq!(PhysicalId::parse(&id, OWNER), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn an_id_reads_back_as_what_it_was_written_from(
            name in "[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]",
            prefix in "[A-Za-z0-9_-]{1,9}(/[A-Za-z0-9_-]{1,9}){0,3}",
            stack_digest in "[0-9a-f]{16}",
            sha256 in "[0-9a-f]{64}",
            unfinished in proptest::option::of("[0-9a-f]{16}"),
        ) {
            let id = PhysicalId {
                location: Location { bucket: bucket(&name), prefix, stack_digest },
                sha256,
                unfinished,
            };
            prop_assert_eq!(PhysicalId::parse(&id.to_string(), OWNER), Some(id));
        }

        #[test]
        fn a_mark_reads_back_as_what_it_was_written_from(creation in "[0-9a-f]{16}", done in any::<bool>()) {
            let mark = if done { Creation::Done(creation) } else { Creation::Begun(creation) };
            let key = location().creation_key(&mark);
            prop_assert_eq!(location().creation(&key), Some(mark));
            prop_assert_eq!(location().note(&key), None);
        }

        #[test]
        fn no_text_makes_the_reader_panic(id in any::<String>()) {
            let _ = PhysicalId::parse(&id, OWNER);
        }
    }
}
