//! Texts that look as if they belonged to one account, region or day.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use crate::definition::{Definition, JsonPath, Segment, walk};

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// `arn:aws:...`
    Arn,
    /// An image of ECR.
    Image,
    /// A queue's address.
    Queue,
    /// `s3://bucket`
    Bucket,
    /// An account's twelve digits.
    AccountId,
    /// `eu-central-1`
    Region,
    /// `subnet-0a1b2c3d`
    Subnet,
    /// `sg-0a1b2c3d`
    SecurityGroup,
    /// `2026-11-22-19-27-56-373`, `202611221927`, `20261122T192756`, or ten
    /// digits after a dash.
    Timestamp,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arn => "ARN",
            Self::Image => "image",
            Self::Queue => "queue",
            Self::Bucket => "bucket",
            Self::AccountId => "account id",
            Self::Region => "region",
            Self::Subnet => "subnet",
            Self::SecurityGroup => "security group",
            Self::Timestamp => "timestamp",
        })
    }
}

/// The accounts of a definition: twelve digits that stand where an account can
/// stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts(BTreeSet<String>);

impl Accounts {
    /// The accounts of a definition.
    pub(super) fn of(definition: &Definition) -> Self {
        let mut accounts = Self::default();
        walk(
            definition.as_value(),
            JsonPath::root(),
            |_, _| false,
            |value, path| {
                if let Some(text) = value.as_str() {
                    accounts.add(text, last_key(path));
                }
            },
        );
        accounts
    }

    fn add(&mut self, text: &str, key: &str) {
        let names_account = key.to_ascii_lowercase().contains("account");
        for at in words_of_digits(text, ACCOUNT_DIGITS) {
            let digits = &text[at..at + ACCOUNT_DIGITS];
            let after = &text[at + ACCOUNT_DIGITS..];
            let before = &text[..at];
            let is_account = after.starts_with(".dkr.ecr")
                || stands_in_arn(before, after)
                || (before.contains("https://sqs.") && before.ends_with('/'))
                || (!is_moment(digits) && stands_in_bucket(before, after))
                || (names_account && before.is_empty() && after.is_empty());
            if is_account {
                self.0.insert(digits.to_owned());
            }
        }
    }

    /// Whether these digits are one of the accounts.
    pub(super) fn contains(&self, digits: &str) -> bool {
        self.0.contains(digits)
    }
}

/// How many digits an account has.
const ACCOUNT_DIGITS: usize = 12;

/// Where words of exactly so many digits begin.
fn words_of_digits(text: &str, count: usize) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let is_word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    (0..bytes.len()).filter(move |at| {
        (*at == 0 || !is_word(at - 1))
            && bytes[*at..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
                == count
            && !is_word(at + count)
    })
}

/// Whether digits are the account of an ARN: its fifth part.
fn stands_in_arn(before: &str, after: &str) -> bool {
    let Some(arn) = before.rfind("arn:") else {
        return false;
    };
    after.starts_with(':') && before.ends_with(':') && before[arn..].split(':').count() == 5
}

/// Whether digits are a word of a bucket's name: behind `s3://`, or beside a
/// region, as in `sagemaker-eu-central-1-111122223333`.
fn stands_in_bucket(before: &str, after: &str) -> bool {
    let is_outside = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    let start = before.rfind(is_outside).map_or(0, |at| at + 1);
    let end = after.find(is_outside).unwrap_or(after.len());
    before[..start].ends_with("s3://")
        || [&before[start..], &after[..end]].iter().any(|part| {
            part.char_indices()
                .any(|(at, _)| region_length(&part[at..]).is_some())
        })
}

/// Whether digits read as year, month, day, hour, minute and, where there are
/// fourteen, second.
fn is_moment(digits: &str) -> bool {
    let number = |from: usize, to: usize| -> u32 {
        digits
            .get(from..to)
            .and_then(|part| part.parse().ok())
            .unwrap_or(u32::MAX)
    };
    matches!(digits.len(), 12 | 14)
        && (1990..2100).contains(&number(0, 4))
        && (1..=12).contains(&number(4, 6))
        && (1..=31).contains(&number(6, 8))
        && number(8, 10) < 24
        && number(10, 12) < 60
        && (digits.len() == 12 || number(12, 14) < 60)
}

