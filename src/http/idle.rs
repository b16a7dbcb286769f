//! Closing connections that hold a place without asking anything.
//!
//! The framework bounds the time for the first request head of a connection and for silence between requests, but a client that
//! sends the first bytes of a second head has neither bound. Here a connection must bring a whole head within a given time of
//! its last answer; a client that does not read its answer is cut in the same way.

use std::{
    any::Any,
    io,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use actix_web::dev::Extensions;

/// How often connections are looked at.
const ROUND: Duration = Duration::from_secs(1);

/// Watches all connections of a server.
pub struct Watch {
    connections: Mutex<Vec<Weak<Connection>>>,
}

/// One connection, kept by the framework while it is open.
pub struct Connection {
    socket: TcpStream,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Busy,
    IdleSince(Instant),
}

impl Watch {
    /// Starts watching; ends by itself when the server is gone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(limit: Duration) -> io::Result<Arc<Self>> {
        let watch = Arc::new(Self {
            connections: Mutex::new(Vec::new()),
        });
        let weak = Arc::downgrade(&watch);
        std::thread::Builder::new()
            .name("idle-connections".to_owned())
            .spawn(move || {
                while let Some(watch) = weak.upgrade() {
                    watch.round(limit);
                    drop(watch);
                    std::thread::sleep(ROUND.min(limit));
                }
            })?;
        Ok(watch)
    }

    /// Takes note of a new connection, for [`actix_web::HttpServer::on_connect`].
    pub fn connected(&self, stream: &dyn Any, data: &mut Extensions) {
        // Without a second handle, for want of descriptors, the connection is served all the same.
        let Some(socket) = stream.downcast_ref().and_then(second_handle) else {
            return;
        };
        let connection = Arc::new(Connection {
            socket,
            state: Mutex::new(State::IdleSince(Instant::now())),
        });
        lock(&self.connections).push(Arc::downgrade(&connection));
        data.insert(connection);
    }

    fn round(&self, limit: Duration) {
        lock(&self.connections).retain(|weak| {
            let Some(connection) = weak.upgrade() else { return false };
            match *lock(&connection.state) {
                State::IdleSince(start) if start.elapsed() > limit => {
                    // An error means that it is closed already. The framework sees the end and tidies up.
                    let _ = connection.socket.shutdown(Shutdown::Both);
                    false
                }
                State::IdleSince(_) | State::Busy => true,
            }
        });
    }
}

#[cfg(unix)]
fn second_handle(stream: &actix_web::rt::net::TcpStream) -> Option<TcpStream> {
    use std::os::fd::AsFd;
    stream.as_fd().try_clone_to_owned().ok().map(TcpStream::from)
}

#[cfg(not(unix))]
fn second_handle(_: &actix_web::rt::net::TcpStream) -> Option<TcpStream> {
    None
}

/// While this lives, a request is being answered.
pub struct Busy(Arc<Connection>);

impl Busy {
    /// A request has come.
    #[must_use]
    pub fn start(connection: &Arc<Connection>) -> Self {
        *lock(&connection.state) = State::Busy;
        Self(Arc::clone(connection))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *lock(&self.0.state) = State::IdleSince(Instant::now());
    }
}

/// What is guarded here is valid after any panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
