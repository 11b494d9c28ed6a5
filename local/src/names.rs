//! ARNs and generated names.

/// The account that the stand-in plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// For example `eu-west-1`.
    pub region: String,
}

impl Account {
    /// The partition of the region, the second part of every ARN.
    pub fn partition(&self) -> &'static str {
        const BY_PREFIX: [(&str, &str); 7] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("us-isob-", "aws-iso-b"),
            ("us-isof-", "aws-iso-f"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-iso-", "aws-iso"),
            ("eusc-", "aws-eusc"),
        ];
        BY_PREFIX
            .iter()
            .find(|(prefix, _)| self.region.starts_with(prefix))
            .map_or("aws", |(_, partition)| partition)
    }

    /// The ARN of a SageMaker resource.
    ///
    /// `kind` is the resource's type in the ARN (`pipeline`, `model-package`, ...).
    pub fn arn(&self, kind: &str, name: &str) -> String {
        self.service_arn("sagemaker", kind, name)
    }

    /// The ARN of a resource of any service.
    pub fn service_arn(&self, service: &str, kind: &str, name: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{kind}/{name}",
            self.partition(),
            self.region,
            self.id,
        )
    }
}

/// The resource part of an ARN (`pipeline/name`), or the text itself when it is not an ARN.
pub fn resource_of(name_or_arn: &str) -> &str {
    if name_or_arn.starts_with("arn:") {
        name_or_arn.splitn(6, ':').nth(5).unwrap_or(name_or_arn)
    } else {
        name_or_arn
    }
}

/// The name in a name or an ARN of the given kind.
pub fn name_of<'a>(kind: &str, name_or_arn: &'a str) -> &'a str {
    let resource = resource_of(name_or_arn);
    resource
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(resource)
}

/// The name in lower case: the key that things are kept under, since no two of them differ by
/// case alone, and SageMaker has names in lower case in some ARNs.
pub fn key_of(kind: &str, name_or_arn: &str) -> String {
    name_of(kind, name_or_arn).to_ascii_lowercase()
}

/// Makes the random-looking parts of names: SplitMix64, written in base 36.
///
/// Seeded from outside, so that a test gets the same names every time.
#[derive(Debug, Clone)]
pub struct NameSource(u64);

impl NameSource {
    /// A source that is fixed by its seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `length` characters of `[a-z0-9]`.
    pub fn token(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(length);
        while text.len() < length {
            // Ten characters of base 36 fit in 64 bits with room to spare.
            let mut bits = self.next_u64();
            for _ in 0..10.min(length - text.len()) {
                let index = (bits % 36) as usize;
                text.push(char::from(ALPHABET[index]));
                bits /= 36;
            }
        }
        text
    }

    /// A job's name where its definition gives a prefix:
    /// `<prefix>-<execution id>-<10 characters>-<failed attempts>`, at most 63 long.
    pub fn prefixed_job_name(&mut self, prefix: &str, execution_id: &str, failed: u32) -> String {
        const PREFIX_LENGTH: usize = 37;
        let prefix: String = prefix.chars().take(PREFIX_LENGTH).collect();
        format!("{prefix}-{execution_id}-{}-{failed}", self.token(10))
    }

    /// A job's or model's name as Pipelines makes it:
    /// `pipelines-<execution id>-<step, shortened>-<10 characters>`, at most 63 long.
    pub fn job_name(&mut self, execution_id: &str, step: &str) -> String {
        const STEP_LENGTH: usize = 20;
        let short: String = step
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            })
            .take(STEP_LENGTH)
            .collect();
        format!(
            "pipelines-{execution_id}-{}-{}",
            short.trim_matches('-'),
            self.token(10)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(region: &str) -> Account {
        Account {
            id: "123456789012".to_owned(),
            region: region.to_owned(),
        }
    }

    #[test]
    fn an_arn_has_the_name_as_it_was_given_and_the_regions_partition() {
        assert_eq!(
            account("eu-west-1").arn("pipeline", "MyPipe"),
            "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/MyPipe"
        );
        assert_eq!(account("cn-north-1").partition(), "aws-cn");
        assert_eq!(account("us-gov-west-1").partition(), "aws-us-gov");
        assert_eq!(account("us-isob-east-1").partition(), "aws-iso-b");
    }

    #[test]
    fn a_name_and_its_arn_give_the_same_key() {
        let arn = account("eu-west-1").arn("pipeline", "MyPipe");
        assert_eq!(key_of("pipeline", &arn), "mypipe");
        assert_eq!(key_of("pipeline", "MyPipe"), "mypipe");
        assert_eq!(
            key_of("model-package", "arn:aws:sagemaker:r:1:model-package/g/3"),
            "g/3"
        );
    }

    #[test]
    fn generated_names_differ_and_keep_to_the_services_limits() {
        let mut names = NameSource::new(7);
        let one = names.job_name("p4jn9xou8a8s", "A_step with-a very long name that goes on");
        let two = names.job_name("p4jn9xou8a8s", "A_step with-a very long name that goes on");
        assert_ne!(one, two);
        assert!(one.len() <= 63, "{one}");
        assert!(one.starts_with("pipelines-p4jn9xou8a8s-A-step-with-a-very-"));
        assert_eq!(names.token(12).len(), 12);
        let mine = names.prefixed_job_name(&"prefix-".repeat(9), "p4jn9xou8a8s", 0);
        assert_eq!(mine.len(), 63, "{mine}");
        assert!(mine.starts_with("prefix-prefix-"), "{mine}");
    }
}
