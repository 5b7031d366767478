//! Scope of a request: the lines that its thread logs meanwhile have its id.
//!
//! A span of `tracing` would do the same, at a price for every request; this costs a few moves.

use std::{cell::RefCell, future::poll_fn, mem, pin::Pin};

use http::HeaderValue;

thread_local! {
    static CURRENT: RefCell<Option<Tag>> = const { RefCell::new(None) };
}

/// Id of a request in the log.
#[derive(Clone, Debug)]
pub(crate) enum Tag {
    /// A request over HTTP.
    Http(HeaderValue),
    /// A frame of the fast lane: the number of its connection, and its own on it.
    Frame { connection: u32, request: u64 },
}

/// Runs a future within the scope of a request.
pub(crate) async fn within<T>(tag: Tag, mut future: Pin<&mut impl Future<Output = T>>) -> T {
    let mut tag = Some(tag);
    poll_fn(|context| {
        swap(&mut tag);
        let polled = future.as_mut().poll(context);
        swap(&mut tag);
        polled
    })
    .await
}

/// Runs a function within the scope of a request.
pub(crate) fn run<T>(tag: Tag, work: impl FnOnce() -> T) -> T {
    let mut tag = Some(tag);
    swap(&mut tag);
    let result = work();
    swap(&mut tag);
    result
}

/// The request that this thread works on.
pub(crate) fn current() -> Option<Tag> {
    CURRENT.with_borrow(Clone::clone)
}

/// A panic ends the process, so no scope is left half way.
fn swap(tag: &mut Option<Tag>) {
    CURRENT.with_borrow_mut(|current| mem::swap(current, tag));
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
            names.push(run(Tag::Frame { connection: 7, request: 9 }, name));
            names.push(name());
            names
        };
        let (mut first, mut second) = (pin!(work()), pin!(work()));
        let of = |name| Tag::Http(HeaderValue::from_static(name));
        let both = tokio::join!(within(of("a"), first.as_mut()), within(of("b"), second.as_mut()));
        assert_eq!(both.0, ["a", "7.9", "a"]);
        assert_eq!(both.1, ["b", "7.9", "b"]);
        assert_eq!(name(), "-");
    }
}
