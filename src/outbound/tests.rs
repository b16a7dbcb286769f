#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::atomic::AtomicUsize;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::*;

/// A server that answers with the status in its path; `/ready-2` with 503 twice and then well. Counts requests.
fn server() -> (Url, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let counted = Arc::clone(&count);
    let answer = move |request: HttpRequest, body: web::Bytes| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let status = match request.path() {
            "/ready-2" if number < 2 => 503,
            "/ready-2" => 200,
            path => path[1..].parse().unwrap(),
        };
        let shown = format!(
            "{:?} {}",
            request.headers().get("authorization"),
            String::from_utf8_lossy(&body)
        );
        std::future::ready(HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).body(shown))
    };
    let server = HttpServer::new(move || App::new().default_service(web::to(answer.clone())));
    let server = server
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .unwrap();
    actix_web::rt::spawn(server.run());
    (url, count)
}

fn outbound() -> Outbound {
    Outbound::new(&OutboundSettings::default()).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn get(outbound: &Outbound, url: &Url, path: &str) -> Result<u16, Failure> {
    let url = url.join(path).unwrap();
    let answer = outbound.get(&url, Accept::Json, None, 100, soon()).await?;
    Ok(answer.status.as_u16())
}

#[actix_web::test]
async fn who_asks_for_a_pause_gets_it_and_the_answer_is_had() {
    let (url, count) = server();
    assert_eq!(get(&outbound(), &url, "/ready-2").await, Ok(200));
    assert_eq!(count.load(Ordering::Relaxed), 3);
    assert_eq!(get(&outbound(), &url, "/429").await, Ok(429));
    assert_eq!(count.load(Ordering::Relaxed), 6, "three times at most");
    assert_eq!(get(&outbound(), &url, "/500").await, Ok(500));
    assert_eq!(count.load(Ordering::Relaxed), 7, "an error is no request to wait");
}

#[actix_web::test]
async fn one_server_that_fails_is_left_alone_and_another_is_not() {
    let ((bad, count), (good, _)) = (server(), server());
    let outbound = outbound();
    for _ in 0..5 {
        assert_eq!(get(&outbound, &bad, "/500").await, Ok(500));
    }
    assert_eq!(get(&outbound, &bad, "/200").await, Err(Failure::Resting));
    assert_eq!(count.load(Ordering::Relaxed), 5);
    assert_eq!(get(&outbound, &good, "/200").await, Ok(200));
    for _ in 0..9 {
        assert_eq!(get(&outbound, &good, "/404").await, Ok(404), "a refusal is an answer");
    }
}

#[actix_web::test]
async fn a_form_is_sent_once_and_its_refusal_is_read() {
    let (url, count) = server();
    let proof = Authorization::basic("a:b", "c d").unwrap();
    let to = url.join("/400").unwrap();
    let (outbound, form) = (outbound(), [("grant_type", "x y"), ("n", "&")]);
    let answer = outbound
        .post_form(&to, &form, Some(&proof), 1000, soon())
        .await
        .unwrap();
    assert_eq!(answer.status, 400);
    let shown = String::from_utf8(answer.body).unwrap();
    assert!(shown.contains("Basic YSUzQWI6Yytk"), "{shown}");
    assert!(shown.ends_with("grant_type=x+y&n=%26"), "{shown}");
    let answer = outbound
        .post_form(&url.join("/503").unwrap(), &form, None, 1000, soon())
        .await;
    assert_eq!(
        (answer.unwrap().status.as_u16(), count.load(Ordering::Relaxed)),
        (503, 2)
    );
    let answer = outbound.post_form(&to, &form, Some(&proof), 10, soon()).await;
    assert_eq!(answer.err(), Some(Failure::TooLarge));
    assert!(!format!("{proof:?}").contains("YSUz"), "{proof:?}");
    assert!(Authorization::bearer("a\nb").is_none());
}

#[test]
fn settings_that_cannot_work_are_named() {
    let check = |text: &str| toml::from_str::<OutboundSettings>(text).unwrap().check();
    assert_eq!(check(""), Ok(()));
    assert!(check("connect = '0s'").unwrap_err().contains("outbound.connect"));
    assert!(check("at_once = 0").unwrap_err().contains("outbound.at_once"));
}
