//! The twin's page, launched as an EHR launches it: against the demonstration's authorisation server.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::support::Server;

/// A browser that keeps cookies and follows no redirect by itself.
pub struct Browser {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
    language: &'static str,
}

pub struct Seen {
    pub status: u16,
    pub location: Option<Url>,
    headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Browser {
    pub fn new() -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
                .unwrap(),
            cookies: BTreeMap::new(),
            language: "en",
        }
    }

    pub fn get(&mut self, url: &str) -> Seen {
        let cookies: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut request = self.client.get(url).header("accept-language", self.language);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let (status, headers, body) = self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            (
                answer.status().as_u16(),
                answer.headers().clone(),
                answer.text().await.unwrap(),
            )
        });
        for set in headers.get_all("set-cookie") {
            let (pair, _) = set.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = headers
            .get("location")
            .map(|l| Url::parse(l.to_str().unwrap()).unwrap());
        Seen {
            status,
            location,
            headers,
            body,
        }
    }

    /// Follows redirects to the end.
    pub fn walk(&mut self, url: &str) -> Seen {
        let mut seen = self.get(url);
        for _ in 0..5 {
            match &seen.location {
                Some(next) => seen = self.get(next.as_str()),
                None => break,
            }
        }
        seen
    }
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// A page that says what went wrong, and leads nowhere.
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.location.as_ref()),
            (status, None),
            "{code}: {}",
            self.body
        );
        assert!(self.body.contains(&format!("server: {code}.")), "{code}: {}", self.body);
        assert!(self.header("content-type").starts_with("text/html"));
    }
}

pub fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

pub fn at(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address)
}

/// A launch of the sample server for a patient, as the playground or the CDS Hooks sandbox asks for it.
fn launch(server: &Server, patient: &str, context: Option<&str>) -> String {
    let mut parameters = json!({ "patient": patient });
    if let Some(context) = context {
        parameters["appContext"] = context.into();
    }
    let body = json!({ "launchUrl": at(server, "/smart/launch"), "parameters": parameters });
    let (status, made) = server.post("/demo/fhir/_services/smart/Launch", &body, "en");
    assert_eq!(status, 200, "{made}");
    let mut url = Url::parse(&at(server, "/smart/launch")).unwrap();
    url.query_pairs_mut()
        .append_pair("launch", made["launch_id"].as_str().unwrap())
        .append_pair("iss", &at(server, "/demo/fhir"));
    url.into()
}

