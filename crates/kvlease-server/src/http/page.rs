//! Pages: lists whose bodies are bounded in bytes.

use std::io::{self, Write};

use kvlease_api::PAGE_LEN_MAX;
use serde::Serialize;

/// Bytes of a body that are kept for what is not an item of its list.
const FRAME_LEN: usize = 16 << 10;

/// Memory for a page while it is made: its items and its body.
pub(super) const PAGE_MEMORY: usize = 2 * PAGE_LEN_MAX;

/// Items of a page, as long as their bodies fit [`PAGE_LEN_MAX`].
pub(super) struct Page<T> {
    items: Vec<T>,
    room: usize,
}

impl<T: Serialize> Page<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), room: PAGE_LEN_MAX - FRAME_LEN }
    }

    /// Appends an item. Returns whether it fits; the page ends at the first that does not.
    pub(super) fn push(&mut self, item: T) -> bool {
        let len = json_len(&item) + 1;
        let fits = len <= self.room;
        if fits {
            self.room -= len;
            self.items.push(item);
        }
        fits
    }

    /// Appends items, if all of them fit. Returns whether they do.
    pub(super) fn extend(&mut self, items: Vec<T>) -> bool {
        let len: usize = items.iter().map(|item| json_len(item) + 1).sum();
        let fits = len <= self.room;
        if fits {
            self.room -= len;
            self.items.extend(items);
        }
        fits
    }

    /// How many items of at most `len_max` bytes fit for certain.
    pub(super) fn holds(&self, len_max: usize) -> usize {
        self.room / (len_max + 1)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

/// Length of a value as JSON.
fn json_len<T: Serialize>(value: &T) -> usize {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)
        .expect("the API's bodies are JSON, and counting works");
    count.0
}

/// Writer that counts.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_item_that_would_exceed_it() {
        let item = "\u{1}".repeat(1_000);
        let mut page = Page::new();
        while page.push(item.clone()) {}
        // A control character has six bytes in JSON.
        let len = serde_json::to_vec(&page.items).unwrap().len();
        assert!(len <= PAGE_LEN_MAX && len > PAGE_LEN_MAX - FRAME_LEN - 6_100, "{len}");
        assert_eq!(page.holds(6_002), 0);
        let mut page = Page::new();
        let many = vec![item.clone(); page.holds(6_002) + 1];
        assert!(!page.extend(many) && page.len() == 0);
        let fitting = vec![item; page.holds(6_002)];
        assert!(page.extend(fitting) && page.holds(6_002) == 0);
    }
}
