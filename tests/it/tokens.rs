//! Keys and tokens as an EHR makes them, and as an attacker would.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// Where clients reach the server of the test.
pub const PUBLIC: &str = "https://twins.example";

pub fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The keys of an EHR.
pub struct Ehr {
    pub iss: String,
    p384: EcdsaKeyPair,
    p256: EcdsaKeyPair,
    rsa: rsa::KeyPair,
}

impl Ehr {
    pub fn new(iss: &str) -> Self {
        let curve = |algorithm| {
            let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
            EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref()).unwrap()
        };
        Self {
            iss: iss.to_owned(),
            p384: curve(&ECDSA_P384_SHA384_FIXED_SIGNING),
            p256: curve(&ECDSA_P256_SHA256_FIXED_SIGNING),
            rsa: rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap(),
        }
    }

    /// Public keys, as the EHR publishes them.
    pub fn jwks(&self) -> Value {
        let curve = |pair: &EcdsaKeyPair, name: &str, kid: &str| {
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": name, "kid": kid, "x": part(x), "y": part(y), "use": "sig" })
        };
        // RSAPublicKey of 2048 bits in DER: 4 bytes of the sequence, 4 of the modulus and its leading zero, then 256, 2, and the rest.
        let der = self.rsa.public_key().as_ref();
        let (modulus, exponent) = (&der[9..265], &der[267..]);
        json!({ "keys": [
            curve(&self.p384, "P-384", "es384"), curve(&self.p256, "P-256", "es256"),
            { "kty": "RSA", "kid": "rsa", "n": part(modulus), "e": part(exponent) },
        ]})
    }

    /// The public RSA key in the bytes that a confused verifier would take for a shared secret.
    pub fn rsa_public(&self) -> Vec<u8> {
        AsDer::<Pkcs8V1Der<'_>>::as_der(&self.rsa).unwrap();
        self.rsa.public_key().as_ref().to_vec()
    }

    pub fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, text, &mut signature).unwrap();
            signature
        };
        match algorithm {
            "ES384" => self.p384.sign(&random, text).unwrap().as_ref().to_vec(),
            "ES256" => self.p256.sign(&random, text).unwrap().as_ref().to_vec(),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            other => panic!("{other}"),
        }
    }

    /// Header and claims of a good token for a path.
    pub fn good(&self, path: &str) -> (Value, Value) {
        let now = Timestamp::now().as_second();
        (
            json!({ "alg": "ES384", "typ": "JWT", "kid": "es384" }),
            json!({ "iss": self.iss, "aud": format!("{PUBLIC}{path}"), "exp": now + 300, "iat": now, "jti": Uuid::new_v4().to_string() }),
        )
    }

    /// A token signed in a way that the header need not know.
    pub fn token(&self, head: &Value, claims: &Value, algorithm: &str) -> String {
        let text = format!("{}.{}", part(head.to_string()), part(claims.to_string()));
        let signature = self.sign(algorithm, text.as_bytes());
        format!("{text}.{}", part(signature))
    }

    /// A good token for a path.
    pub fn fresh(&self, path: &str) -> String {
        let (head, claims) = self.good(path);
        self.token(&head, &claims, "ES384")
    }
}

/// With members replaced, or taken away by null.
pub fn with(value: &Value, changes: Value) -> Value {
    let mut value = value.clone();
    let members = value.as_object_mut().unwrap();
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), change.clone());
        }
    }
    value
}
