//! Lines that every report for people has.

use std::fmt;

/// Writes a row of a name and its value.
pub(crate) fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{name:<62}{value:>16}", value = value.to_string())
}

/// Writes the faults and the verdict.
pub(crate) fn verdict(f: &mut fmt::Formatter<'_>, faults: &[String]) -> fmt::Result {
    for fault in faults {
        writeln!(f, "FAULT {fault}")?;
    }
    f.write_str(if faults.is_empty() { "all is well" } else { "NOT WELL" })
}