const VANCOMYCIN: Option<&str> = Some(r#"{"twin":"vancomycin"}"#);

#[test]
fn from_the_card_to_the_page() {
    let server = Server::with(|_| {});
    let (_, built) = server.get("/demo/request/moreau/vancomycin-patient-view?mode=server");
    let (_, answer) = server.post("/cds-services/vancomycin-patient-view", &built["request"], "en");
    let link = &answer["cards"][0]["links"][0];
    assert_eq!(
        (link["type"].as_str(), link["url"].as_str()),
        (Some("smart"), Some(at(&server, "/smart/launch").as_str()))
    );
    let context = link["appContext"].as_str().unwrap();
    let told: Value = serde_json::from_str(context).unwrap();
    assert_eq!(
        told,
        json!({"twin": "vancomycin", "hookInstance": built["request"]["hookInstance"]})
    );

    let mut browser = Browser::new();
    let to = browser.get(&launch(&server, "moreau", Some(context)));
    assert_eq!(to.status, 303);
    let cookie = to.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Max-Age=300"),
        "{cookie}"
    );
    let asked = query(to.location.as_ref().unwrap());
    for (name, value) in [
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
        ("aud", at(&server, "/demo/fhir").as_str()),
        ("redirect_uri", at(&server, "/smart/callback").as_str()),
    ] {
        assert_eq!(asked[name], value);
    }
    assert!(asked["state"].len() == 64 && asked["code_challenge"].len() == 43);
    assert!(
        asked["scope"].starts_with("launch ") && asked["scope"].contains("patient/Observation.rs"),
        "{}",
        asked["scope"]
    );

    let page = browser.walk(to.location.as_ref().unwrap().as_str());
    assert_eq!(page.status, 200, "{}", page.body);
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'")
    );
    assert!(policy.ends_with("frame-ancestors 'none'"));
    assert!(!page.body.contains("<script") && !page.body.contains(" style="));
    // The present plan, three candidates and no treatment, each drawn.
    assert_eq!(page.body.matches(r#"role="img""#).count(), 5, "{}", page.body);
    for words in [
        "Inès Moreau",
        "Not clinically validated",
        "Keep 1500 mg every 12 h",
        "No further doses",
        "moreau-level-2",
        "creatinine",
        "10.1097/FTD.0000000000000490",
        "The same numbers as a table",
        "<html lang=\"en\">",
    ] {
        assert!(page.body.contains(words), "{words}");
    }
    let file = std::fs::read("models/vancomycin/goti-2018.toml").unwrap();
    let digest: String = Sha256::digest(file).iter().map(|b| format!("{b:02x}")).collect();
    assert!(page.body.contains(&digest));

    browser.language = "fr";
    let french = browser.walk(&launch(&server, "moreau", VANCOMYCIN));
    assert!(french.body.contains("Non validé cliniquement") && french.body.contains("<html lang=\"fr\">"));
    assert!(french.body.contains("Créatinine") || french.body.contains("créatinine"));
}

#[test]
fn a_page_also_speaks_where_no_card_is_drawn() {
    let server = Server::with(|_| {});
    let mut browser = Browser::new();
    let open = |browser: &mut Browser, patient: &str, context| browser.walk(&launch(&server, patient, context));
    let on_target = open(&mut browser, "lindqvist", VANCOMYCIN);
    assert!(on_target.body.contains("Nothing to change."), "{}", on_target.body);
    let not_begun = open(&mut browser, "belanger", VANCOMYCIN);
    assert!(not_begun.body.contains("once, then"), "{}", not_begun.body);
    let refused = open(&mut browser, "whitfield", VANCOMYCIN);
    assert!(
        refused.status == 200 && refused.body.contains("Why no dose"),
        "{}",
        refused.body
    );
    // Without a context, or with one that is not ours, the reader chooses.
    for context in [None, Some("{\"twin\":\"../x\"}"), Some("<b>")] {
        let choice = open(&mut browser, "moreau", context);
        assert!(
            choice.body.contains("Which twin?") && choice.body.contains("&amp;twin=vancomycin"),
            "{}",
            choice.body
        );
    }
}

#[test]
fn two_charts_in_one_browser_stay_apart() {
    let server = Server::with(|_| {});
    let mut browser = Browser::new();
    let one = browser.get(&launch(&server, "moreau", VANCOMYCIN));
    let two = browser.get(&launch(&server, "whitfield", VANCOMYCIN));
    let back = |browser: &mut Browser, seen: &Seen| {
        let callback = browser.get(seen.location.as_ref().unwrap().as_str()).location.unwrap();
        browser.get(callback.as_str()).location.unwrap().to_string()
    };
    let (second, first) = (back(&mut browser, &two), back(&mut browser, &one));
    assert!(browser.get(&first).body.contains("Inès Moreau"));
    assert!(browser.get(&second).body.contains("Agnes Whitfield"));
    assert!(browser.get(&first).body.contains("Inès Moreau"));
    // The address of a page is worth nothing to another browser, or with another page's cookie.
    Browser::new().get(&first).refused(403, "ended");
    let mut crossed = Browser::new();
    for (name, value) in &browser.cookies {
        crossed.cookies.insert(name.clone(), value.chars().rev().collect());
    }
    crossed.get(&first).refused(403, "ended");
    browser.get(&at(&server, "/smart/twin")).refused(403, "ended");
    let other = format!("{first}&twin=no-such-twin");
    browser.get(&other).refused(404, "no-twin");
}

#[test]
fn an_answer_counts_once_in_the_browser_that_asked() {
    let server = Server::with(|_| {});
    let mut browser = Browser::new();
    let callback = |browser: &mut Browser| {
        let to = browser.get(&launch(&server, "moreau", VANCOMYCIN)).location.unwrap();
        browser.get(to.as_str()).location.unwrap()
    };
    // Another browser, as when an attacker makes a victim follow the end of his own launch.
    let own = callback(&mut browser);
    Browser::new().get(own.as_str()).refused(403, "other-browser");
    browser.get(own.as_str()).refused(400, "used");
    // Again in the same browser.
    let own = callback(&mut browser);
    assert_eq!(browser.get(own.as_str()).status, 303);
    browser.get(own.as_str()).refused(400, "used");
    // A state that nobody gave out, or none, or two.
    let state = &query(&own)["state"];
    for (change, code, status) in [
        (format!("state={}", "0".repeat(64)), "used", 400),
        (String::new(), "used", 400),
        (format!("state={state}&state={state}"), "malformed", 400),
    ] {
        let url = at(&server, &format!("/smart/callback?code=x&{change}"));
        browser.get(&url).refused(status, code);
    }
}

#[test]
fn the_answer_must_be_that_of_the_server_asked() {
    let server = Server::with(|_| {});
    let mut browser = Browser::new();
    let callback = |browser: &mut Browser, change: &[(&str, Option<&str>)]| {
        let to = browser.get(&launch(&server, "moreau", VANCOMYCIN)).location.unwrap();
        let mut own = browser.get(to.as_str()).location.unwrap();
        let mut pairs = query(&own);
        for (name, value) in change {
            match value {
                Some(value) => pairs.insert((*name).to_owned(), (*value).to_owned()),
                None => pairs.remove(*name),
            };
        }
        own.query_pairs_mut().clear().extend_pairs(pairs);
        browser.get(own.as_str())
    };
    callback(&mut browser, &[("iss", Some("https://evil.example"))]).refused(403, "other-server");
    callback(&mut browser, &[("iss", None)]).refused(403, "other-server");
    callback(&mut browser, &[("error", Some("access_denied"))]).refused(403, "denied");
    callback(&mut browser, &[("error", Some("<script>alert(1)</script>"))]).refused(502, "refused");
    callback(&mut browser, &[("code", None)]).refused(400, "malformed");
    callback(&mut browser, &[("code", Some("guessed"))]).refused(502, "token-refused");
    // A code that was asked for with another verifier: the attacker's own, put into the victim's answer.
    let mine = query(&browser.get(&launch(&server, "okafor", VANCOMYCIN)).location.unwrap())["code_challenge"].clone();
    let mut to = browser.get(&launch(&server, "moreau", VANCOMYCIN)).location.unwrap();
    let mut pairs = query(&to);
    pairs.insert("code_challenge".to_owned(), mine);
    to.query_pairs_mut().clear().extend_pairs(pairs);
    let own = browser.get(to.as_str()).location.unwrap();
    browser.get(own.as_str()).refused(502, "token-refused");
}

#[test]
fn nobody_is_sent_away_and_nothing_is_repeated() {
    let server = Server::with(|_| {});
    let mut browser = Browser::new();
    let home = at(&server, "/demo/fhir");
    let script = "%3Cscript%3Ealert(1)%3C/script%3E%22%27";
    for (path, code, status) in [
        ("/smart/launch".to_owned(), "not-launched", 400),
        (format!("/smart/launch?iss={home}"), "not-launched", 400),
        ("/smart/launch?launch=x".to_owned(), "not-launched", 400),
        (
            "/smart/launch?launch=x&iss=https://evil.example/fhir".to_owned(),
            "not-allowed",
            403,
        ),
        (format!("/smart/launch?launch=x&iss={home}/../evil"), "not-allowed", 403),
        (
            format!("/smart/launch?launch=x&iss={home}.evil.example"),
            "not-allowed",
            403,
        ),
        (
            format!("/smart/launch?launch=x&iss={}", home.replace("http://", "http://evil@")),
            "not-allowed",
            403,
        ),
        (format!("/smart/launch?launch=x&iss={home}%3Fa"), "not-allowed", 403),
        (
            format!("/smart/launch?launch=x&iss={home}&iss=https://evil.example"),
            "malformed",
            400,
        ),
        (
            format!("/smart/launch?launch=x%0d%0aSet-Cookie:a&iss={home}"),
            "malformed",
            400,
        ),
        (
            format!("/smart/launch?launch={script}&iss={script}"),
            "not-allowed",
            403,
        ),
        (
            format!("/smart/callback?code={script}&state={script}&error={script}&error_description={script}"),
            "used",
            400,
        ),
        (
            format!("/smart/twin?s={script}&twin={script}&lang={script}"),
            "ended",
            403,
        ),
    ] {
        let seen = browser.get(&at(&server, &path));
        seen.refused(status, code);
        assert!(
            !seen.body.contains("alert(1)") && !seen.body.contains("evil"),
            "{path}: {}",
            seen.body
        );
    }
    let page = browser.walk(&launch(&server, "moreau", VANCOMYCIN));
    assert_eq!(page.status, 200);
    // A launch that tries to add parameters of its own stays one parameter.
    let to = browser.get(&at(
        &server,
        &format!("/smart/launch?launch=a%26redirect_uri%3Dhttps://evil.example&iss={home}"),
    ));
    let to = to.location.unwrap();
    assert_eq!(to.query_pairs().filter(|(name, _)| name == "redirect_uri").count(), 1);
    assert_eq!(query(&to)["redirect_uri"], at(&server, "/smart/callback"));
    // Nor does the sample server send anybody anywhere else.
    let mut other = to.clone();
    let mut pairs = query(&to);
    pairs.insert("redirect_uri".to_owned(), "https://evil.example/".to_owned());
    other.query_pairs_mut().clear().extend_pairs(pairs);
    let seen = browser.get(other.as_str());
    assert_eq!((seen.status, seen.location), (400, None));
}

#[test]
fn a_token_of_the_sample_server_opens_one_record() {
    let server = Server::with(|_| {});
    let mut browser = Browser::new();
    let mut to = browser.get(&launch(&server, "moreau", None)).location.unwrap();
    let verifier = "v".repeat(43);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let mut pairs = query(&to);
    pairs.insert("code_challenge".to_owned(), challenge);
    to.query_pairs_mut().clear().extend_pairs(pairs);
    let code = query(&browser.get(to.as_str()).location.unwrap())["code"].clone();
    let exchange = || {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", &code)
            .append_pair("redirect_uri", &at(&server, "/smart/callback"))
            .append_pair("client_id", "jumeau-demo")
            .append_pair("code_verifier", &verifier)
            .finish();
        let request = browser
            .client
            .post(at(&server, "/demo/auth/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        browser
            .runtime
            .block_on(async { request.send().await.unwrap().text().await.unwrap() })
    };
    let granted: Value = serde_json::from_str(&exchange()).unwrap();
    assert_eq!(granted["patient"], "moreau");
    assert!(exchange().contains("invalid_grant"), "a code counts once");
    let read = |path: &str, token: &str| {
        let request = browser.client.get(at(&server, path)).bearer_auth(token);
        browser.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    };
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(read("/demo/fhir/Patient/moreau", token).0, 200);
    assert_eq!(read("/demo/fhir/Patient/okafor", token).0, 404);
    assert!(
        read("/demo/fhir/Observation?patient=okafor", token)
            .1
            .contains("\"total\":0")
    );
    assert_eq!(read("/demo/fhir/Patient/moreau", "demo-unknown").0, 401);
}

#[test]
fn what_may_be_open_at_one_time_is_bounded() {
    let server = Server::with(|settings| settings.smart.sessions = 1);
    let mut browser = Browser::new();
    let mut open = || {
        let mut seen = browser.get(&launch(&server, "moreau", None));
        let mut last = String::new();
        while let Some(next) = &seen.location {
            last = next.to_string();
            seen = browser.get(&last);
        }
        (last, seen.status)
    };
    let (first, status) = open();
    assert_eq!(status, 200);
    assert_eq!(open().1, 200);
    browser.get(&first).refused(403, "ended");
}
