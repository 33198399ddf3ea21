//! The error of a call that ends with a status other than OK.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

#[derive(Clone, Debug)]
pub struct Error {
    pub code: Code,
    /// What went wrong, in a sentence.
    pub message: String,
    /// The gateway's name for the cause, or empty.
    pub reason: String,
    /// Path of the field to correct, or empty.
    pub field: String,
    /// When to try again; none if the gateway does not say.
    pub retry_after: Option<Duration>,
    /// More about the cause.
    pub metadata: BTreeMap<String, String>,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            reason: String::new(),
            field: String::new(),
            retry_after: None,
            metadata: BTreeMap::new(),
        }
    }

    pub(crate) fn lost() -> Self {
        Self::new(Code::Unavailable, "the connection to the gateway was lost")
    }

    /// Whether another gateway, or the same one later, may continue the call.
    pub fn is_retryable(&self) -> bool {
        match self.code {
            Code::Unavailable | Code::Cancelled => true,
            Code::ResourceExhausted => self.retry_after.is_some(),
            _ => false,
        }
    }

    /// gRPC's name of the code, such as `INVALID_ARGUMENT`.
    pub fn code_name(&self) -> String {
        let mut name = String::new();
        for letter in format!("{:?}", self.code).chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // A status of the gateway has no source; an error of the connection has the one below it.
        let cause = std::error::Error::source(&status).map(innermost);
        let details = status.get_error_details();
        let message = match &cause {
            Some(cause) => format!("{}: {cause}", status.message()),
            None => status.message().to_owned(),
        };
        let violation = details
            .bad_request()
            .and_then(|request| request.field_violations.first());
        let info = details.error_info();
        Self {
            code: if cause.is_some() {
                Code::Unavailable
            } else {
                status.code()
            },
            message,
            reason: info.map_or_else(String::new, |info| info.reason.clone()),
            field: violation.map_or_else(String::new, |violation| violation.field.clone()),
            retry_after: details.retry_info().map(|retry| retry.retry_delay.unwrap_or_default()),
            metadata: info
                .map(|info| info.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
        }
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

impl fmt::Display for Error {
    /// Code, message, and the known facts about the cause, in one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code_name(), self.message)?;
        let known = [("field", &self.field), ("reason", &self.reason)];
        let more = self.metadata.iter().map(|(name, value)| (name.as_str(), value));
        let facts: Vec<String> = known
            .into_iter()
            .chain(more)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        if facts.is_empty() {
            return Ok(());
        }
        write!(formatter, " ({})", facts.join(", "))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn the_details_of_a_status_are_in_the_error() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("UNKNOWN_MODEL", "", [("model".to_owned(), "m".to_owned())])
            .add_bad_request_violation("streaming_config.model", "")
            .set_retry_info(Some(Duration::from_millis(1500)));
        let error = Error::from(Status::with_error_details(
            Code::InvalidArgument,
            "no such model",
            details,
        ));
        assert_eq!(error.retry_after, Some(Duration::from_millis(1500)));
        assert_eq!(
            error.to_string(),
            "INVALID_ARGUMENT: no such model (field: streaming_config.model, reason: UNKNOWN_MODEL, model: m)"
        );
    }

    #[test]
    fn a_busy_gateway_is_retryable_only_if_it_says_when() {
        assert!(!Error::from(Status::resource_exhausted("busy")).is_retryable());
        let details = ErrorDetails::with_retry_info(Some(Duration::ZERO));
        assert!(Error::from(Status::with_error_details(Code::ResourceExhausted, "busy", details)).is_retryable());
    }
}
