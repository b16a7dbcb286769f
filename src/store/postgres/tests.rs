#![allow(clippy::unwrap_used, clippy::print_stderr)]

use super::*;
use crate::store::{
    FeedbackRecord, Log, LogError, TwinKey, TwinStore,
    contract::{contract, like_a_map, no_lost_update, record, replay_guard},
    inbox::{Fact, Inbox, Message, Refused, Taken},
    replay::ReplayGuard as _,
};

#[path = "../../../tests/postgres/server.rs"]
#[allow(missing_docs, dead_code)]
pub mod server;
use server::Postgres;

fn settings(server: &Postgres) -> PostgresSettings {
    PostgresSettings {
        url: server.url(),
        password_file: None,
        tls: Tls::Disable,
        ca_file: None,
        connections: 4,
        timeout: Duration::from_secs(5),
        keep_days: None,
    }
}

fn raw(database: &Arc<Database>, sql: &'static str) -> Result<Vec<String>, Failed> {
    database.ask_long(move |client| {
        Box::pin(async move {
            let messages = client.simple_query(sql).await.map_err(failed)?;
            let row = |message: &tokio_postgres::SimpleQueryMessage| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            };
            Ok(messages.iter().filter_map(row).collect())
        })
    })
}

/// One database server for all, since each takes a second to start.
#[test]
fn a_database_is_as_good_as_a_disk() {
    let Some(server) = Postgres::start() else { return };
    // Two servers that start together, as two processes would.
    let both: Vec<Arc<Database>> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| Database::open(&settings(&server)).unwrap()))
            .collect();
        opening.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (one, two) = (both.first().unwrap(), both.last().unwrap());
    let twins = PostgresTwins(Arc::clone(one));
    contract(&twins);
    no_lost_update(&twins);
    let empty = || {
        raw(
            one,
            "BEGIN; SET LOCAL jumeau.every_tenant = 'on'; DELETE FROM jumeau_twins; COMMIT",
        )
        .unwrap();
        Box::new(PostgresTwins(Arc::clone(one))) as Box<dyn TwinStore>
    };
    like_a_map(empty, 8);
    replay_guard(&PostgresGuard(Arc::clone(one)));

    // What one wrote the other knows.
    let until = jiff::Timestamp::now() + Duration::from_secs(60);
    let (first, second) = (PostgresGuard(Arc::clone(one)), PostgresGuard(Arc::clone(two)));
    assert!(first.claim(&[99; 32], until).unwrap());
    assert!(!second.claim(&[99; 32], until).unwrap());
    let log = PostgresLog::<FeedbackRecord>::new(Arc::clone(one), "feedback");
    log.append_all(&[record(1), record(2)]).unwrap();
    let log = PostgresLog::<FeedbackRecord>::new(Arc::clone(two), "feedback");
    log.append(&record(3)).unwrap();
    assert_eq!(log.read_all().unwrap(), [record(1), record(2), record(3)]);
    let other = PostgresLog::<FeedbackRecord>::new(Arc::clone(two), "another");
    assert_eq!(other.read_all().unwrap(), []);
    let renamed = |mut record: FeedbackRecord| {
        record.service = "renamed".to_owned();
        Ok(record)
    };
    assert_eq!(log.rewrite(&mut { renamed }).unwrap(), 3);
    assert!(log.read_all().unwrap().iter().all(|record| record.service == "renamed"));
    let mut long = record(4);
    long.service = "x".repeat(super::super::journal::MAX_RECORD);
    assert!(matches!(log.append(&long), Err(LogError::TooLarge { .. })));

    inbox(one, two);
    apart(one);
    expiry(&server);

    // The database ends and comes back.
    let key = TwinKey::new("t", "p", "m");
    twins.put(&key, None, b"kept").unwrap();
    server.stop();
    let begun = Instant::now();
    assert!(twins.get(&key).is_err() && twins.trouble().is_some());
    let asked = Instant::now();
    assert!((0..100).all(|_| twins.get(&key).is_err()));
    assert!(
        asked.elapsed() < Duration::from_millis(100),
        "it is left alone for a moment"
    );
    assert!(begun.elapsed() < Duration::from_secs(6));
    server.start_again();
    std::thread::sleep(REST);
    let begun = Instant::now();
    while twins.get(&key).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(twins.get(&key).unwrap().unwrap().payload, b"kept");
    assert_eq!(twins.trouble(), None);

    raw(one, "INSERT INTO jumeau_migrations (step) VALUES (1000)").unwrap();
    assert!(
        Database::open(&settings(&server))
            .err()
            .unwrap()
            .contains("newer version")
    );
}

