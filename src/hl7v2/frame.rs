//! Frames of MLLP: `<VT> message <FS><CR>`. Specification: "Transport Specification: MLLP, Release 1", section 1.1.

const VT: u8 = 0x0B;
const FS: u8 = 0x1C;
const CR: u8 = 0x0D;
const LF: u8 = 0x0A;

/// Why bytes are no frames. The connection cannot go on: nobody knows where the next frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Something else than the start of a frame.
    #[error("bytes outside a frame")]
    Outside,
    /// A start within a frame, or an end that is not followed by a carriage return.
    #[error("a frame is not ended as it must be")]
    Unended,
    /// Longer than is accepted.
    #[error("a message is too long")]
    TooLong,
}

/// Takes bytes as they come and gives messages.
#[derive(Debug)]
pub struct Frames {
    largest: usize,
    message: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Within,
    Ending,
}

impl Frames {
    /// Messages of at most so many bytes.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        Self {
            largest,
            message: Vec::new(),
            state: State::Between,
        }
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.state != State::Between
    }

    /// Takes one byte; gives the message that it ends. Line ends between frames are passed over.
    ///
    /// # Errors
    /// [`FrameError`]; then nothing more may be given.
    pub fn push(&mut self, byte: u8) -> Result<Option<Vec<u8>>, FrameError> {
        match (self.state, byte) {
            (State::Between, VT) => self.state = State::Within,
            (State::Between, CR | LF) => {}
            (State::Between, _) => return Err(FrameError::Outside),
            (State::Within, FS) => self.state = State::Ending,
            (State::Within, VT) => return Err(FrameError::Unended),
            (State::Within, _) if self.message.len() >= self.largest => return Err(FrameError::TooLong),
            (State::Within, byte) => self.message.push(byte),
            (State::Ending, CR) => {
                self.state = State::Between;
                return Ok(Some(std::mem::take(&mut self.message)));
            }
            (State::Ending, _) => return Err(FrameError::Unended),
        }
        Ok(None)
    }
}

/// A message in its frame.
#[must_use]
pub fn framed(message: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 3);
    bytes.push(VT);
    bytes.extend_from_slice(message.as_bytes());
    bytes.extend_from_slice(&[FS, CR]);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8], largest: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Frames::new(largest);
        let mut messages = Vec::new();
        for byte in bytes {
            messages.extend(frames.push(*byte)?);
        }
        Ok(messages)
    }

    #[test]
    fn what_is_no_frame_is_told() {
        assert_eq!(
            all(b"\x0bone\x1c\r\r\n\x0btwo\x1c\r", 9),
            Ok(vec![b"one".to_vec(), b"two".to_vec()])
        );
        assert_eq!(all(b"\x0b\x1c\r", 9), Ok(vec![Vec::new()]));
        assert_eq!(all(b"MSH", 9), Err(FrameError::Outside));
        assert_eq!(all(b"\x0bone\x0btwo\x1c\r", 9), Err(FrameError::Unended));
        assert_eq!(all(b"\x0bone\x1ctwo", 9), Err(FrameError::Unended));
        assert_eq!(all(b"\x0b0123456789", 9), Err(FrameError::TooLong));
        assert_eq!(all(b"\x0b012345678\x1c\r", 9).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_framed_is_found_again(messages in prop::collection::vec("[^\x0b\x1c]{0,40}", 0..6)) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
            let expected: Vec<Vec<u8>> = messages.iter().map(|message| message.as_bytes().to_vec()).collect();
            prop_assert_eq!(all(&bytes, 1000), Ok(expected));
        }

        #[test]
        fn any_bytes_are_frames_or_an_error_and_nothing_is_kept_beyond_the_limit(
            bytes in prop::collection::vec(prop_oneof![Just(VT), Just(FS), Just(CR), any::<u8>()], 0..200),
        ) {
            let mut frames = Frames::new(20);
            for byte in bytes {
                match frames.push(byte) {
                    Err(_) => break,
                    Ok(message) => prop_assert!(message.unwrap_or_default().len() <= 20),
                }
                prop_assert!(frames.message.len() <= 20);
            }
        }
    }
}
