//! The web front end: files that were built from `ui/` and lie in the program.
//!
//! Knows their names and how browsers may keep and use them; what they show they ask the API like everybody else.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::extract::Path;
use crate::pages::Page;
use crate::problem::Problem;

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Files;

/// What the front end may do: run and show what came with it, call this origin, and nothing else. Bundles are verified by
/// WebAssembly.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";
/// What a browser must not lend to it.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The paths that the front end shows something at.
pub(crate) const PATHS: [&str; 12] = [
    "/",
    "/requests",
    "/requests/{id}",
    "/tasks",
    "/tasks/{id}",
    "/sessions",
    "/sessions/{id}",
    "/policies",
    "/policies/{view}",
    "/evidence",
    "/evidence/{view}",
    "/targets",
];

/// The front end's one page, whatever it is to show.
pub(crate) async fn page() -> Response {
    let Some(file) = Files::get("index.html") else {
        let body = "<p>This build of Gatehouse has no web front end. <code>scripts/ui</code> makes it; build anew after that. \
                    The API and the command line do all that it does.</p>";
        return Page::new("Gatehouse", body.into()).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ];
    (headers, file.data).into_response()
}

/// Whoever types an address is shown that there is nothing, and a program is told so.
pub(crate) async fn nowhere(headers: HeaderMap) -> Response {
    let takes_pages = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"));
    if takes_pages {
        let mut page = page().await;
        *page.status_mut() = StatusCode::NOT_FOUND;
        return page;
    }
    Problem::not_found("route", "here", "--help; gatehouse tasks").into_response()
}

/// A file of the front end. Its name says what is in it, so that a browser keeps it for good.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("assets/{name}"), &headers, "public, max-age=31536000, immutable")
}

/// The picture beside the page's title.
pub(crate) async fn icon(headers: HeaderMap) -> Response {
    file("favicon.svg", &headers, "public, max-age=86400")
}

fn file(path: &str, headers: &HeaderMap, kept: &'static str) -> Response {
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|coding| coding.trim().starts_with("gzip")));
    let packed = takes_gzip.then(|| Files::get(&format!("{path}.gz"))).flatten();
    let is_packed = packed.is_some();
    let Some(file) = packed.or_else(|| Files::get(path)) else {
        return Problem::not_found("file", "of this name", "--help; gatehouse tasks").into_response();
    };
    let mut response = (StatusCode::OK, file.data).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The kinds of files that there are.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        Some(_) | None => "application/octet-stream",
    }
}
