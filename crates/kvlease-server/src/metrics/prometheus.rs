//! The text format of Prometheus, version 0.0.4, from the OpenMetrics format.
//!
//! The samples are the same. The older format has no units and no end mark, knows no `info`, and names
//! a family as its samples are named.

/// Writes metrics of the OpenMetrics format in the older one.
pub(crate) fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The description comes before the type, which decides on the name of both.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (ending, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some(help) = help.take() {
                text += &format!("# HELP {name}{ending} {help}\n");
            }
            text += &format!("# TYPE {name}{ending} {kind}\n");
        } else if !line.starts_with('#') {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_as_their_samples_and_have_known_types() {
        let open_metrics = "\
# HELP a Counts.
# TYPE a counter
# UNIT a bytes
a_total 1
# HELP b The version.
# TYPE b info
b_info{version=\"1\"} 1
# HELP c Times.
# TYPE c histogram
c_bucket{le=\"+Inf\"} 0
# EOF
";
        let text = "\
# HELP a_total Counts.
# TYPE a_total counter
a_total 1
# HELP b_info The version.
# TYPE b_info gauge
b_info{version=\"1\"} 1
# HELP c Times.
# TYPE c histogram
c_bucket{le=\"+Inf\"} 0
";
        assert_eq!(prometheus_text(open_metrics), text);
    }
}
