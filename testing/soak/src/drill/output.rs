//! Standard output of a drill process.

use std::io::{self, Write};

/// Prints a line for the drill.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
