//! Errors as FHIR OperationOutcomes. Specification: CDS Hooks 3.0.0-ballot, "HTTP Status Codes" and "Returning OperationOutcome".

use std::borrow::Cow;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde_json::json;

use super::headers::secure;
use crate::cds::{advisor::CallError, malformed::Malformed};

/// An error on its way to the client. Its texts never repeat what the client sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {diagnostics}")]
pub struct Failure {
    /// HTTP status.
    pub status: StatusCode,
    /// Code of FHIR's issue-type value set.
    pub code: &'static str,
    /// What is wrong and what would help.
    pub diagnostics: Cow<'static, str>,
    /// Member of the request at fault.
    pub expression: Option<String>,
}

impl Failure {
    /// A failure that no single member is to blame for.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            diagnostics: diagnostics.into(),
            expression: None,
        }
    }

    /// Words for an error of which only the status is known: those that the framework makes.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let (code, diagnostics) = match status.as_u16() {
            401 => ("login", "Authentication is required."),
            403 => ("forbidden", "This is not allowed."),
            404 => (
                "not-found",
                "There is nothing at this path. Services are listed at /cds-services.",
            ),
            405 => (
                "not-supported",
                "This path does not take this method; the header Allow says which it takes.",
            ),
            408 => ("timeout", "The request did not arrive in time."),
            413 => ("too-long", "The body is too long."),
            414 => ("too-long", "The path is too long."),
            415 => ("not-supported", "The body must be JSON: Content-Type application/json."),
            431 => ("too-long", "The headers are too long."),
            400..=499 => ("invalid", "The request cannot be understood."),
            503 => ("throttled", "The server has too much to do; try again."),
            _ => (
                "exception",
                "The server failed. The header X-Request-Id names the entry in its log.",
            ),
        };
        Self::new(status, code, diagnostics)
    }

    /// 404 for a service that is not on offer.
    #[must_use]
    pub fn no_service() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no service of this id. Services are listed at /cds-services.",
        )
    }

    /// 500 without any detail.
    #[must_use]
    pub fn internal() -> Self {
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// 503 with Retry-After.
    #[must_use]
    pub fn busy() -> Self {
        Self::of_status(StatusCode::SERVICE_UNAVAILABLE)
    }
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: error.fault.code(),
            diagnostics: error.message,
            expression: error.expression,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::MissingData(text) => Self::new(StatusCode::PRECONDITION_FAILED, "incomplete", text),
            CallError::Contradiction(text) => Self::new(StatusCode::PRECONDITION_FAILED, "conflict", text),
            CallError::BadRequest(text) => Self::new(StatusCode::BAD_REQUEST, "invalid", text),
            CallError::Internal => Self::internal(),
            CallError::Busy => Self::busy(),
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut issue = json!({ "severity": "error", "code": self.code, "diagnostics": self.diagnostics });
        if let (Some(expression), Some(issue)) = (&self.expression, issue.as_object_mut()) {
            issue.insert("expression".to_owned(), json!([expression]));
        }
        let body = json!({ "resourceType": "OperationOutcome", "issue": [issue] });
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, "application/json"));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((header::RETRY_AFTER, "1"));
            }
            // What is left of such a body is not wanted.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                response.force_close();
            }
            _ => {}
        }
        let mut response = response.body(body.to_string());
        // Here as well as in the middleware, which a panic passes by.
        secure(response.headers_mut());
        response
    }
}
