//! What is answered: a status and a resource, in FHIR's JSON.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Bytes,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::error::Failure;

/// Media type of FHIR in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// The resource.
    pub body: Value,
}

impl Reply {
    /// 200 with a resource.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body,
        }
    }

    /// As one entry of a batch-response.
    #[must_use]
    pub fn entry(self) -> Value {
        let status = self.status.as_u16().to_string();
        if self.status.is_success() {
            return json!({ "resource": self.body, "response": { "status": status } });
        }
        json!({ "response": { "status": status, "outcome": self.body } })
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Self {
            status: failure.status,
            body: outcome(&failure),
        }
    }
}

/// The OperationOutcome of a failure.
#[must_use]
pub fn outcome(failure: &Failure) -> Value {
    let mut issue = json!({ "severity": "error", "code": failure.code, "diagnostics": failure.diagnostics });
    if let (Some(expression), Some(issue)) = (&failure.expression, issue.as_object_mut()) {
        issue.insert("expression".to_owned(), json!([expression]));
    }
    json!({ "resourceType": "OperationOutcome", "issue": [issue] })
}

/// An answer as it goes over the wire and as it is kept.
#[derive(Debug, Clone)]
pub struct Written {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON; empty for 202.
    pub body: Bytes,
    /// The job that will have the answer.
    pub job: Option<Uuid>,
}

impl Written {
    /// As JSON.
    #[must_use]
    pub fn of(reply: &Reply) -> Self {
        Self {
            status: reply.status,
            body: reply.body.to_string().into(),
            job: None,
        }
    }

    /// As an answer to a request that came to `base`.
    #[must_use]
    pub fn respond(self, base: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(job) = self.job {
            response.insert_header((header::CONTENT_LOCATION, format!("{base}/fhir/$async/{job}")));
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT) {
            response.insert_header((header::RETRY_AFTER, "2"));
        }
        if self.body.is_empty() {
            return response.finish();
        }
        response
            .insert_header((header::CONTENT_TYPE, FHIR_JSON))
            .body(self.body)
    }
}

impl From<Failure> for Written {
    fn from(failure: Failure) -> Self {
        Self::of(&failure.into())
    }
}
