//! The parts of a token that are read: header and claims, with the types that the specifications give them. A claim of another type
//! is an error, and never as good as absent; nor may a claim be there twice (RFC 8725, section 2.4).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, de::DeserializeOwned};

use super::verify::Refusal;

/// Longest token that is looked at. Those of EHRs are about 1 KiB.
const LONGEST: usize = 8 * 1024;
/// Longest `jti` and `kid`.
const LONGEST_ID: usize = 256;

/// The header. Keys that a token brings along (`jwk`, `x5c`, `x5u`) are not looked at.
#[derive(Debug, Deserialize)]
pub struct Head {
    /// Algorithm; one of [`ALLOWED`].
    pub alg: Algorithm,
    /// Which key signed it.
    pub kid: String,
    /// Where the issuer's keys are, if it says so.
    #[serde(default)]
    pub jku: Option<String>,
    /// Kind of token.
    #[serde(default)]
    typ: Option<String>,
    /// Extensions that a reader must understand; we understand none.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// What the issuer claims.
#[derive(Debug, Clone, Deserialize)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The addresses that it is for.
    aud: Audience,
    /// End, seconds since 1970.
    pub exp: f64,
    /// When it was made, seconds since 1970.
    pub iat: f64,
    /// Beginning, seconds since 1970.
    #[serde(default)]
    pub nbf: Option<f64>,
    /// Its id, unique for the issuer.
    pub jti: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Asymmetric algorithms that EHRs use. The specification recommends the first two.
pub const ALLOWED: [Algorithm; 4] = [Algorithm::ES384, Algorithm::RS384, Algorithm::ES256, Algorithm::RS256];

impl Claims {
    /// Whether it is for this address: exactly, with no prefix and no other spelling.
    #[must_use]
    pub fn is_for(&self, url: &str) -> bool {
        match &self.aud {
            Audience::One(one) => one == url,
            Audience::Many(many) => many.iter().any(|one| one == url),
        }
    }
}

/// Reads a token in compact form. Nothing in it can be relied on yet.
///
/// # Errors
/// [`Refusal::Malformed`], [`Refusal::Algorithm`].
pub fn read(token: &str) -> Result<(Head, Claims), Refusal> {
    let mut parts = token.split('.');
    let (Some(head), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::Malformed);
    };
    if token.len() > LONGEST {
        return Err(Refusal::Malformed);
    }
    let head: Head = part(head)?;
    if !ALLOWED.contains(&head.alg) {
        return Err(Refusal::Algorithm);
    }
    let claims: Claims = part(claims)?;
    let is_id = |id: &str| (1..=LONGEST_ID).contains(&id.len());
    let typed = head.typ.as_ref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    let sound = typed && head.crit.is_none() && is_id(&head.kid) && is_id(&claims.jti);
    sound.then_some((head, claims)).ok_or(Refusal::Malformed)
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token(head: &str, claims: &str) -> String {
        format!(
            "{}.{}.c2ln",
            URL_SAFE_NO_PAD.encode(head),
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    const HEAD: &str = r#"{"alg":"ES384","kid":"k","typ":"JWT"}"#;
    const CLAIMS: &str = r#"{"iss":"i","aud":"a","exp":2,"iat":1,"jti":"j","tenant":"x"}"#;

    #[test]
    fn a_token_is_read_and_unknown_members_ignored() {
        let (head, claims) = read(&token(HEAD, CLAIMS)).unwrap();
        assert_eq!((head.alg, head.kid.as_str()), (Algorithm::ES384, "k"));
        assert_eq!((claims.iss.as_str(), claims.exp), ("i", 2.0));
        assert!(claims.is_for("a") && !claims.is_for("a/") && !claims.is_for(""));
        let many = CLAIMS.replace(r#""aud":"a""#, r#""aud":["b","a"]"#);
        assert!(read(&token(HEAD, &many)).unwrap().1.is_for("a"));
    }

    #[test]
    fn wrong_types_absences_and_repetitions_are_refused() {
        for (from, to) in [
            (r#""exp":2"#, r#""exp":"2""#),
            (r#""exp":2"#, r#""exp":null"#),
            (r#""exp":2"#, r#""exp":1e999"#),
            (r#""exp":2,"#, ""),
            (r#""exp":2"#, r#""exp":2,"exp":9"#),
            (r#""iat":1,"#, ""),
            (r#""iat":1"#, r#""iat":true"#),
            (r#""iat":1"#, r#""iat":1,"nbf":"1""#),
            (r#","jti":"j""#, ""),
            (r#""jti":"j""#, r#""jti":"""#),
            (r#""jti":"j""#, r#""jti":7"#),
            (r#""iss":"i","#, ""),
            (r#""iss":"i""#, r#""iss":["i"]"#),
            (r#""aud":"a","#, ""),
            (r#""aud":"a""#, r#""aud":{"a":1}"#),
        ] {
            let changed = CLAIMS.replace(from, to);
            assert_ne!(changed, CLAIMS);
            assert!(read(&token(HEAD, &changed)).is_err(), "{changed}");
        }
        for head in [
            r#"{"alg":"none","kid":"k"}"#,
            r#"{"alg":"NONE","kid":"k"}"#,
            r#"{"alg":"HS256","kid":"k"}"#,
            r#"{"alg":"PS384","kid":"k"}"#,
            r#"{"alg":"ES384"}"#,
            r#"{"alg":"ES384","kid":7}"#,
            r#"{"alg":"ES384","kid":""}"#,
            r#"{"alg":"ES384","kid":"k","typ":"at+jwt"}"#,
            r#"{"alg":"ES384","kid":"k","crit":["b64"]}"#,
            r#"{"alg":"ES384","alg":"ES384","kid":"k"}"#,
            r#"[]"#,
        ] {
            assert!(read(&token(head, CLAIMS)).is_err(), "{head}");
        }
        for text in ["", ".", "..", "a.b.c", "....", &".".repeat(5000)] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&token(HEAD, CLAIMS).replace(".c2ln", "")).is_err());
        assert!(read(&token(HEAD, &CLAIMS.replace('x', &"x".repeat(9000)))).is_err());
    }
}
