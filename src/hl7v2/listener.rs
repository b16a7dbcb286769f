//! Where engines connect: one message after the other on a connection, each answered before the next is read.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{interval, timeout},
};

use super::{
    answer::{Verdict, answer},
    frame::{Frames, framed},
    message::{Message, Problem, decoded},
    read,
    settings::Hl7v2Settings,
};
use crate::{
    metrics,
    store::inbox::{self, Inbox, Refused, Taken},
};

/// Between messages; engines keep connections open.
const IDLE: Duration = Duration::from_secs(3600);
/// From the first byte of a message to its last, and for an answer.
const WITHIN: Duration = Duration::from_secs(30);
/// How often is looked whether something is to be forgotten.
const PRUNE: Duration = Duration::from_secs(24 * 3600);
/// After a connection could not be accepted, because there are no more file handles, say.
const PAUSE: Duration = Duration::from_millis(100);

/// What takes messages.
pub struct Receiver {
    settings: Hl7v2Settings,
    zone: TimeZone,
    inbox: Arc<Inbox>,
}

impl Receiver {
    /// For an inbox.
    #[must_use]
    pub fn new(settings: Hl7v2Settings, zone: TimeZone, inbox: Arc<Inbox>) -> Arc<Self> {
        Arc::new(Self { settings, zone, inbox })
    }

    /// Takes a message, and gives the answer to it, if one is wanted. Blocks.
    #[must_use]
    pub fn receive(&self, bytes: &[u8], now: Timestamp) -> Option<String> {
        let text = match decoded(bytes) {
            Ok(text) => text,
            Err(problem) => return self.unread(&String::from_utf8_lossy(bytes), problem, now),
        };
        match Message::parse(&text) {
            Ok(message) => {
                let verdict = self.judge(&message, bytes, now);
                self.answered(Some(&message), &verdict, now)
            }
            Err(problem) => self.unread(&text, problem, now),
        }
    }

    /// The answer to what cannot be read: its header may be readable, so that the sender learns which message it was.
    fn unread(&self, text: &str, problem: Problem, now: Timestamp) -> Option<String> {
        let head = text.split(['\r', '\n']).next().unwrap_or_default();
        self.answered(Message::parse(head).ok().as_ref(), &Verdict::Refused(problem), now)
    }

    fn answered(&self, message: Option<&Message<'_>>, verdict: &Verdict, now: Timestamp) -> Option<String> {
        metrics::message(verdict.name());
        if let Verdict::Refused(problem) = verdict {
            // Place and kind of what is wrong, never what the message says.
            tracing::warn!(code = problem.code, place = ?problem.place, "a message was refused: {}", problem.text);
        }
        answer(message, verdict, now)
    }

    fn judge(&self, message: &Message<'_>, bytes: &[u8], now: Timestamp) -> Verdict {
        let settings = &self.settings;
        let said = read::header(message, &self.zone, settings.accept_tests, now).and_then(|header| {
            let authority = settings.authority.as_deref();
            let said = read::said(message, &header, &self.zone, authority, &settings.systems)?;
            Ok((header, said))
        });
        let (header, said) = match said {
            Ok(found) => found,
            Err(problem) => return Verdict::Refused(problem),
        };
        let taken = self.inbox.take(
            inbox::Message {
                tenant: &settings.tenant,
                id: &header.id,
                content: bytes,
                patient: &said.patient,
                facts: said.facts,
            },
            now,
        );
        match taken {
            Ok(Taken::New | Taken::Again) => Verdict::Accepted,
            Err(Refused::Reused) => Verdict::Refused(Problem::reject(
                205,
                10,
                "another message with this number (MSH-10) was received before",
            )),
            Err(Refused::TooLarge) => Verdict::Refused(Problem::reject(
                207,
                1,
                "the message says more than is kept of one: send it in parts",
            )),
            Err(Refused::Failed(why)) => {
                metrics::store_failed("inbox");
                tracing::error!(why, "a message could not be kept");
                Verdict::Failed
            }
        }
    }