/// What one server acknowledged the other knows, and what one forgot.
fn inbox(one: &Arc<Database>, two: &Arc<Database>) {
    let of = |database: &Arc<Database>| {
        let log = Arc::new(PostgresLog::new(Arc::clone(database), "inbox"));
        Inbox::new(
            log,
            Arc::new(PostgresTwins(Arc::clone(database))),
            jiff::SignedDuration::from_hours(24),
        )
    };
    let now = jiff::Timestamp::now();
    let fact = Fact {
        id: "x".to_owned(),
        at: now,
        resource: Some(serde_json::json!({ "value": 1 })),
    };
    let message = |content: &'static [u8]| Message {
        tenant: "north",
        id: "LAB|NORTH|1",
        content,
        patient: "patient-canary",
        facts: vec![fact.clone()],
    };
    let (first, second) = (of(one), of(two));
    assert_eq!(first.take(message(b"a"), now), Ok(Taken::New));
    assert_eq!(second.take(message(b"a"), now), Ok(Taken::Again));
    assert_eq!(second.take(message(b"b"), now), Err(Refused::Reused));
    assert_eq!(
        second.of("north", "patient-canary", now).unwrap(),
        std::slice::from_ref(&fact)
    );
    assert_eq!(second.forget("north", "patient-canary"), Ok(true));
    assert!(first.of("north", "patient-canary", now).unwrap().is_empty());
    first.restore(now).unwrap();
    assert!(first.of("north", "patient-canary", now).unwrap().is_empty());
    assert!(first.messages("north", "patient-canary").unwrap().is_empty());
}

/// A statement that says no tenant, or another, finds nothing.
fn apart(database: &Arc<Database>) {
    let twins = PostgresTwins(Arc::clone(database));
    for tenant in ["north", "south"] {
        twins
            .put(&TwinKey::new(tenant, "p", "m"), None, tenant.as_bytes())
            .unwrap();
    }
    assert_eq!(
        raw(database, "SELECT usesuper FROM pg_user WHERE usename = current_user").unwrap(),
        ["f"]
    );
    assert_eq!(raw(database, "SELECT tenant FROM jumeau_twins").unwrap(), [""; 0]);
    let south = "BEGIN; SET LOCAL jumeau.tenant = 'south'; SELECT tenant FROM jumeau_twins; COMMIT";
    assert_eq!(raw(database, south).unwrap(), ["south"]);
    let steal = "BEGIN; SET LOCAL jumeau.tenant = 'south'; UPDATE jumeau_twins SET payload = '' WHERE tenant = 'north' RETURNING tenant; COMMIT";
    assert_eq!(raw(database, steal).unwrap(), [""; 0]);
    let plant =
        "BEGIN; SET LOCAL jumeau.tenant = 'south'; INSERT INTO jumeau_twins VALUES ('north', '', 1, ''); COMMIT";
    assert!(raw(database, plant).unwrap_err().contains("row-level security"));
}

fn expiry(server: &Postgres) {
    let keeping = PostgresSettings {
        keep_days: Some(30),
        ..settings(server)
    };
    let database = Database::open(&keeping).unwrap();
    let twins = PostgresTwins(Arc::clone(&database));
    let key = |n: &str| TwinKey::new("age", n, "m");
    for n in ["read", "forgotten", "new"] {
        twins.put(&key(n), None, n.as_bytes()).unwrap();
    }
    raw(&database, "BEGIN; SET LOCAL jumeau.every_tenant = 'on'; UPDATE jumeau_twins SET touched = now() - interval '31 days' WHERE payload IN ('read', 'forgotten'); COMMIT").unwrap();
    twins.get(&key("read")).unwrap().unwrap();
    let pool = database.pool.clone();
    let runtime = database.runtime.as_ref().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    runtime.spawn(async move { send.send(clear_once(&pool, Some(Duration::from_secs(30 * 24 * 3600))).await) });
    receive.recv().unwrap().unwrap();
    let kept: Vec<bool> = ["read", "forgotten", "new"]
        .iter()
        .map(|n| twins.get(&key(n)).unwrap().is_some())
        .collect();
    assert_eq!(kept, [true, false, true]);
}

#[test]
fn settings_that_would_leak_or_cannot_work_are_refused() {
    let with = |url: &str, tls: Tls| PostgresSettings {
        url: url.to_owned(),
        password_file: None,
        tls,
        ca_file: None,
        connections: 4,
        timeout: Duration::from_millis(200),
        keep_days: None,
    };
    for (url, tls, named) in [
        ("postgres://j:secret@db.example/j", Tls::Require, "password_file"),
        ("postgres://j@db.example/j", Tls::Disable, "in clear"),
        ("http://db.example", Tls::Require, "store.postgres.url"),
        ("postgres://j@127.0.0.1:1/j", Tls::Disable, "store.postgres"),
    ] {
        let error = Database::open(&with(url, tls)).err().unwrap();
        assert!(error.contains(named) && !error.contains("secret"), "{url}: {error}");
    }
}