/// The last member's name on the way to a value.
pub(super) fn last_key<'p>(path: &'p JsonPath<'_>) -> &'p str {
    path.segments()
        .iter()
        .rev()
        .find_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_ref()),
            Segment::Index(_) => None,
        })
        .unwrap_or_default()
}

/// What in a text looks static, from left to right; what lies inside of
/// something else is not named again.
pub(super) fn find<'t>(text: &'t str, accounts: &Accounts) -> Vec<(Look, &'t str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match look_at(text, at, accounts) {
            Some((look, range)) => {
                at = range.end;
                found.push((look, &text[range]));
            }
            None => {
                at += 1;
                while !text.is_char_boundary(at) {
                    at += 1;
                }
            }
        }
    }
    found
}

fn look_at(text: &str, at: usize, accounts: &Accounts) -> Option<(Look, Range<usize>)> {
    let rest = &text[at..];
    let starts_word = text[..at]
        .chars()
        .next_back()
        .is_none_or(|before| !before.is_ascii_alphanumeric());
    if !starts_word {
        return None;
    }
    let until = |end: usize| at..at + end;
    if rest.starts_with("arn:aws") {
        let end = rest
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '<' | '>' | '{' | '}')
            })
            .unwrap_or(rest.len());
        return (rest[..end].split(':').count() >= 6).then(|| (Look::Arn, until(end)));
    }
    if let Some(name) = rest.strip_prefix("s3://") {
        // Without a name the bucket is a key or joined to it.
        let end = bucket_length(name);
        return (end > 0).then(|| (Look::Bucket, at + 5..at + 5 + end));
    }
    if rest.starts_with("https://sqs.") {
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '"')
            .unwrap_or(rest.len());
        return Some((Look::Queue, until(end)));
    }
    for (prefix, look) in [("subnet-", Look::Subnet), ("sg-", Look::SecurityGroup)] {
        if let Some(id) = rest.strip_prefix(prefix) {
            let end = id
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(id.len());
            if end >= 8 {
                return Some((look, until(prefix.len() + end)));
            }
        }
    }
    if let Some(length) = region_length(rest) {
        return Some((Look::Region, until(length)));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    match digits {
        12 if image_length(rest).is_some() => {
            image_length(rest).map(|length| (Look::Image, until(length)))
        }
        12 if accounts.contains(&rest[..12]) => Some((Look::AccountId, until(12))),
        12 | 14 if is_moment(&rest[..digits]) => Some((Look::Timestamp, until(digits))),
        8 => moment_length(rest).map(|length| (Look::Timestamp, until(length))),
        4 => timestamp_length(rest).map(|length| (Look::Timestamp, until(length))),
        // Seconds since 1970, as SDKs put them behind names.
        10 if text[..at].ends_with('-') && rest.starts_with('1') => {
            Some((Look::Timestamp, until(10)))
        }
        _ => None,
    }
}

/// How long the bucket's name at the start of a text is.
pub(super) fn bucket_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')))
        .unwrap_or(text.len())
}

/// The length of `account.dkr.ecr.region.suffix/repository:tag`.
fn image_length(text: &str) -> Option<usize> {
    if !text[12..].starts_with(".dkr.ecr") {
        return None;
    }
    Some(
        text.find(|c: char| {
            !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@'))
        })
        .unwrap_or(text.len()),
    )
}

/// The length of a region's name at the start of a text.
pub(super) fn region_length(text: &str) -> Option<usize> {
    const AREAS: [&str; 14] = [
        "us", "eu", "ap", "sa", "ca", "me", "af", "il", "cn", "mx", "eusc", "uk", "in", "nz",
    ];
    const WORDS: [&str; 14] = [
        "gov",
        "iso",
        "isob",
        "isoe",
        "isof",
        "east",
        "west",
        "north",
        "south",
        "central",
        "northeast",
        "northwest",
        "southeast",
        "southwest",
    ];
    let end = text
        .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        .unwrap_or(text.len());
    let mut parts = text[..end].split('-');
    let area = parts.next()?;
    if !AREAS.contains(&area) {
        return None;
    }
    let mut length = area.len();
    let mut words = 0;
    for part in parts {
        length += 1 + part.len();
        if WORDS.contains(&part) {
            words += 1;
        } else {
            let is_number = part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_digit());
            return (words > 0 && is_number).then_some(length);
        }
    }
    None
}