    /// Listens; what is returned runs while it is awaited.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn serve(self: Arc<Self>, listen: SocketAddr) -> io::Result<(impl Future<Output = ()> + Send, SocketAddr)> {
        let socket = std::net::TcpListener::bind(listen)?;
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket)?;
        let address = socket.local_addr()?;
        Ok((self.run(socket), address))
    }

    async fn run(self: Arc<Self>, socket: TcpListener) {
        let turns = Arc::new(Semaphore::new(self.settings.connections));
        let forgetful = Arc::clone(&self);
        tokio::spawn(async move {
            let mut days = interval(PRUNE);
            loop {
                days.tick().await;
                let inbox = Arc::clone(&forgetful.inbox);
                if let Ok(Err(why)) = tokio::task::spawn_blocking(move || inbox.prune(Timestamp::now())).await {
                    metrics::store_failed("inbox");
                    tracing::error!(why, "old messages could not be forgotten");
                }
            }
        });
        loop {
            let (connection, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if !self.settings.admits(peer.ip()) {
                tracing::warn!(peer = %peer.ip(), "a connection from an address that is not in hl7v2.peers was closed");
                continue;
            }
            let Ok(turn) = Arc::clone(&turns).try_acquire_owned() else {
                tracing::warn!("too many connections: one more was closed");
                continue;
            };
            let this = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = this.converse(connection).await {
                    tracing::info!(%error, "a connection ended");
                }
                drop(turn);
            });
        }
    }

    async fn converse(self: Arc<Self>, mut connection: TcpStream) -> io::Result<()> {
        let mut frames = Frames::new(self.settings.largest);
        let mut buffer = vec![0; 8192];
        let mut begun = tokio::time::Instant::now();
        loop {
            let patience = if frames.is_within() {
                WITHIN.saturating_sub(begun.elapsed())
            } else {
                IDLE
            };
            let count = timeout(patience, connection.read(&mut buffer)).await??;
            if count == 0 {
                return Ok(());
            }
            for byte in buffer.get(..count).unwrap_or_default() {
                let was_within = frames.is_within();
                let message = frames.push(*byte).map_err(io::Error::other)?;
                if !was_within {
                    begun = tokio::time::Instant::now();
                }
                let Some(message) = message else { continue };
                let this = Arc::clone(&self);
                let answered = tokio::task::spawn_blocking(move || this.receive(&message, Timestamp::now())).await;
                // Without an answer the sender sends it again.
                let answer = answered.map_err(io::Error::other)?;
                if let Some(answer) = answer {
                    timeout(WITHIN, connection.write_all(&framed(&answer))).await??;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::store::memory::{MemoryLog, MemoryStore};

    const MESSAGES: [&str; 3] = [
        "MSH|^~\\&|LAB|NORTH|J|H|202601151130+0000||ORU^R01|1|P|2.5.1\rPID|||p1^^^HOSP\rOBR||O1|F1||||202601150800\rOBX|1|NM|718-7^Hb^LN||13.5|g/dL^^UCUM|||||F\r",
        "MSH|^~\\&|EHR|NORTH|J|H|202601151130||RAS^O17|2|P|2.5.1\rPID|||p1\rORC|RE|P1\rRXA|0|2|202601150800|202601150930|1^x^RXNORM|1500|mg\rRXR|IV\r",
        "MSH|^~\\&|EHR|NORTH|J|H|||RDE^O11|3|P|2.5.1\rPID|||p1\rORC|NW|P1\rRXE||1^x^RXNORM|5||mg\rTQ1|||Q12H||||20260115\r",
    ];

    fn receiver() -> Arc<Receiver> {
        let inbox = Inbox::new(
            Arc::new(MemoryLog::new()),
            Arc::new(MemoryStore::new()),
            SignedDuration::from_hours(24),
        );
        Receiver::new(Hl7v2Settings::default(), TimeZone::UTC, Arc::new(inbox))
    }

    #[test]
    fn these_are_taken() {
        let receiver = receiver();
        for message in MESSAGES {
            let answer = receiver.receive(message.as_bytes(), Timestamp::now()).unwrap();
            assert!(answer.contains("MSA|AA|"), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_changed_in_a_message_it_is_answered(
            which in 0..MESSAGES.len(),
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), prop_oneof![Just(b'|'), Just(b'^'), Just(b'&'), Just(b'~'), Just(b'\r'), Just(0xc3), any::<u8>()], any::<bool>()),
                1..6,
            ),
        ) {
            let mut bytes = MESSAGES[which].as_bytes().to_vec();
            for (at, byte, insert) in changes {
                let at = at.index(bytes.len());
                if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
            }
            if let Some(answer) = receiver().receive(&bytes, Timestamp::now()) {
                prop_assert!(answer.starts_with("MSH") && answer.contains("MSA"));
                prop_assert!(Message::parse(&answer).is_ok(), "{}", answer);
            }
        }
    }
}
