//! Signed assertions of a confidential client (`private_key_jwt`), and its public key for those who check them. Specification: SMART App Launch 2.2,
//! "Client Authentication: Asymmetric"; RFC 7523; RFC 7518 for the keys.

use std::path::Path;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA384},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long an assertion is good; five minutes at most.
const LASTS: i64 = 240;
/// What the token request says that it carries.
pub const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A private key with its id.
pub struct Signer {
    id: String,
    key: Key,
}

enum Key {
    Es384(EcdsaKeyPair),
    Rs384(rsa::KeyPair),
}

impl std::fmt::Debug for Signer {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a key in PKCS#8 PEM: P-384, or RSA from 2048 bits on.
    ///
    /// # Errors
    /// In words for the operator; never with a part of the file.
    pub fn read(file: &Path, id: &str) -> Result<Self, String> {
        let name = file.display();
        let text = std::fs::read_to_string(file)
            .map(Zeroizing::new)
            .map_err(|e| format!("{name}: {e}"))?;
        let key = pkcs8(&text).and_then(|der| {
            let curve = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der).map(Key::Es384);
            curve.or_else(|_| rsa::KeyPair::from_pkcs8(&der).map(Key::Rs384)).ok()
        });
        let key = key.filter(|key| !matches!(key, Key::Rs384(pair) if pair.public_modulus_len() < 256));
        let key = key.ok_or_else(|| {
            format!(
                "{name} must hold one private key in PKCS#8 PEM (BEGIN PRIVATE KEY), P-384 or RSA of at least 2048 bits; \
                 openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 makes one"
            )
        })?;
        Ok(Self { id: id.to_owned(), key })
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Es384(_) => "ES384",
            Key::Rs384(_) => "RS384",
        }
    }

    /// An assertion that this client asks the token endpoint at `audience`, good for some minutes and once; `None` when the key cannot
    /// sign.
    #[must_use]
    pub fn assertion(&self, client: &str, audience: &str) -> Option<String> {
        let now = Timestamp::now().as_second();
        let head = json!({ "alg": self.algorithm(), "kid": self.id, "typ": "JWT" });
        let claims = json!({
            "iss": client, "sub": client, "aud": audience, "jti": Uuid::new_v4().to_string(), "iat": now, "exp": now + LASTS,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let signature = self.sign(signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Es384(pair) => Some(pair.sign(&random, text).ok()?.as_ref().to_vec()),
            Key::Rs384(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &random, text, &mut signature).ok()?;
                Some(signature)
            }
        }
    }

    /// The public key as a JSON Web Key.
    #[must_use]
    pub fn public(&self) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = json!({ "kid": self.id, "alg": self.algorithm(), "use": "sig", "key_ops": ["verify"] });
        let members: Vec<(&str, String)> = match &self.key {
            Key::Es384(pair) => {
                // Uncompressed: 4, then both coordinates.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                vec![
                    ("kty", "EC".to_owned()),
                    ("crv", "P-384".to_owned()),
                    ("x", number(x)),
                    ("y", number(y)),
                ]
            }
            Key::Rs384(pair) => {
                let (modulus, exponent) = integers(pair.public_key().as_ref()).unwrap_or_default();
                vec![
                    ("kty", "RSA".to_owned()),
                    ("n", number(modulus)),
                    ("e", number(exponent)),
                ]
            }
        };
        if let Some(own) = key.as_object_mut() {
            own.extend(
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), Value::String(value))),
            );
        }
        key
    }
}

/// The one key of a PEM file.
fn pkcs8(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = text.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, after) = rest.split_once("-----END PRIVATE KEY-----")?;
    if after.contains("-----BEGIN") {
        return None;
    }
    let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

/// Modulus and exponent of an RSAPublicKey in DER: a sequence of two integers.
fn integers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, _) = element(der, 0x30)?;
    let (modulus, rest) = element(inside, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    // A positive integer whose first bit is set has a zero before it.
    let unsigned = |bytes: &'_ [u8]| bytes.iter().position(|b| *b != 0).unwrap_or(0);
    Some((modulus.get(unsigned(modulus)..)?, exponent.get(unsigned(exponent)..)?))
}

/// The content of an element with that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (short, rest) = rest.split_first()?;
    let (length, rest) = if *short < 0x80 {
        (usize::from(*short), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
        let length = bytes
            .iter()
            .try_fold(0usize, |sum, b| sum.checked_mul(256)?.checked_add(usize::from(*b)))?;
        (length, rest)
    };
    (*first == tag).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::io::Write as _;

    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der},
        rsa::KeySize,
        signature::{ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey},
    };

    use super::*;

    fn signer(der: &[u8]) -> Signer {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let lines = STANDARD.encode(der);
        writeln!(file, "-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----").unwrap();
        Signer::read(file.path(), "k1").unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_is_proven_by_the_key_that_is_published() {
        let random = SystemRandom::new();
        let curve = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        for (signer, algorithm) in [(signer(curve.as_ref()), "ES384"), (signer(der.as_ref()), "RS384")] {
            let assertion = signer.assertion("app", "https://e.example/token").unwrap();
            let parts: Vec<&str> = assertion.split('.').collect();
            let read =
                |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
            assert_eq!(read(parts[0]), json!({"alg": algorithm, "kid": "k1", "typ": "JWT"}));
            let claims = read(parts[1]);
            assert_eq!(
                (claims["iss"].as_str(), claims["sub"].as_str()),
                (Some("app"), Some("app"))
            );
            assert_eq!(claims["aud"], "https://e.example/token");
            assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 300);
            let (text, signature) = assertion.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let key = signer.public();
            assert_eq!((key["kid"].as_str(), key.get("d")), (Some("k1"), None));
            if algorithm == "ES384" {
                let point = [vec![4], bytes(&key["x"]), bytes(&key["y"])].concat();
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                    .verify(text.as_bytes(), &signature)
                    .unwrap();
            } else {
                let (n, e) = (bytes(&key["n"]), bytes(&key["e"]));
                RsaPublicKeyComponents { n, e }
                    .verify(&RSA_PKCS1_2048_8192_SHA384, text.as_bytes(), &signature)
                    .unwrap();
            }
        }
    }

    #[test]
    fn what_is_no_key_is_named_and_not_repeated() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            file,
            "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----"
        )
        .unwrap();
        let error = Signer::read(file.path(), "k").unwrap_err();
        assert!(error.contains("PKCS#8") && !error.contains("c2VjcmV0"), "{error}");
        assert!(Signer::read(Path::new("/no/such/file"), "k").is_err());
    }
}
