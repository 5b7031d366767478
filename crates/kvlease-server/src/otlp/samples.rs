//! The text of `/metrics` taken apart, so that no second list of metrics has to be kept.

/// Metrics with a name in common.
#[derive(Debug)]
pub(super) struct Family<'t> {
    pub(super) name: &'t str,
    pub(super) help: &'t str,
    pub(super) kind: &'t str,
    /// The unit, as the text has it.
    pub(super) unit: &'t str,
    pub(super) samples: Vec<Sample<'t>>,
}

/// One value.
#[derive(PartialEq, Debug)]
pub(super) struct Sample<'t> {
    pub(super) name: &'t str,
    pub(super) labels: Vec<(&'t str, String)>,
    pub(super) value: &'t str,
}

/// Reads the daemon's own text in the OpenMetrics format.
pub(super) fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let [kind, name, rest] = [(); 3].map(|()| words.next().unwrap_or_default());
            if kind != "EOF" && families.last().is_none_or(|family| family.name != name) {
                families.push(Family { name, help: "", kind: "", unit: "", samples: Vec::new() });
            }
            let Some(family) = families.last_mut() else { continue };
            match kind {
                "HELP" => family.help = rest,
                "TYPE" => family.kind = rest,
                "UNIT" => family.unit = rest,
                _ => {}
            }
        } else if let (Some(family), Some(sample)) = (families.last_mut(), sample(line)) {
            family.samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(list) = rest.strip_prefix('{') {
        rest = list;
        while let Some((label, quoted)) = rest.split_once("=\"") {
            // The end of the list comes before the next label.
            if label.starts_with('}') {
                break;
            }
            let (value, after) = unquoted(quoted)?;
            labels.push((label, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.trim_start().split(' ').next()?;
    Some(Sample { name, labels, value })
}

/// Text up to a quotation mark, and what is behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((place, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::text::encode,
        metrics::{counter::Counter, family::Family as Metrics, gauge::Gauge},
        registry::{Registry, Unit},
    };

    use super::*;

    #[test]
    fn what_the_library_writes_is_read_with_any_label() {
        let mut registry = Registry::with_prefix("kvlease");
        let counters = Metrics::<Vec<(String, String)>, Counter>::default();
        let strange = ["", "a b", "}", "x=\"y\",z=\"", "\\", "\n", "é{", "\\n\\\""];
        for (count, value) in (0..).zip(strange) {
            let labels = vec![("one".into(), "1".into()), ("odd".into(), value.to_owned())];
            counters.get_or_create(&labels).inc_by(count);
        }
        registry.register_with_unit("read", "Bytes that were read", Unit::Bytes, counters);
        let gauge = Gauge::<i64>::default();
        gauge.set(-3);
        registry.register("level", "How high", gauge);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let families = families(&text);
        let [read, level] = &families[..] else { panic!("{families:?}") };
        assert_eq!(
            (read.name, read.kind, read.unit, read.help),
            ("kvlease_read_bytes", "counter", "bytes", "Bytes that were read.")
        );
        let mut found: Vec<_> = read
            .samples
            .iter()
            .map(|sample| {
                assert_eq!(sample.name, "kvlease_read_bytes_total");
                let [("one", one), ("odd", odd)] = &sample.labels[..] else { panic!("{sample:?}") };
                assert_eq!(one, "1");
                (sample.value.parse::<usize>().unwrap(), odd.as_str())
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, strange.into_iter().enumerate().collect::<Vec<_>>());
        assert_eq!((level.name, level.kind, level.unit), ("kvlease_level", "gauge", ""));
        let expected = Sample { name: "kvlease_level", labels: Vec::new(), value: "-3" };
        assert_eq!(level.samples, [expected]);
    }
}
