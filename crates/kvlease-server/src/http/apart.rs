//! Work on long answers, apart from the threads that serve requests.

use kvlease_api::ErrorCode;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use super::reply::Refusal;
use crate::context::Context;

/// Does work that takes milliseconds, such as making a page. One at a time: whatever clients ask for,
/// it takes one processor at most, and other requests wait for none of it.
pub(super) async fn apart<T>(context: &Context, work: impl FnOnce() -> T) -> Result<T, Refusal> {
    let turn = context.long_work.acquire().await;
    let _turn = turn.map_err(|error| Refusal::new(ErrorCode::Unavailable, error))?;
    Ok(match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        // The one thread of a test serves all requests.
        _ => work(),
    })
}
