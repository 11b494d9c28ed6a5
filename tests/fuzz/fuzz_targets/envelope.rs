//! A custom resource's event that names whom to answer is answered within CloudFormation's limit, and no answer holds
//! the secret part of its address.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewright::custom_resource::{
    Envelope, Failure, LogLocation, Outcome, Reply, ReplyError, UrlPolicy,
};

/// What CloudFormation takes, in bytes.
const LIMIT: usize = 4096;

fuzz_target!(|event: &str| {
    let Ok(envelope) = Envelope::read(event, &UrlPolicy::of_region("eu-west-1").or_loopback())
    else {
        return;
    };
    let subject = envelope.subject();
    let failure = match envelope.request(&subject, "123456789012") {
        Ok(_) => Failure::new("for the test"),
        Err(failure) => failure,
    };
    let outcome = Outcome::Failed {
        physical_id: subject.failure_id().to_owned(),
        failure,
    };
    match Reply::new(&envelope, &outcome, &LogLocation::default()) {
        Ok(reply) => {
            assert!(reply.as_bytes().len() <= LIMIT);
            let reply: serde_json::Value =
                serde_json::from_slice(reply.as_bytes()).expect("a reply is JSON");
            let reason = reply["Reason"].as_str().expect("a failure has a reason");
            let address = envelope.response_url().expose();
            if let Some((_, signature)) =
                address.split_once('?').filter(|(_, query)| query.len() > 8)
            {
                assert!(!reason.contains(signature), "{reason}");
            }
        }
        Err(ReplyError::EnvelopeTooLarge { bytes }) => assert!(bytes >= LIMIT),
        Err(error) => panic!("a failure cannot be answered: {error}"),
    }
});
