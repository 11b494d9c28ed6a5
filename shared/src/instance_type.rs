//! What the name of one of SageMaker's instance types tells.

/// Whether a text has the form of an instance type, `ml.<family>.<size>`.
#[must_use]
pub fn is_instance_type(text: &str) -> bool {
    let word = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(fits)
    };
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("ml"), Some(family), Some(size), None) => word(family) && word(size),
        _ => false,
    }
}

/// Whether an instance of this type, such as `ml.g5.xlarge`, has GPUs or another
/// accelerator (Trainium, Inferentia), which a program that computes on the CPU would pay
/// for and not use. AWS names these families by `g`, `p`, `trn` and `inf`, each with its
/// generation.
#[must_use]
pub fn has_accelerator(instance_type: &str) -> bool {
    let name = instance_type.strip_prefix("ml.").unwrap_or(instance_type);
    ["g", "p", "trn", "inf"].iter().any(|family| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accelerated_families_are_told_by_their_names() {
        for accelerated in [
            "ml.g4dn.xlarge",
            "ml.g6e.12xlarge",
            "ml.p3.2xlarge",
            "ml.p4de.24xlarge",
            "ml.trn1.2xlarge",
            "ml.inf2.xlarge",
        ] {
            assert!(has_accelerator(accelerated), "{accelerated}");
        }
        for other in [
            "ml.m5.xlarge",
            "ml.c6g.large",
            "ml.t3.medium",
            "ml.r7i.large",
            "local",
            "",
        ] {
            assert!(!has_accelerator(other), "{other}");
        }
    }
}