/// The length of `20261122T192756`, with `T`, `-` or `_` between day and time.
fn moment_length(text: &str) -> Option<usize> {
    const LENGTH: usize = 15;
    let (day, rest) = text.split_at_checked(8)?;
    let time = rest.strip_prefix(['T', '-', '_'])?.get(..6)?;
    let ends = !text[LENGTH..].starts_with(|c: char| c.is_ascii_alphanumeric());
    (ends && is_moment(&format!("{day}{time}"))).then_some(LENGTH)
}

/// The length of `2026-11-22-19-27-56-373` (at least to the seconds).
fn timestamp_length(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '-'))
        .unwrap_or(text.len());
    let parts: Vec<&str> = text[..end].trim_end_matches('-').split('-').collect();
    let is_time = parts.len() >= 6
        && parts[0].starts_with("20")
        && parts[1..6].iter().all(|part| part.len() == 2);
    is_time.then(|| {
        parts[..parts.len().min(7)]
            .iter()
            .map(|part| part.len() + 1)
            .sum::<usize>()
            - 1
    })
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Look, find};

    #[test]
    fn accounts_regions_and_the_like_are_found() {
        for (text, expected) in [
            (
                "arn:aws:iam::111122223333:role/r",
                vec![(Look::Arn, "arn:aws:iam::111122223333:role/r")],
            ),
            (
                "s3://b-1/2026-11-22-19-27-56-373/x",
                vec![
                    (Look::Bucket, "b-1"),
                    (Look::Timestamp, "2026-11-22-19-27-56-373"),
                ],
            ),
            (
                "x-111122223333-us-gov-west-1-y",
                vec![
                    (Look::AccountId, "111122223333"),
                    (Look::Region, "us-gov-west-1"),
                ],
            ),
            ("1.dkr.ecr.eu-south-2.x", vec![(Look::Region, "eu-south-2")]),
            (
                "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b:1 z",
                vec![(
                    Look::Image,
                    "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b:1",
                )],
            ),
            (
                "ProfilerReport-1795375676",
                vec![(Look::Timestamp, "1795375676")],
            ),
            (
                "subnet-0a1b2c3d sg-1",
                vec![(Look::Subnet, "subnet-0a1b2c3d")],
            ),
            (
                "https://sqs.us-east-1.amazonaws.com/1/q",
                vec![(Look::Queue, "https://sqs.us-east-1.amazonaws.com/1/q")],
            ),
            ("s3://", vec![]),
            (
                "s3://b/run-202104051057/20210405T105703",
                vec![
                    (Look::Bucket, "b"),
                    (Look::Timestamp, "202104051057"),
                    (Look::Timestamp, "20210405T105703"),
                ],
            ),
            ("004912345678 202199051057 20210405-99", vec![]),
            (
                "ml.m5.large 1234567890123 us-east eu-1 focus-east-1 ü",
                vec![],
            ),
        ] {
            let mut accounts = Accounts::default();
            accounts.add(text, "x");
            assert_eq!(find(text, &accounts), expected, "{text}");
        }
    }

    #[test]
    fn twelve_digits_are_an_account_only_where_one_can_stand() {
        for (text, key, is_account) in [
            ("arn:aws:iam::202104051057:role/r", "x", true),
            ("see arn:aws:sns:eu-west-1:202104051057:t now", "x", true),
            (
                "202104051057.dkr.ecr.eu-west-1.amazonaws.com/i:1",
                "x",
                true,
            ),
            (
                "https://sqs.eu-west-1.amazonaws.com/202104051057/q",
                "x",
                true,
            ),
            ("s3://data-004912345678/x", "x", true),
            ("sagemaker-eu-west-1-004912345678", "x", true),
            ("004912345678", "AccountId", true),
            ("004912345678", "SEED", false),
            ("s3://b/004912345678/x", "x", false),
            ("s3://run-202104051057/x", "x", false),
            ("arn:aws:s3:::b/202104051057:x", "x", false),
        ] {
            let mut accounts = Accounts::default();
            accounts.add(text, key);
            assert_eq!(!accounts.0.is_empty(), is_account, "{text}");
        }
    }
}
