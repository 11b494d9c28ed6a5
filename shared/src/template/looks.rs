//! Texts that look as if they belonged to one account, region or day.

use std::fmt;
use std::ops::Range;

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
    /// Twelve digits.
    AccountId,
    /// `eu-central-1`
    Region,
    /// `subnet-0a1b2c3d`
    Subnet,
    /// `sg-0a1b2c3d`
    SecurityGroup,
    /// `2026-11-22-19-27-56-373`, or ten digits after a dash.
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

/// What in a text looks static, from left to right; what lies inside of
/// something else is not named again.
pub(super) fn find(text: &str) -> Vec<(Look, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match look_at(text, at) {
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

fn look_at(text: &str, at: usize) -> Option<(Look, Range<usize>)> {
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
        // Without a name the bucket is a hole or joined to it.
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
        12 => Some(image_length(rest).map_or_else(
            || (Look::AccountId, until(12)),
            |length| (Look::Image, until(length)),
        )),
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
    use super::{Look, find};

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
                "ml.m5.large 1234567890123 us-east eu-1 focus-east-1 ü",
                vec![],
            ),
        ] {
            assert_eq!(find(text), expected, "{text}");
        }
    }
}
