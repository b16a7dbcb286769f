//! Public keys of an issuer. Specification: RFC 7517 (JSON Web Key), RFC 7518, sections 3.3, 3.4 and 6.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// A key for verifying, with the algorithms that it may be used for and no other.
#[derive(Clone)]
pub struct Key {
    id: String,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The keys of one set that can be used here.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl Keys {
    /// Reads a JSON Web Key Set. Keys of other kinds, for other uses and without an id are passed over, as the specification says.
    ///
    /// # Errors
    /// In words for the operator, when it is no key set, or when no key in it can be used.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let set: Value = serde_json::from_slice(text).map_err(|_| "it is not JSON".to_owned())?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or("it is not a JSON Web Key Set: {\"keys\": […]}")?;
        let usable: Vec<Key> = keys.iter().filter_map(key).collect();
        if usable.is_empty() {
            return Err(
                "no key in it can be used: each needs a kid, and must be EC on P-256 or P-384, or RSA of 2048 bits or more, for \
                 signatures"
                    .to_owned(),
            );
        }
        Ok(Self(usable))
    }

    /// The key of that id for that algorithm.
    #[must_use]
    pub fn find(&self, id: &str, algorithm: Algorithm) -> Option<&DecodingKey> {
        let fits = |key: &&Key| key.id == id && key.algorithms.contains(&algorithm);
        self.0.iter().find(fits).map(|key| &key.key)
    }
}

fn key(jwk: &Value) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    let verifies = |list: &Vec<Value>| list.iter().any(|one| one == "verify");
    if !jwk.get("key_ops").and_then(Value::as_array).is_none_or(verifies) {
        return None;
    }
    let (algorithms, key) = match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => (vec![Algorithm::ES256], ec(text("x")?, text("y")?, 32)?),
        ("EC", Some("P-384")) => (vec![Algorithm::ES384], ec(text("x")?, text("y")?, 48)?),
        ("RSA", _) => (vec![Algorithm::RS256, Algorithm::RS384], rsa(text("n")?, text("e")?)?),
        _ => return None,
    };
    let named = |algorithm: &Algorithm| text("alg").is_none_or(|name| name == format!("{algorithm:?}"));
    let algorithms: Vec<Algorithm> = algorithms.into_iter().filter(named).collect();
    let id = text("kid").filter(|id| !id.is_empty())?.to_owned();
    (!algorithms.is_empty()).then_some(Key { id, algorithms, key })
}

fn ec(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let is_coordinate = |text: &str| URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == length);
    (is_coordinate(x) && is_coordinate(y))
        .then(|| DecodingKey::from_ec_components(x, y).ok())
        .flatten()
}

fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let bytes = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let long = bytes.len() >= 256 && bytes.first().is_some_and(|first| *first != 0);
    long.then(|| DecodingKey::from_rsa_components(modulus, exponent).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn point(length: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![7u8; length])
    }

    #[test]
    fn each_key_has_its_algorithms_and_no_other() {
        let set = json!({ "keys": [
            { "kty": "EC", "crv": "P-384", "kid": "a", "x": point(48), "y": point(48), "use": "sig" },
            { "kty": "EC", "crv": "P-256", "kid": "b", "x": point(32), "y": point(32) },
            { "kty": "RSA", "kid": "c", "n": point(256), "e": "AQAB" },
            { "kty": "RSA", "kid": "d", "n": point(256), "e": "AQAB", "alg": "RS384" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "e", "x": point(32) },
            "nonsense",
        ]});
        let keys = Keys::parse(set.to_string().as_bytes()).unwrap();
        use Algorithm::{ES256, ES384, EdDSA, RS256, RS384};
        for (id, good) in [
            ("a", vec![ES384]),
            ("b", vec![ES256]),
            ("c", vec![RS256, RS384]),
            ("d", vec![RS384]),
            ("e", vec![]),
            ("", vec![]),
        ] {
            for algorithm in [ES256, ES384, RS256, RS384, EdDSA, Algorithm::HS256] {
                assert_eq!(
                    keys.find(id, algorithm).is_some(),
                    good.contains(&algorithm),
                    "{id} {algorithm:?}"
                );
            }
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_passed_over() {
        for bad in [
            json!({ "kty": "EC", "crv": "P-384", "x": point(48), "y": point(48) }),
            json!({ "kty": "EC", "crv": "P-384", "kid": "a", "x": point(48), "y": point(48), "use": "enc" }),
            json!({ "kty": "EC", "crv": "P-384", "kid": "a", "x": point(48), "y": point(48), "key_ops": ["sign"] }),
            json!({ "kty": "EC", "crv": "P-384", "kid": "a", "x": point(32), "y": point(48) }),
            json!({ "kty": "EC", "crv": "P-384", "kid": "a", "x": point(48), "y": point(48), "alg": "ES256" }),
            json!({ "kty": "RSA", "kid": "a", "n": point(128), "e": "AQAB" }),
            json!({ "kty": "oct", "kid": "a", "k": point(64) }),
        ] {
            let set = json!({ "keys": [bad] }).to_string();
            assert!(Keys::parse(set.as_bytes()).is_err(), "{set}");
        }
        for text in ["", "[]", "{}", "<html>", r#"{"keys":{}}"#, r#"{"keys":[]}"#] {
            assert!(Keys::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
