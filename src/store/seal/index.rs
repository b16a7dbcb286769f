//! Where a sealed twin lies: under a keyed digest, so that somebody who holds the store cannot try patient ids one by one.
//!
//! The key of these digests is random, made with the ring and sealed in it: it stays when the keys that seal are changed.

use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use crate::store::TwinKey;

/// Bytes of the key.
pub const LENGTH: usize = 32;

/// Finds the place of a twin.
#[derive(Clone)]
pub struct Index(hmac::Key);

impl Index {
    /// With the key that the ring holds; `None` when it is none.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        (key.len() == LENGTH).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// A new key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn key() -> Result<Zeroizing<[u8; LENGTH]>, String> {
        let mut key = Zeroizing::new([0; LENGTH]);
        rand::fill(key.as_mut_slice()).map_err(|_| "the system has no random numbers")?;
        Ok(key)
    }

    /// Where the twin lies, or `None` when it cannot be said.
    #[must_use]
    pub fn place(&self, key: &TwinKey) -> Option<TwinKey> {
        let tag = hmac::sign(&self.0, &key.digest());
        let digest = <[u8; 32]>::try_from(tag.as_ref()).ok()?;
        Some(TwinKey::stored(key.tenant().to_owned(), digest))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_place_needs_the_key() {
        let twin = TwinKey::new("north", "p", "m");
        let index = |byte: u8| Index::of(&[byte; LENGTH]).unwrap();
        let place = index(1).place(&twin).unwrap();
        assert_eq!(index(1).place(&twin).unwrap(), place);
        assert_eq!(place.tenant(), "north");
        assert_ne!(place.digest(), twin.digest());
        assert_ne!(index(2).place(&twin).unwrap(), place);
        assert_ne!(index(1).place(&TwinKey::new("north", "q", "m")).unwrap(), place);
        assert!(Index::of(&[1; 31]).is_none());
        assert_ne!(Index::key().unwrap(), Index::key().unwrap());
    }
}
