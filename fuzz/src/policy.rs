//! The text of a policy file.

use otel_messaging::Telemetry;
use otel_messaging::policy::Policy;

pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    match text.parse::<Policy>() {
        Ok(policy) => {
            assert_eq!(text.parse::<Policy>().ok().as_ref(), Some(&policy));
            drop(Telemetry::new().policy(policy));
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.starts_with("policy: ") && told.len() > "policy: ".len());
        }
    }
}
