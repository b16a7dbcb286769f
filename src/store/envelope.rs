//! The form of a twin's record on disk: version, revision, checksum, payload.
//!
//! The checksum covers the key too, so that a record that was moved under another patient's key is refused. It finds
//! accidents and clumsy tampering; it is no signature, since it holds no secret.

use sha2::{Digest as _, Sha256};

use super::{Revision, Stored};

/// Version of this form. A record of another version counts as absent; the twin is rebuilt.
pub const SCHEMA: u16 = 1;

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
pub fn seal(key: &[u8; 32], revision: Revision, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + SUM + payload.len());
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&SCHEMA.to_be_bytes());
    out.extend_from_slice(&revision.0.to_be_bytes());
    let sum = checksum(key, &out, payload);
    out.extend_from_slice(&sum);
    out.extend_from_slice(payload);
    out
}

/// Takes it out again.
///
/// # Errors
/// [`Damage`], to be treated as absence.
pub fn open(key: &[u8; 32], bytes: &[u8]) -> Result<Stored, Damage> {
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or(Damage::Foreign)?;
    let (sum, payload) = rest.split_at_checked(SUM).ok_or(Damage::Foreign)?;
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
    if checksum(key, head, payload) != *sum {
        return Err(Damage::Checksum);
    }
    Ok(Stored {
        revision: Revision(u64::from_be_bytes(*revision)),
        payload: payload.to_vec(),
    })
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

    #[test]
    fn comes_back() {
        let sealed = seal(&[7; 32], Revision(9), b"payload");
        assert_eq!(
            open(&[7; 32], &sealed).unwrap(),
            Stored {
                revision: Revision(9),
                payload: b"payload".to_vec()
            }
        );
        assert_eq!(open(&[7; 32], &seal(&[7; 32], Revision(1), b"")).unwrap().payload, b"");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal(&[7; 32], Revision(9), b"payload");
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
        let mut sealed = seal(&[7; 32], Revision(9), b"payload");
        assert_eq!(open(&[8; 32], &sealed), Err(Damage::Checksum));
        sealed[3] = 2;
        assert_eq!(open(&[7; 32], &sealed), Err(Damage::Version(2)));
    }
}
