//! Spans of transfers between the arena and its tiers.

use std::{sync::Arc, time::SystemTime};

use kvlease_engine::{Transfer, TransferEnd, TransferObserver, TransferOutcome, TransferWay};

use super::{Span, SpanKind, SpanRecord, Traces};
use crate::request_scope;

/// Observer that makes the spans.
#[derive(Debug)]
pub(super) struct Transfers(pub(super) Arc<Traces>);

impl TransferObserver for Transfers {
    fn begins(&self, way: TransferWay) -> Option<TransferEnd> {
        let span = match way {
            // A part of the request that needs the object.
            TransferWay::Load => request_scope::span()?.part(),
            TransferWay::Store => self.0.draw()?,
        };
        let traces = Arc::clone(&self.0);
        Some(Box::new(move |transfer| traces.record(record(span, way, transfer))))
    }
}

fn record(span: Span, way: TransferWay, transfer: &Transfer<'_>) -> SpanRecord {
    let Transfer { tier, bucket, len, took, outcome } = *transfer;
    let name = match way {
        TransferWay::Load => "tier load",
        TransferWay::Store => "tier store",
    };
    let failed = outcome == TransferOutcome::Failed;
    let mut attributes = vec![
        ("kvlease.tier", tier.into()),
        ("kvlease.bucket", bucket.to_owned().into()),
        ("kvlease.len", len.bytes().into()),
        ("kvlease.outcome", outcome.name().into()),
    ];
    if failed {
        attributes.push(("error.type", outcome.name().into()));
    }
    SpanRecord {
        span,
        name: name.to_owned(),
        kind: SpanKind::Client,
        ended: SystemTime::now(),
        took,
        attributes,
        failed,
    }
}
