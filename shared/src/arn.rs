//! Amazon Resource Names, and the account and region that one names.

/// The parts of an ARN: `arn:<partition>:<service>:<region>:<account>:<resource>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// The partition, such as `aws` or `aws-cn`; never empty.
    pub partition: &'a str,
    /// The service, such as `sagemaker`; never empty.
    pub service: &'a str,
    /// The region; empty where the service has none, such as S3.
    pub region: &'a str,
    /// The account; empty where the service names none, such as S3.
    pub account: &'a str,
    /// The rest, which may hold further colons; never empty.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads an ARN; `None` if the text has another form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        let arn = Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        };
        let complete =
            !arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty();
        complete.then_some(arn)
    }
}

/// The account and region that a program runs in: what lies elsewhere is not
/// ours, whatever its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The account's 12 digits.
    pub account: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
}

impl Home {
    /// The account and region in an ARN; `None` if it names none or is not an ARN.
    #[must_use]
    pub fn of(arn: &str) -> Option<Self> {
        let arn = Arn::parse(arn)?;
        (is_account(arn.account) && !arn.region.is_empty()).then(|| Self {
            account: arn.account.to_owned(),
            region: arn.region.to_owned(),
        })
    }

    /// Whether an ARN names this account and region.
    #[must_use]
    pub fn holds(&self, arn: &str) -> bool {
        Arn::parse(arn).is_some_and(|arn| arn.account == self.account && arn.region == self.region)
    }
}

/// Whether a text is an account's id: 12 digits.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_gives_its_parts() {
        let arn = Arn::parse("arn:aws-cn:lambda:cn-north-1:111122223333:function:f:1").unwrap();
        assert_eq!(arn.partition, "aws-cn");
        assert_eq!(arn.service, "lambda");
        assert_eq!(arn.region, "cn-north-1");
        assert_eq!(arn.account, "111122223333");
        assert_eq!(arn.resource, "function:f:1");
        let bucket = Arn::parse("arn:aws:s3:::bucket").unwrap();
        assert_eq!((bucket.region, bucket.account), ("", ""));
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for text in [
            "",
            "arn",
            "function-arn",
            "arn:aws:lambda:r:1",
            "arn:aws:lambda:r:1:",
            "arn::lambda:r:1:function:f",
            "arn:aws::r:1:function:f",
            "urn:aws:lambda:r:1:function:f",
        ] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_same_account_and_region_are_home() {
        let function = "arn:aws:lambda:eu-west-1:123456789012:function:f";
        let home = Home::of(function).unwrap();
        assert!(home.holds("arn:aws:sagemaker:eu-west-1:123456789012:model/m"));
        for elsewhere in [
            "arn:aws:sagemaker:us-east-1:123456789012:model/m",
            "arn:aws:sagemaker:eu-west-1:210987654321:model/m",
            "arn:aws:s3:::bucket",
            "m",
        ] {
            assert!(!home.holds(elsewhere), "{elsewhere}");
        }
        for nowhere in [
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-west-1:1:function:f",
            "arn:aws:lambda::123456789012:function:f",
            "function-arn",
        ] {
            assert_eq!(Home::of(nowhere), None, "{nowhere}");
        }
    }
}
