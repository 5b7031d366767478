//! Lines of public traces: JSON objects with the blocks of a prompt.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use serde::{Deserialize, Deserializer, de, de::IgnoredAny};

/// Schema of NVIDIA Dynamo's request traces.
const DYNAMO: &str = "dynamo.request.trace.";

/// Tokens of a block of Alibaba's Bailian traces, which do not tell them.
const BAILIAN_BLOCK: u32 = 16;

/// Request of a public trace.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Prompt {
    /// When it came, in microseconds, if that is told.
    pub(super) at: Option<u64>,
    pub(super) blocks: Vec<u64>,
    /// Tokens of a block, if the trace tells them.
    pub(super) block_tokens: Option<u32>,
}

/// The request in a line; `None` if the line has another purpose.
///
/// # Errors
///
/// The reason why it has no blocks.
pub(super) fn prompt(line: &[u8]) -> Result<Option<Prompt>, String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let line = match line.event {
        Some(event) => *event,
        None => line,
    };
    if line.schema.as_ref().is_some_and(|schema| schema.starts_with(DYNAMO)) {
        return dynamo(line);
    }
    let blocks = line.hash_ids.ok_or("it has no field `hash_ids`")?;
    // Bailian counts seconds, all others milliseconds.
    let (is_bailian, at) = (line.chat_id.is_some(), line.timestamp);
    let micros = if is_bailian { 1e6 } else { 1e3 };
    Ok(Some(Prompt {
        at: at.map(|at| (at * micros) as u64),
        blocks: blocks.into_iter().map(|id| id.0).collect(),
        block_tokens: is_bailian.then_some(BAILIAN_BLOCK),
    }))
}

/// The request in a line of a request trace of Dynamo.
fn dynamo(line: Line<'_>) -> Result<Option<Prompt>, String> {
    if line.event_type.as_deref() != Some("request_end") {
        return Ok(None);
    }
    let request = line.request.unwrap_or_default();
    let replay = request.replay.ok_or("it has no field `request.replay.input_sequence_hashes`")?;
    Ok(Some(Prompt {
        at: request.request_received_ms.map(|at| at.saturating_mul(1_000)),
        blocks: replay.input_sequence_hashes,
        block_tokens: Some(replay.trace_block_size),
    }))
}

/// All that is read of a line. Other fields are ignored.
#[derive(Deserialize)]
struct Line<'a> {
    hash_ids: Option<Vec<Id>>,
    #[serde(alias = "created_time")]
    timestamp: Option<f64>,
    chat_id: Option<IgnoredAny>,
    #[serde(borrow)]
    schema: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Box<Line<'a>>>,
    request: Option<Request>,
}

#[derive(Default, Deserialize)]
struct Request {
    request_received_ms: Option<u64>,
    replay: Option<Replay>,
}

#[derive(Deserialize)]
struct Replay {
    trace_block_size: u32,
    input_sequence_hashes: Vec<u64>,
}

/// Name of a block behind its prefix: a number, or a text.
#[derive(Clone, Copy)]
struct Id(u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl de::Visitor<'_> for Name {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number or the name of a block")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Id, E> {
                Ok(Id(BuildHasherDefault::<DefaultHasher>::new().hash_one(name)))
            }
        }

        deserializer.deserialize_any(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Result<Option<Prompt>, String> {
        prompt(line.as_bytes())
    }

    fn of(line: &str) -> (Option<u64>, Vec<u64>, Option<u32>) {
        let Prompt { at, blocks, block_tokens } = found(line).unwrap().unwrap();
        (at, blocks, block_tokens)
    }

    #[test]
    fn traces_that_are_in_use_tell_time_and_blocks() {
        // Mooncake.
        let line = r#"{"timestamp": 3000, "input_length": 6755, "output_length": 500, "hash_ids": [46, 47]}"#;
        assert_eq!(of(line), (Some(3_000_000), vec![46, 47], None));
        // Dynamo and AIPerf write the same, with further names and parts of milliseconds.
        let line = r#"{"session_id": "a", "created_time": 1.5, "input_tokens": 3, "hash_ids": [18446744073709551615]}"#;
        assert_eq!(of(line), (Some(1_500), vec![u64::MAX], None));
        let line = r#"{"session_id": "a", "delay": 10, "hash_ids": []}"#;
        assert_eq!(of(line), (None, vec![], None));
        // Alibaba Bailian.
        let line = r#"{"chat_id": 159, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 521, "output_length": 132, "type": "text", "turn": 1, "hash_ids": [1089, 1090]}"#;
        assert_eq!(of(line), (Some(61_114_000), vec![1089, 1090], Some(16)));
        // Request traces of Dynamo.
        let line = r#"{"schema": "dynamo.request.trace.v1", "event_type": "request_end", "event_time_unix_ms": 9, "request": {"request_id": "r", "request_received_ms": 7, "output_tokens": 1, "replay": {"trace_block_size": 64, "input_length": 70, "input_sequence_hashes": [5, 6]}}}"#;
        let expected = (Some(7_000), vec![5, 6], Some(64));
        assert_eq!(of(line), expected);
        assert_eq!(of(&format!("{{\"timestamp\": 1, \"event\": {line}}}")), expected);
        assert_eq!(
            found(r#"{"schema": "dynamo.request.trace.v1", "event_type": "tool_end"}"#),
            Ok(None)
        );
    }

    #[test]
    fn names_of_blocks_may_be_texts() {
        let (_, one, _) = of(r#"{"hash_ids": ["9f86d081884c7d65", "60303ae22b998861"]}"#);
        let (_, other, _) = of(r#"{"hash_ids": ["9f86d081884c7d65", "fd61a03af4f77d87"]}"#);
        assert_eq!(one[0], other[0]);
        assert!(one[1] != other[1] && one[0] != one[1]);
    }

    #[test]
    fn a_line_without_blocks_is_refused() {
        for line in [
            r#"{"timestamp": 0}"#,
            r#"{"hash_ids": [-1]}"#,
            r#"{"hash_ids": "1"}"#,
            r#"{"schema": "dynamo.request.trace.v1", "event_type": "request_end", "request": {}}"#,
            r#"{"conversations": [{"from": "human", "value": "text"}]}"#,
            "TIMESTAMP,ContextTokens",
        ] {
            assert!(found(line).is_err(), "{line}");
        }
    }
}
