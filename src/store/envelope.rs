//! The form of a twin's record on disk: version, revision, checksum, tenant, payload.
//!
//! The checksum covers the key too, so that a record that was moved under another patient's key is refused. It finds
//! accidents and clumsy tampering; it is no signature, since it holds no secret.

use sha2::{Digest as _, Sha256};

use super::{Revision, Stored, TwinKey};

/// Version of this form. A record of another version counts as absent; the twin is rebuilt.
pub const SCHEMA: u16 = 2;

const MARK: [u8; 2] = *b"TW";
const SUM: usize = 32;
const HEAD: usize = MARK.len() + 2 + 8;

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Too short, or without the mark.
    #[error("not a twin record")]
    Foreign,
    /// Of another version of this software.
    #[error("a twin record of version {0}, this is version {SCHEMA}")]
    Version(u16),
    /// Changed since it was written, or written under another key.
    #[error("a twin record whose checksum is wrong")]
    Checksum,
}

/// Puts a payload into its envelope.
#[must_use]
pub fn seal(key: &TwinKey, revision: Revision, payload: &[u8]) -> Vec<u8> {
    // Ids of tenants are short; of one that is not, the key's digest still holds all.
    let tenant = key.tenant.as_bytes();
    let length = u16::try_from(tenant.len()).unwrap_or(u16::MAX);
    let tenant = tenant.get(..usize::from(length)).unwrap_or_default();
    let body = [&length.to_be_bytes(), tenant, payload].concat();
    let mut out = Vec::with_capacity(HEAD + SUM + body.len());
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&SCHEMA.to_be_bytes());
    out.extend_from_slice(&revision.0.to_be_bytes());
    let sum = checksum(&key.digest, &out, &body);
    out.extend_from_slice(&sum);
    out.extend_from_slice(&body);
    out
}

/// Takes it out again.
///
/// # Errors
/// [`Damage`], to be treated as absence.
pub fn open(digest: &[u8; 32], bytes: &[u8]) -> Result<(TwinKey, Stored), Damage> {
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or(Damage::Foreign)?;
    let (sum, body) = rest.split_at_checked(SUM).ok_or(Damage::Foreign)?;
    let (mark, head_rest) = head.split_first_chunk::<2>().ok_or(Damage::Foreign)?;
    let (version, revision) = head_rest.split_first_chunk::<2>().ok_or(Damage::Foreign)?;
    let revision = revision.first_chunk::<8>().ok_or(Damage::Foreign)?;
    if *mark != MARK {
        return Err(Damage::Foreign);
    }
    let version = u16::from_be_bytes(*version);
    if version != SCHEMA {
        return Err(Damage::Version(version));
    }
    if checksum(digest, head, body) != *sum {
        return Err(Damage::Checksum);
    }
    let (length, body) = body.split_first_chunk::<2>().ok_or(Damage::Foreign)?;
    let (tenant, payload) = body
        .split_at_checked(usize::from(u16::from_be_bytes(*length)))
        .ok_or(Damage::Foreign)?;
    let tenant = String::from_utf8(tenant.to_vec()).map_err(|_| Damage::Foreign)?;
    let stored = Stored {
        revision: Revision(u64::from_be_bytes(*revision)),
        payload: payload.to_vec(),
    };
    Ok((TwinKey::stored(tenant, *digest), stored))
}

fn checksum(key: &[u8; 32], head: &[u8], payload: &[u8]) -> [u8; SUM] {
    // The key and the head have fixed lengths, so the parts cannot run into each other.
    Sha256::new()
        .chain_update(key)
        .chain_update(head)
        .chain_update(payload)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn key(digest: u8) -> TwinKey {
        TwinKey::stored("north".to_owned(), [digest; 32])
    }

    #[test]
    fn comes_back() {
        for payload in [b"payload".as_slice(), b""] {
            let sealed = seal(&key(7), Revision(9), payload);
            let (found, stored) = open(&[7; 32], &sealed).unwrap();
            assert_eq!(found, key(7));
            assert_eq!((stored.revision, stored.payload.as_slice()), (Revision(9), payload));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal(&key(7), Revision(9), b"payload");
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&[7; 32], &bytes).is_err(), "bit {bit}");
        }
        for end in 0..sealed.len() {
            assert!(open(&[7; 32], &sealed[..end]).is_err(), "cut at {end}");
        }
        let mut longer = sealed;
        longer.push(0);
        assert_eq!(open(&[7; 32], &longer), Err(Damage::Checksum));
    }

    #[test]
    fn another_key_and_another_version_are_refused() {
        let mut sealed = seal(&key(7), Revision(9), b"payload");
        assert_eq!(open(&[8; 32], &sealed), Err(Damage::Checksum));
        sealed[3] = 1;
        assert_eq!(open(&[7; 32], &sealed), Err(Damage::Version(1)));
    }
}
