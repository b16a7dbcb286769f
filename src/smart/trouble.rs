//! What can go wrong on the way to the page, and what is said of it. Nothing that was sent is repeated.

use actix_web::http::StatusCode;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The launch address was opened by hand: no `iss` or no `launch`.
    NotLaunched,
    /// A parameter is missing, too long or there twice.
    Malformed,
    /// The EHR is not configured here.
    NotAllowed,
    /// It could not be reached in time.
    Unreachable,
    /// Its configuration cannot be used.
    Configuration,
    /// Its configuration leads to an origin that is not configured here.
    Endpoint,
    /// It does not support PKCE with S256.
    NoPkce,
    /// No launch of ours, one that was used, or one that took too long.
    Used,
    /// A launch that another browser began.
    OtherBrowser,
    /// The answer of another authorisation server.
    OtherServer,
    /// Access was denied, by a person or by a rule.
    Denied,
    /// The authorisation server refused the request.
    Refused,
    /// The token endpoint refused the code.
    TokenRefused,
    /// The token answer cannot be used.
    TokenAnswer,
    /// No patient in context.
    NoPatient,
    /// The scopes granted do not cover the Patient.
    NoScope,
    /// No session, another browser's, or one that has ended.
    Ended,
    /// The twin is not served here.
    NoTwin,
    /// Too many pages at once.
    Busy,
    /// The record is not that of the patient in context.
    Contradiction,
    /// Data are missing that the twin cannot do without.
    MissingData,
    /// Not ready in time.
    Late,
    /// Ours.
    Internal,
}

impl Trouble {
    /// In the catalogue of words, `smart-ID-what` and `smart-ID-help`; also for the log.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::NotLaunched => "not-launched",
            Self::Malformed => "malformed",
            Self::NotAllowed => "not-allowed",
            Self::Unreachable => "unreachable",
            Self::Configuration => "configuration",
            Self::Endpoint => "endpoint",
            Self::NoPkce => "no-pkce",
            Self::Used => "used",
            Self::OtherBrowser => "other-browser",
            Self::OtherServer => "other-server",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::TokenRefused => "token-refused",
            Self::TokenAnswer => "token-answer",
            Self::NoPatient => "no-patient",
            Self::NoScope => "no-scope",
            Self::Ended => "ended",
            Self::NoTwin => "no-twin",
            Self::Busy => "busy",
            Self::Contradiction => "contradiction",
            Self::MissingData => "missing-data",
            Self::Late => "late",
            Self::Internal => "internal",
        }
    }

    /// The status of the page that says so.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotLaunched | Self::Malformed | Self::Used => StatusCode::BAD_REQUEST,
            Self::NotAllowed | Self::OtherBrowser | Self::OtherServer | Self::Denied | Self::NoScope | Self::Ended => {
                StatusCode::FORBIDDEN
            }
            Self::NoTwin => StatusCode::NOT_FOUND,
            Self::Unreachable
            | Self::Configuration
            | Self::Endpoint
            | Self::NoPkce
            | Self::Refused
            | Self::TokenRefused
            | Self::TokenAnswer
            | Self::NoPatient => StatusCode::BAD_GATEWAY,
            Self::Contradiction | Self::MissingData => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::Late => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
