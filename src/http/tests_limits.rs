//! Long, slow, packed and many requests.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::{
    server::HttpSettings,
    testing::{Running, settings, view},
};

const PATH: &str = "/cds-services/patient-view";

fn padded(bytes: usize) -> Vec<u8> {
    let mut body = view("p1");
    body["extension"] = json!({ "pad": "x".repeat(bytes) });
    body.to_string().into_bytes()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("written");
    encoder.finish().expect("finished")
}

#[test]
fn long_bodies() {
    let server = Running::start(settings());
    assert_eq!(server.post(PATH, &padded(5 << 20)).status, 200);
    assert_eq!(server.post(PATH, &padded(15 << 20)).status, 200);
    // The server closes while the client still writes: some clients see the answer, some a reset.
    assert!(matches!(server.post(PATH, &padded(17 << 20)).status, 413 | 0));
    let announced = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{{"
    );
    server.raw(announced.as_bytes()).issue(413);
    assert_eq!(server.post(PATH, &padded(0)).status, 200);
}

#[test]
fn chunked_bodies_are_limited_as_they_come() {
    let server = Running::start(HttpSettings {
        body_limit: 100_000,
        ..settings()
    });
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let send = |body: &[u8]| {
        let mut bytes = head.clone().into_bytes();
        for chunk in body.chunks(5000) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        server.raw(&bytes)
    };
    assert_eq!(send(&padded(50_000)).status, 200);
    assert!(matches!(send(&padded(200_000)).status, 413 | 0));
}

#[test]
fn packed_bodies() {
    let server = Running::start(settings());
    let post = |encoding: &str, body: &[u8]| {
        server.send(
            "POST",
            PATH,
            &[("Content-Type", "application/json"), ("Content-Encoding", encoding)],
            body,
        )
    };
    assert_eq!(post("gzip", &gzip(&padded(100))).status, 200);
    assert_eq!(post("identity", &padded(100)).status, 200);
    post("gzip", &gzip(&padded(100 << 20))).issue(413);
    post("gzip", &padded(100)).issue(400);
    for encoding in ["deflate", "br", "nonsense", "gzip, gzip"] {
        post(encoding, &padded(100)).issue(415);
    }
}

#[test]
fn slow_bodies_and_heads_are_cut() {
    let quick = Duration::from_millis(300);
    let server = Running::start(HttpSettings {
        body_timeout: quick,
        head_timeout: Duration::from_secs(1),
        ..settings()
    });
    let start = Instant::now();
    let head =
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{");
    server.raw(head.as_bytes()).issue(408);
    assert!(start.elapsed() < Duration::from_secs(3));
    let start = Instant::now();
    assert!(matches!(
        server.raw(b"POST /cds-services/x HTTP/1.1\r\nHost").status,
        408 | 0
    ));
    assert!(start.elapsed() < Duration::from_secs(6));
}

#[test]
fn more_calls_than_the_queue_takes_get_503() {
    let deadline = Duration::from_millis(1000);
    let server = Running::start(HttpSettings {
        max_evaluations: 1,
        queue: 1,
        deadline,
        ..settings()
    });
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| server.view(&view("slow")).status))
            .collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    });
    // One is evaluated and late, one waits in vain until its deadline, the others find the queue full.
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 503).count(), 5, "{statuses:?}");
    assert_eq!(server.get("/cds-services").status, 200);
}

#[test]
fn memory_for_bodies_is_shared() {
    let server = Running::start(HttpSettings {
        body_limit: 1 << 20,
        body_budget: 1 << 20,
        ..settings()
    });
    let mut slow = TcpStream::connect(server.address).expect("connects");
    let head =
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n");
    slow.write_all(head.as_bytes()).expect("written");
    slow.write_all(&vec![b' '; 900_000]).expect("written");
    std::thread::sleep(Duration::from_millis(300));
    server.post(PATH, &padded(500_000)).issue(503);
    assert_eq!(server.post(PATH, &padded(1000)).status, 200);
    drop(slow);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.post(PATH, &padded(500_000)).status, 200);
}

#[test]
fn one_connection_takes_many_calls_and_continues_on_request() {
    let server = Running::start(settings());
    let mut stream = TcpStream::connect(server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let body = view("p1").to_string();
    let mut buffer = vec![0; 65536];
    for _ in 0..20 {
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("written");
        let n = stream.read(&mut buffer).expect("read");
        assert!(buffer[..n].starts_with(b"HTTP/1.1 100"));
        stream.write_all(body.as_bytes()).expect("written");
        let n = stream.read(&mut buffer).expect("read");
        assert!(
            buffer[..n].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer[..n])
        );
    }
}

#[test]
fn a_second_head_has_a_time_limit_too() {
    let quick = Duration::from_millis(300);
    let server = Running::start(HttpSettings {
        keep_alive: quick,
        head_timeout: quick,
        deadline: Duration::from_secs(3),
        ..settings()
    });
    let mut stream = TcpStream::connect(server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let mut buffer = vec![0; 65536];
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("written");
    assert!(stream.read(&mut buffer).expect("answered") > 0);
    stream.write_all(b"GET /hea").expect("written");
    let start = Instant::now();
    assert!(matches!(stream.read(&mut buffer), Ok(0) | Err(_)));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A call that takes longer than that is not idle.
    assert_eq!(server.view(&view("slow")).status, 200);
}

#[test]
fn who_could_not_be_answered_in_time_is_turned_away_at_once() {
    let server = Running::start(settings());
    // Not even looked at: it is no JSON.
    let answer = server.post("/cds-services/swamped", b"{");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.issue(503)["code"], "throttled");
    assert_eq!(server.view(&view("p1")).status, 200);
}
