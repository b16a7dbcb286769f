//! The way to the database: connections that say nothing any more, TLS, passwords.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::atomic::AtomicUsize,
};

use super::{tests::server::Postgres, *};
use crate::store::{TwinKey, TwinStore as _};

fn settings(url: String) -> PostgresSettings {
    PostgresSettings {
        url,
        password_file: None,
        tls: Tls::Disable,
        ca_file: None,
        connections: 2,
        timeout: Duration::from_millis(300),
        keep_days: None,
    }
}

/// A way to a database's socket whose connections can be made to carry nothing any more, as when a host is gone.
struct Wire {
    port: u16,
    /// Connections up to this one are dead.
    dead: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

impl Wire {
    fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (dead, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let wire = Self {
            port,
            dead: Arc::clone(&dead),
            made: Arc::clone(&made),
        };
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), UnixStream::connect(&socket).unwrap());
                let number = made.fetch_add(1, Ordering::SeqCst) + 1;
                let (back, dead) = ((near.try_clone().unwrap(), far.try_clone().unwrap()), Arc::clone(&dead));
                std::thread::spawn(move || carry(near, far, number, &dead));
                // What comes back is lost by the near end, which nobody reads for.
                std::thread::spawn(move || carry_back(back.1, back.0));
            }
        });
        wire
    }

    fn cut(&self) {
        self.dead.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

fn carry(mut near: TcpStream, mut far: UnixStream, number: usize, dead: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = near.read(&mut buffer) {
        if number > dead.load(Ordering::SeqCst) && far.write_all(buffer.get(..n).unwrap()).is_err() {
            return;
        }
    }
    let _ = far.shutdown(Shutdown::Both);
}

fn carry_back(mut far: UnixStream, mut near: TcpStream) {
    let _ = std::io::copy(&mut far, &mut near);
}

#[test]
fn connections_that_say_nothing_hold_nobody_up_and_are_replaced() {
    let Some(server) = Postgres::start() else { return };
    let wire = Wire::to(server.folder.path().join(".s.PGSQL.5432"));
    let url = format!("postgres://jumeau@127.0.0.1:{}/jumeau", wire.port);
    let database = Database::open(&settings(url)).unwrap();
    let twins = PostgresTwins(Arc::clone(&database));
    let key = TwinKey::new("t", "p", "m");
    twins.put(&key, None, b"kept").unwrap();
    // Both connections of the pool are made and used.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..50).for_each(|_| drop(twins.get(&key).unwrap())));
        }
    });
    wire.cut();
    let begun = Instant::now();
    let mut failed = 0;
    while twins.get(&key).is_err() {
        failed += 1;
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "the pool is full of dead connections"
        );
        std::thread::sleep(REST);
    }
    assert!((1..=2).contains(&failed), "each dead connection fails once: {failed}");
    // A question to a dead connection ends in time.
    wire.cut();
    let begun = Instant::now();
    assert!(twins.get(&key).is_err());
    assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
}

#[test]
fn the_database_is_who_it_says_and_asks_for_the_password() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(server) = Postgres::on_port(port) else { return };
    let folder = server.folder.path();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = PostgresSettings {
        password_file: Some(file("password", "canary\n")),
        tls: Tls::Require,
        ca_file: Some(folder.join("ca.pem")),
        timeout: Duration::from_secs(5),
        ..settings(format!("postgres://jumeau@localhost:{port}/jumeau"))
    };
    let database = Database::open(&good).unwrap();
    let key = TwinKey::new("t", "p", "m");
    PostgresTwins(database).put(&key, None, b"kept").unwrap();
    let refused = |settings: PostgresSettings| {
        let error = Database::open(&settings).err().unwrap();
        assert!(!error.contains("canary"), "{error}");
        error
    };
    let another = "postgres://jumeau@127.0.0.1:".to_owned() + &format!("{port}/jumeau");
    for (settings, why) in [
        (
            PostgresSettings {
                url: another,
                ..good.clone()
            },
            "certificate",
        ),
        // Of the system's authorities none vouches for it.
        (
            PostgresSettings {
                ca_file: None,
                ..good.clone()
            },
            "certificate",
        ),
        (
            PostgresSettings {
                password_file: Some(file("wrong", "canary2")),
                ..good.clone()
            },
            "password",
        ),
        (
            PostgresSettings {
                tls: Tls::Disable,
                ..good.clone()
            },
            "no encryption",
        ),
        (
            PostgresSettings {
                ca_file: Some(file("none", "")),
                ..good.clone()
            },
            "no certificate in it",
        ),
    ] {
        let error = refused(settings);
        assert!(error.contains(why), "{why}: {error}");
    }
}
