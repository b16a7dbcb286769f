//! The playground's own files, embedded, with headers that let nothing else into the page.

use actix_web::{HttpResponse, http::header, web};
use include_dir::{Dir, include_dir};

use crate::page;

static PAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/demo/page");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'";

/// Adds `/` and the files behind it.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.route("/", web::get().to(|| async { file("index.html") })).route(
        "/playground/{file}",
        web::get().to(|name: web::Path<String>| async move { file(&name) }),
    );
}

fn file(name: &str) -> HttpResponse {
    let own = PAGE.get_file(name).map(include_dir::File::contents);
    let (Some(found), Some(kind)) = (own.or_else(|| page::asset(name)), page::content_type(name)) else {
        return HttpResponse::NotFound().finish();
    };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, http::StatusCode, test as http};

    #[actix_web::test]
    async fn the_page_and_all_it_names_are_served_with_the_policy() {
        let app = http::init_service(App::new().configure(configure)).await;
        let answer = http::call_service(&app, http::TestRequest::get().uri("/").to_request()).await;
        assert_eq!(answer.headers().get(header::CONTENT_SECURITY_POLICY).unwrap(), POLICY);
        let page = String::from_utf8(http::read_body(answer).await.to_vec()).unwrap();
        let named: Vec<&str> = page
            .split('"')
            .filter(|part| part.starts_with("/playground/"))
            .collect();
        assert!(named.len() >= 2, "{named:?}");
        for path in named {
            let answer = http::call_service(&app, http::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        for path in ["/playground/none.js", "/playground/..%2Fmod.rs", "/playground/index"] {
            let answer = http::call_service(&app, http::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn modules_import_only_modules_that_exist_and_the_page_has_no_inline_script_or_style() {
        for module in PAGE.files().filter(|f| f.path().extension().is_some_and(|e| e == "js")) {
            for line in module
                .contents_utf8()
                .unwrap()
                .lines()
                .filter(|l| l.starts_with("import "))
            {
                let name = line.split('"').nth(1).unwrap().trim_start_matches("./");
                assert!(PAGE.get_file(name).is_some(), "{name}");
            }
        }
        let page = PAGE.get_file("index.html").unwrap().contents_utf8().unwrap();
        assert!(
            !page.contains("<script>")
                && !page.contains("<style")
                && !page.contains(" style=")
                && !page.contains(" onclick=")
        );
    }
}
