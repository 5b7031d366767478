//! Scope of a request: the lines that its thread logs meanwhile have its id.
//!
//! A span of `tracing` would do the same, at a price for every request; this costs a few moves.

use std::{cell::RefCell, future::poll_fn, mem, pin::Pin};

use http::HeaderValue;

use crate::otlp::Span;

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Id of a request in the log.
#[derive(Clone, Debug)]
pub(crate) enum Tag {
    /// A request over HTTP.
    Http(HeaderValue),
    /// A frame of the fast lane: the number of its connection, and its own on it.
    Frame { connection: u32, request: u64 },
}

/// Id and span of a request while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    tag: Tag,
    /// Its span, if it is traced.
    span: Option<Span>,
}

impl Scope {
    pub(crate) const fn new(tag: Tag, span: Option<Span>) -> Self {
        Self { tag, span }
    }
}

/// Runs a future within the scope of a request.
pub(crate) async fn within<T>(scope: Scope, mut future: Pin<&mut impl Future<Output = T>>) -> T {
    let mut scope = Some(scope);
    poll_fn(|context| {
        swap(&mut scope);
        let polled = future.as_mut().poll(context);
        swap(&mut scope);
        polled
    })
    .await
}

/// Runs a function within the scope of a request.
pub(crate) fn run<T>(scope: Scope, work: impl FnOnce() -> T) -> T {
    let mut scope = Some(scope);
    swap(&mut scope);
    let result = work();
    swap(&mut scope);
    result
}

/// The request that this thread works on.
pub(crate) fn current() -> Option<Tag> {
    CURRENT.with_borrow(|current| current.as_ref().map(|scope| scope.tag.clone()))
}

/// The span of the request that this thread works on, if it is traced.
pub(crate) fn span() -> Option<Span> {
    CURRENT.with_borrow(|current| current.as_ref().and_then(|scope| scope.span))
}

/// A panic ends the process, so no scope is left half way.
fn swap(scope: &mut Option<Scope>) {
    CURRENT.with_borrow_mut(|current| mem::swap(current, scope));
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::task::yield_now;

    use super::*;

    fn name() -> String {
        match current() {
            Some(Tag::Http(name)) => name.to_str().unwrap().to_owned(),
            Some(Tag::Frame { connection, request }) => format!("{connection}.{request}"),
            None => "-".to_owned(),
        }
    }

    #[tokio::test]
    async fn each_request_is_named_while_it_runs_and_only_then() {
        let work = async || {
            let mut names = vec![name()];
            yield_now().await;
            let frame = Tag::Frame { connection: 7, request: 9 };
            names.push(run(Scope::new(frame, None), name));
            names.push(name());
            names
        };
        let (mut first, mut second) = (pin!(work()), pin!(work()));
        let of = |name| Scope::new(Tag::Http(HeaderValue::from_static(name)), None);
        let both = tokio::join!(within(of("a"), first.as_mut()), within(of("b"), second.as_mut()));
        assert_eq!(both.0, ["a", "7.9", "a"]);
        assert_eq!(both.1, ["b", "7.9", "b"]);
        assert_eq!(name(), "-");
    }
}
