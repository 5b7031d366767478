//! Progress on a terminal; nothing anywhere else.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};
use kvlease_client::ByteSize;

/// A bar for a transfer: with its end if the length is known, else a spinner that counts.
pub(crate) fn transfer(len: Option<ByteSize>) -> ProgressBar {
    let (bar, template) = match len {
        Some(len) => (
            ProgressBar::new(len.bytes()),
            "{bar:32} {bytes}/{total_bytes} {binary_bytes_per_sec} eta {eta}",
        ),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {binary_bytes_per_sec}"),
    };
    styled(bar, template)
}

/// A bar for a number of steps, with a message on what is done now.
pub(crate) fn steps(count: usize) -> ProgressBar {
    styled(ProgressBar::new(count as u64), "{bar:32} {pos}/{len} {msg}")
}

/// A bar for objects, with their rate.
pub(crate) fn objects(count: usize) -> ProgressBar {
    styled(ProgressBar::new(count as u64), "{bar:32} {pos}/{len} objects {per_sec} eta {eta}")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    bar.with_style(ProgressStyle::with_template(template).expect("the templates are constants"))
}
