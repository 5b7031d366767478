//! The published index: passed to clients, and their reports of what they read with it.

use kvlease_api::lane::{DoneStatus, Indexed, Used};
use kvlease_types::Caller;

use super::answers::Answers;
use crate::context::Context;

/// Appends the answer to an INDEX, with the descriptors of the index and of the incarnation. Returns
/// the reason if they cannot be passed.
pub(super) fn pass(context: &Context, request: u64, out: &mut Answers) -> Result<(), String> {
    let (engine, index) = (&context.engine, context.engine.published_index());
    let descriptors = index
        .descriptor()
        .try_clone_to_owned()
        .and_then(|index| Ok([index, engine.incarnation_descriptor()?]));
    let descriptors = descriptors.map_err(|error| {
        tracing::warn!("cannot pass the published index to a client of the fast lane: {error}");
        format!("the daemon cannot pass the index: see its log, error=`{error}`")
    })?;
    out.pass(descriptors);
    Indexed { secret: index.key().bytes(), slots: index.slots() }.write(out.bytes(), request);
    Ok(())
}

/// Takes note of a USED, and appends the statuses of its objects.
pub(super) fn note(
    context: &Context,
    caller: &Caller,
    used: Used<'_>,
    statuses: &mut Vec<DoneStatus>,
) {
    let objects: Vec<_> = used.objects.collect();
    let there = context.engine.note_reads(caller, &objects, used.reads);
    statuses.extend(there.into_iter().map(DoneStatus::of_exists));
}
