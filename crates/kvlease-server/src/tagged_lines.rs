//! Lines of the log with the request that they are about.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{
    config::LogFormat,
    request_scope::{self, Tag},
};

/// A format of lines that adds the id of the current request at the end of each.
pub(crate) struct Tagged<F> {
    lines: F,
    form: LogFormat,
}

impl<F> Tagged<F> {
    pub(crate) const fn new(lines: F, form: LogFormat) -> Self {
        Self { lines, form }
    }
}

impl<S, N, F> FormatEvent<S, N> for Tagged<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(tag) = request_scope::current() else {
            return self.lines.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&tagged(&line, &tag, self.form))
    }
}

/// A line with a tag. An id needs no escape in either form.
fn tagged(line: &str, tag: &Tag, form: LogFormat) -> String {
    let line = line.trim_end();
    match (form, tag) {
        (LogFormat::Human, Tag::Http(name)) => format!("{line} request_id={}\n", text(name)),
        (LogFormat::Human, Tag::Frame { connection, request }) => {
            format!("{line} connection={connection} request={request}\n")
        }
        (LogFormat::Json, tag) => {
            let line = line.strip_suffix('}').unwrap_or(line);
            match tag {
                Tag::Http(name) => format!("{line},\"request_id\":\"{}\"}}\n", text(name)),
                Tag::Frame { connection, request } => {
                    format!("{line},\"connection\":{connection},\"request\":{request}}}\n")
                }
            }
        }
    }
}

fn text(name: &http::HeaderValue) -> &str {
    name.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn both_forms_end_with_the_request() {
        let http = Tag::Http(HeaderValue::from_static("a-1"));
        let frame = Tag::Frame { connection: 3, request: 17 };
        let human = |tag| tagged("INFO done key=1\n", tag, LogFormat::Human);
        assert_eq!(human(&http), "INFO done key=1 request_id=a-1\n");
        assert_eq!(human(&frame), "INFO done key=1 connection=3 request=17\n");
        let json = |tag| -> serde_json::Value {
            let line = tagged("{\"message\":\"done\"}\n", tag, LogFormat::Json);
            assert!(line.ends_with("}\n"), "{line}");
            serde_json::from_str(&line).unwrap()
        };
        assert_eq!(json(&http), serde_json::json!({"message": "done", "request_id": "a-1"}));
        let expected = serde_json::json!({"message": "done", "connection": 3, "request": 17});
        assert_eq!(json(&frame), expected);
    }
}
