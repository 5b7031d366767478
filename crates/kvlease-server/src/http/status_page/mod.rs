//! The status page: the state of the daemon for people, complete without a script.
//!
//! Each answer is rendered from templates (`templates/`). A script replaces what changed by fetching the page
//! again, and draws the history; so there is one rendering of every figure.

mod assets;
mod buckets;
mod figure;
mod hits;
mod memory;
mod recent;
mod view;

use askama::Template as _;
use http::{HeaderName, HeaderValue, header};
use kvlease_api::{ErrorCode, Names, StatusPageQuery};

use super::{
    apart::apart,
    page::PAGE_MEMORY,
    reply::{self, Answer, Refusal},
};
use crate::{connection_memory::Purpose, context::Context};

use assets::find;
use view::StatusPage;

/// The content type of the page.
const HTML: &str = "text/html; charset=utf-8";

/// The page loads nothing from anywhere else, runs no script of its own text, and stands in no frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An asset has another name when it changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

pub(super) async fn page(context: &Context, query: Option<&str>) -> Answer {
    let query = StatusPageQuery::parse(query).map_err(Refusal::invalid)?;
    let held = reply::memory(context, Purpose::Admin, PAGE_MEMORY).await?;
    let render = || StatusPage::of(context, query).render();
    let text = apart(context, render).await?.expect("writing to a string does not fail");
    let reply = reply::accounted(HTML, text.into(), held);
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let with =
        |reply: reply::Reply, (name, value)| reply.with(name, HeaderValue::from_static(value));
    Ok(headers.into_iter().fold(reply, with))
}

pub(super) fn asset(context: &Context, names: &Names) -> Answer {
    let is_served = context.config.status_page_path.get().is_some();
    let asset = find(names.asset()).filter(|_| is_served).ok_or_else(|| {
        Refusal::new(ErrorCode::NotFound, "no such file: load the status page again")
    })?;
    let reply = reply::typed(asset.content_type, asset.bytes.clone());
    Ok(reply
        .with(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER))
        .with(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
}
