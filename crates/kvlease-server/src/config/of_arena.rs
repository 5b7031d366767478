//! The configuration as one arena has it.

use std::iter::once;

use super::{arenas::FIRST_ARENA, capture::CaptureSettings, settings::Config};

impl Config {
    /// Names of all arenas: the first is that of the section `[cache]`.
    pub fn arena_names(&self) -> impl Iterator<Item = &str> {
        once(FIRST_ARENA).chain(self.arenas.keys().map(String::as_str))
    }

    /// Place of a tenant's arena among [`Config::arena_names`].
    pub(crate) fn arena_place(&self, name: Option<&str>) -> usize {
        let named = self.arena_names().position(|known| Some(known) == name);
        // A name that is not known does not load.
        named.unwrap_or(0)
    }

    /// The configuration of one arena, as that of a daemon with no other one. What is below the arena of
    /// `[cache]`, and what tells of it to others, only that has.
    pub fn of_arena(&self, name: &str) -> Self {
        let Some(arena) = self.arenas.get(name) else { return self.clone() };
        Self {
            capacity: arena.capacity,
            shared_memory_name: {
                let usual = || format!("{}-{name}", self.shared_memory_name).parse().ok();
                let own = arena.shared_memory_name.clone().or_else(usual);
                own.unwrap_or_else(|| self.shared_memory_name.clone())
            },
            segment_mode: arena.segment_mode,
            segment_uid: arena.segment_uid,
            segment_gid: arena.segment_gid,
            socket: arena.socket.clone(),
            socket_mode: arena.socket_mode,
            socket_gid: arena.socket_gid,
            nvme_path: None,
            remote_url: None,
            checkpoint_replicate: false,
            events_endpoint: None,
            events_replay_endpoint: None,
            capture: CaptureSettings::default(),
            ..self.clone()
        }
    }

    /// The part that an operator of one arena may see: nothing of tenants of another one.
    pub(crate) fn seen_in(&self, arena: &str) -> Self {
        let mut seen = self.clone();
        if arena != FIRST_ARENA {
            seen.tenants.retain(|_, tenant| tenant.arena.as_deref() == Some(arena));
            let named = |listener: &String| {
                seen.tenants.values().any(|tenant| tenant.listeners.contains(listener))
            };
            seen.listeners.retain(|name, _| named(name));
            seen.arenas.retain(|name, _| name == arena);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use kvlease_types::ByteSize;

    use super::*;
    use crate::config::{ArenaConfig, TenantConfig};

    /// Arenas of these names, each with a tenant.
    fn config(names: &[&str]) -> Config {
        let mut config = Config::default();
        config.tenants.insert("t".into(), TenantConfig::default());
        for name in names {
            let capacity = Some(ByteSize::gib(1));
            config.arenas.insert((*name).into(), ArenaConfig { capacity, ..Default::default() });
            let arena = Some((*name).to_owned());
            config
                .tenants
                .insert(format!("of-{name}"), TenantConfig { arena, ..Default::default() });
        }
        config
    }

    #[test]
    fn the_first_arena_is_that_of_the_configuration_itself() {
        let config = config(&["a", "b.c"]);
        assert_eq!(config.of_arena(FIRST_ARENA), config);
        let places = [None, Some(FIRST_ARENA), Some("a"), Some("b.c")];
        assert_eq!(places.map(|name| config.arena_place(name)), [0, 0, 1, 2]);
    }

    #[test]
    fn what_is_below_the_first_arena_is_of_no_other_one() {
        let mut config = config(&["a"]);
        config.nvme_path = Some("/nvme".into());
        config.capture.path = Some("/capture".into());
        config.segment_mode = 0o666;
        let a = config.of_arena("a");
        assert_eq!((a.nvme_path, a.capture.path, a.segment_mode), (None, None, 0o600));
    }

    #[test]
    fn an_operator_of_an_arena_sees_nothing_of_the_others() {
        let config = config(&["a", "b"]);
        let seen = config.seen_in("a");
        assert_eq!(seen.tenants.keys().collect::<Vec<_>>(), ["of-a"]);
        assert_eq!(seen.arenas.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(config.seen_in(FIRST_ARENA), config);
    }
}
