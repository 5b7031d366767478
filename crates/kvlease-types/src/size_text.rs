//! Sizes as texts: exact, and rounded for people.

use std::fmt;

use crate::ByteSize;

/// Units by falling size.
const BINARY_UNITS: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL_UNITS: [(&str, u64); 4] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let exact = |(_, unit): &&(&str, u64)| bytes >= *unit && bytes.is_multiple_of(*unit);
        // The first of each kind is its largest; of both, the one with the smaller number.
        let units = [BINARY_UNITS.iter().find(exact), DECIMAL_UNITS.iter().find(exact)];
        match units.into_iter().flatten().min_by_key(|(_, unit)| bytes / unit) {
            Some((name, unit)) => write!(f, "{}{name}", bytes / unit),
            None => write!(f, "{bytes}B"),
        }
    }
}

/// A size with one decimal and the binary unit that suits it: `16.0MiB`.
pub fn human_size(size: ByteSize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let bytes = size.bytes();
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        // What would round up to 1024.0 is one of the next unit.
        if amount < 1023.95 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    format!("{amount:.1}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_prints_exactly_with_the_smallest_number() {
        for (bytes, text) in [
            (0, "0B"),
            (1536, "1536B"),
            (267_026_229, "267026229B"),
            (3 << 30, "3GiB"),
            (8_000_000_000, "8GB"),
            (512_000, "500KiB"),
            (1_024_000, "1000KiB"),
            (64_000_000_000, "64GB"),
        ] {
            assert_eq!(ByteSize::new(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(ByteSize::new(bytes)), "{text}");
        }
    }

    #[test]
    fn sizes_have_one_decimal_and_the_unit_that_suits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            (1536, "1.5KiB"),
            ((1 << 20) - 1, "1.0MiB"),
            (16 << 20, "16.0MiB"),
            (5 << 40, "5.0TiB"),
            (5 << 50, "5120.0TiB"),
        ] {
            assert_eq!(human_size(ByteSize::new(bytes)), text, "{bytes}");
        }
    }
}
