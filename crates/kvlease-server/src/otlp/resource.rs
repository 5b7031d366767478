//! The daemon as OpenTelemetry's resource.

use std::{fs, time::SystemTime};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};

use super::{Attribute, span::random_id};
use crate::config::ResourceAttributes;

/// Attributes of the daemon, and those that are configured, which win.
pub(super) fn resource(configured: &ResourceAttributes) -> Resource {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = [
        ("service.name", "kvlease".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", format!("{:016x}", random_id())),
        ("host.name", host.trim().to_owned()),
    ];
    let mut attributes: Vec<KeyValue> = Vec::new();
    for (name, text) in own.into_iter().chain(configured.pairs()) {
        attributes.retain(|earlier| earlier.key != name);
        attributes.push(attribute(name, text.into()));
    }
    Resource { attributes, ..Resource::default() }
}

/// The maker of all spans and metrics.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "kvlease".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

/// An attribute as it goes out.
pub(super) fn attribute(name: &str, value: Attribute) -> KeyValue {
    let value = match value {
        Attribute::Word(word) => Value::StringValue(word.to_owned()),
        Attribute::Text(text) => Value::StringValue(text),
        Attribute::Number(number) => Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)),
    };
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

/// Nanoseconds since 1970.
pub(super) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
