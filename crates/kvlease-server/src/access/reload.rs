//! Files of tokens, read again when they change, and on SIGHUP.

use std::{path::PathBuf, sync::Arc};

use kvlease_sys::FileStamp;
use tokio::task::spawn_blocking;

use super::identity::Access;
use crate::{context::Context, rereads::Rereads};

/// Stamps of the files; `None` for one that is not there.
type Stamps = Vec<Option<FileStamp>>;

/// Keeps the tokens as new as their files. The files are looked at, and SIGHUP is heard, from this call on
/// and not from the first turn of the task.
pub(crate) fn watch_tokens(context: Arc<Context>) -> impl Future<Output = ()> + Send + 'static {
    let paths = Arc::new(context.access.as_deref().map(files).unwrap_or_default());
    let seen = stamps_of(&paths);
    let turns = (!paths.is_empty()).then(Rereads::new);
    async move {
        if let Some(turns) = turns {
            watch(context, paths, seen, turns).await;
        }
    }
}

async fn watch(
    context: Arc<Context>,
    paths: Arc<Vec<PathBuf>>,
    mut seen: Stamps,
    mut turns: Rereads,
) {
    loop {
        let is_asked = turns.next().await;
        let found = stamps(&paths).await;
        if is_asked || found != seen {
            seen = found;
            let context = Arc::clone(&context);
            let reloaded = spawn_blocking(move || reload(&context)).await;
            reloaded.expect("a panic ends the process");
        }
    }
}

fn reload(context: &Context) {
    let Some(access) = &context.access else { return };
    let reloaded = access.reload();
    context.metrics.access.tokens_reloaded(reloaded.is_ok());
    match reloaded {
        Ok(tokens) => tracing::info!(tokens, "the files of tokens were read again"),
        Err(error) => {
            tracing::error!("the files of tokens are of no use, and those of before hold: {error}");
        }
    }
}

fn files(access: &Access) -> Vec<PathBuf> {
    access.tenants().iter().filter_map(|tenant| tenant.config.token_file.clone()).collect()
}

async fn stamps(paths: &Arc<Vec<PathBuf>>) -> Stamps {
    let paths = Arc::clone(paths);
    spawn_blocking(move || stamps_of(&paths)).await.expect("a panic ends the process")
}

fn stamps_of(paths: &[PathBuf]) -> Stamps {
    paths.iter().map(|path| FileStamp::of(path)).collect()
}
