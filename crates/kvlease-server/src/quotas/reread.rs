//! The configuration, read again on SIGHUP: new quotas hold at once, and all else that changed is told.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::{
    config::{Changes, Config, ConfigError, of_catalog},
    context::Context,
    rereads::Rereads,
};

/// Reader of the configuration, as the start read it.
pub(crate) type ReadConfig = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Reads the configuration again whenever SIGHUP comes. It is heard from this call on.
pub(crate) fn watch_quotas(
    context: Arc<Context>,
    read: ReadConfig,
) -> impl Future<Output = ()> + Send + 'static {
    let mut turns = Rereads::new();
    async move {
        let mut held = context.config.clone();
        loop {
            if !turns.next().await {
                continue;
            }
            let (context, read, last) = (Arc::clone(&context), Arc::clone(&read), held.clone());
            let reread = spawn_blocking(move || reread(&context, &last, &read)).await;
            if let Some(config) = reread.expect("a panic ends the process") {
                held = config;
            }
        }
    }
}

/// Returns the configuration that holds from now on, if the one that was read is of use.
fn reread(context: &Arc<Context>, held: &Config, read: &ReadConfig) -> Option<Config> {
    let changes = read().and_then(|next| Changes::between(&context.config, held, &next));
    let changes = changes.and_then(|changes| {
        for arena in context.all() {
            changes.check(&arena.arena, arena.engine.stats().catalog.capacity)?;
        }
        Ok(changes)
    });
    let Changes { config, made, left } = match changes {
        Ok(changes) => changes,
        Err(error) => {
            tracing::error!(
                "the configuration is of no use, and the quotas of before hold: {error}"
            );
            return None;
        }
    };
    for arena in context.all() {
        if !arena.engine.set_quotas(&of_catalog(&config, &arena.arena)) {
            tracing::warn!(
                arena = %arena.arena,
                "too many buckets have a policy or a quota: remove some, those that came last have none"
            );
        }
    }
    context.quotas.change(&config);
    match made.is_empty() {
        true => tracing::info!("the configuration was read again: no quota changed"),
        false => tracing::info!(
            "the configuration was read again, and quotas changed, quotas=`{made:?}`"
        ),
    }
    if !left.is_empty() {
        tracing::warn!(
            "settings changed that hold from the next start on: restart the daemon, settings=`{left:?}`"
        );
    }
    Some(config)
}
