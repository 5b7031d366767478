//! `kvlease watch`: shows what is stored and what leaves, as it happens.

use std::io::{Write, stdout};

use clap::Args;
use kvlease_client::{ByteSize, SentEvent, human_size};
use serde_json::{Map, Value};

use crate::{
    arguments::DaemonArgs,
    failure::{Failure, Status},
    text::printable,
};

/// Event with which a daemon ends the stream.
const END: &str = "end";

/// The arguments of `watch`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease watch
  kvlease watch --bucket lmcache --snapshot
  kvlease watch --json | jq -r 'select(.event == \"evicted\").key'")]
pub(crate) struct WatchArgs {
    /// Show the objects that are there first
    #[arg(long)]
    snapshot: bool,
    /// Print one JSON object a line: the event's name, and its data
    #[arg(long)]
    json: bool,
}

/// Shows events until the daemon ends them: of the bucket that was named, or of all.
pub(crate) fn run(daemon: &DaemonArgs, args: &WatchArgs) -> Result<(), Failure> {
    super::wait_for(async {
        let bucket = daemon.named_bucket()?;
        let client = daemon.client()?;
        let bucket = bucket.as_ref().map(|bucket| bucket.as_str());
        let mut events = client.events(bucket, args.snapshot).await?;
        let mut out = stdout().lock();
        while let Some(event) = events.next().await? {
            let data = fields(&event)?;
            let line = if args.json { json(&event, data.clone()) } else { line(&event, &data) };
            writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Failure::stdout)?;
            if event.kind == END {
                break;
            }
        }
        let line = "the daemon ended the events: begin again once it serves";
        Err(Failure::new(Status::Unavailable, line))
    })
}

fn fields(event: &SentEvent) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&event.data).map_err(|error| {
        let line = format!("an event is no JSON object: check that the url is a daemon's, {error}");
        Failure::new(Status::Unavailable, line)
    })
}

fn json(event: &SentEvent, mut data: Map<String, Value>) -> String {
    data.insert("event".to_owned(), Value::String(event.kind.clone()));
    Value::Object(data).to_string()
}

/// A line for people: the event, the bucket, the length and the key, or whatever else it tells.
fn line(event: &SentEvent, data: &Map<String, Value>) -> String {
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(printable);
    let kind = printable(&event.kind);
    let (Some(bucket), Some(key)) = (text("bucket"), text("key")) else {
        let rest = data.iter().map(|(name, value)| format!("  {name} {value}"));
        return printable(&format!("{kind:<9}{}", rest.collect::<String>()));
    };
    let len = data.get("len").and_then(Value::as_u64).unwrap_or(0);
    let copied = match data.get("copied").and_then(Value::as_bool) {
        Some(true) => "  (a tier has it)",
        _ => "",
    };
    format!("{kind:<9}  {bucket}  {:>10}  {key}{copied}", human_size(ByteSize::new(len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> SentEvent {
        SentEvent { kind: kind.to_owned(), data: data.to_owned() }
    }

    fn shown(event: &SentEvent) -> String {
        line(event, &fields(event).unwrap())
    }

    #[test]
    fn a_line_has_the_object_or_what_else_there_is() {
        let data = r#"{"bucket":"b","key":"k\u001b","len":2048,"generation":1,"tier":"memory"}"#;
        assert_eq!(shown(&event("sealed", data)), "sealed     b      2.0KiB  k\\u{1b}");
        let evicted = data.replace("\"tier\"", "\"copied\":true,\"tier\"");
        assert!(shown(&event("evicted", &evicted)).ends_with("(a tier has it)"));
        assert_eq!(shown(&event("lost", r#"{"reason":"behind"}"#)), "lost       reason \"behind\"");
        assert!(fields(&event("sealed", "[]")).is_err());
    }
}
