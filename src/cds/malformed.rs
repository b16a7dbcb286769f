//! What is wrong with a request, in words that help its author and repeat nothing of it.

use std::borrow::Cow;

/// The kinds of fault, as FHIR's issue types name them (<https://hl7.org/fhir/R4/valueset-issue-type.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON, or JSON of the wrong shape.
    Structure,
    /// A required member is missing.
    Required,
    /// A member has a value that cannot be right.
    Value,
    /// A well-formed request for something that is not on offer.
    NotSupported,
}

impl Fault {
    /// Code in FHIR's issue-type value set.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::NotSupported => "not-supported",
        }
    }
}

/// A malformed request: the HTTP layer answers 400 with an OperationOutcome.
///
/// Requests hold health data and tokens, and error texts end up in logs and on screens; so `message` and `expression` are
/// built from member names of the specification and from positions, never from what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// Kind of fault.
    pub fault: Fault,
    /// The member at fault, `context.patientId`; absent when the body as a whole is.
    pub expression: Option<String>,
    /// What is wrong and what would be right.
    pub message: Cow<'static, str>,
}

impl Malformed {
    /// A fault of one member.
    #[must_use]
    pub fn member(fault: Fault, expression: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault,
            expression: Some(expression.into()),
            message: message.into(),
        }
    }

    /// A fault of the body as a whole.
    #[must_use]
    pub fn body(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault: Fault::Structure,
            expression: None,
            message: message.into(),
        }
    }
}
