//! Standard output of a process that a test reads.

use std::io::{self, Write};

/// Prints a line for the test.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
