//! Input of an adapter: a daemon's address and the configuration of its connector.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::Value;

/// Function that looks up a variable of the environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// URL, `extra_config` and environment that an adapter makes a connector from.
#[derive(Clone)]
pub struct ConnectorContext {
    /// Where the daemon listens: what [`parse_url`](crate::parse_url) takes.
    pub url: String,
    /// LMCache's `extra_config`, the keys of others included.
    pub extra_config: BTreeMap<String, Value>,
    /// Where the variables of the URL are looked up.
    pub env: Environment,
}

impl ConnectorContext {
    /// Context of nothing but defaults, and the environment of this process.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            extra_config: BTreeMap::new(),
            env: Arc::new(|name| std::env::var(name).ok()),
        }
    }
}

impl fmt::Debug for ConnectorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut context = f.debug_struct("ConnectorContext");
        context.field("url", &self.url).field("extra_config", &self.extra_config);
        context.finish_non_exhaustive()
    }
}
