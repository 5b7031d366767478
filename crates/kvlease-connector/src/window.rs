//! Many calls at a time, but never more than a window of them.

use futures_util::{StreamExt, stream::FuturesUnordered};

/// Makes a call for every item, at most `window` at a time, and answers in the order of the items.
/// What a call does not need before its turn is not made before.
pub(super) async fn each<T, F: Future>(
    items: impl IntoIterator<Item = T>,
    window: usize,
    call: impl Fn(T) -> F,
) -> Vec<F::Output> {
    let window = window.max(1);
    let mut items = items.into_iter();
    let Some(first) = items.next() else { return Vec::new() };
    let Some(second) = items.next() else {
        // One call needs no set of futures.
        return vec![call(first).await];
    };
    let mut items = [first, second].into_iter().chain(items).enumerate();
    let mut running = FuturesUnordered::new();
    let mut answers = Vec::new();
    loop {
        while running.len() < window
            && let Some((index, item)) = items.next()
        {
            let call = call(item);
            running.push(async move { (index, call.await) });
        }
        let Some((index, answer)) = running.next().await else { break };
        if answers.len() <= index {
            answers.resize_with(index + 1, || None);
        }
        answers[index] = Some(answer);
    }
    // Every index up to the last one was answered once.
    answers.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn answers_come_in_order_from_no_more_calls_than_the_window() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let answers = each(0..10_000_u32, 7, |item| {
            let (running, most) = (&running, &most);
            async move {
                running.set(running.get() + 1);
                most.set(running.get().max(most.get()));
                for _ in 0..item % 5 {
                    tokio::task::yield_now().await;
                }
                running.set(running.get() - 1);
                item
            }
        });
        assert!(answers.await.into_iter().eq(0..10_000));
        for count in 0..3 {
            assert!(each(0..count, 1, async |item| item).await.into_iter().eq(0..count));
        }
        assert_eq!(most.get(), 7);
    }
}
