//! Warnings at the start, of ways around the rights of tenants.

use std::collections::BTreeMap;

use crate::config::Config;

/// Bits of a file mode that let all users read, and that let a group.
const READABLE_BY_ALL: u32 = 0o004;
const READABLE_BY_GROUP: u32 = 0o040;

/// Warns of ways around the rights of tenants, and of tenants that share an arena.
pub(crate) fn warn_of_tenants(config: &Config) {
    warnings(config).iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// Tenants that can map an arena which others have as well, by the name of the arena: each reads all objects
/// of the others there.
pub fn tenants_that_share(config: &Config) -> BTreeMap<&str, Vec<&str>> {
    let mut sharing = BTreeMap::new();
    for arena in config.arena_names() {
        let place = config.arena_place(Some(arena));
        let tenants = config.tenants.iter();
        let here: Vec<_> = tenants
            .filter(|(_, tenant)| config.arena_place(tenant.arena.as_deref()) == place)
            .collect();
        let names: Vec<_> = here
            .iter()
            .filter(|(_, tenant)| tenant.shares_arena)
            .map(|(name, _)| name.as_str())
            .collect();
        if here.len() > 1 && !names.is_empty() {
            sharing.insert(arena, names);
        }
    }
    sharing
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.tenants.is_empty() {
        return warnings;
    }
    for (arena, tenants) in tenants_that_share(config) {
        warnings.push(format!(
            "processes of these tenants can map the arena, and read all objects of all tenants there: \
             give each an arena of its own, or remove shares_arena, where that is not meant, \
             arena=`{arena}` tenants=`{tenants:?}`"
        ));
    }
    for arena in config.arena_names() {
        let Config { segment_mode, segment_gid, .. } = config.of_arena(arena);
        // A group that was named is meant.
        let by_group = segment_gid.is_none() && segment_mode & READABLE_BY_GROUP != 0;
        if by_group || segment_mode & READABLE_BY_ALL != 0 {
            warnings.push(format!(
                "other users than the daemon's can open the segment, whatever the tenants' rights \
                 are: set it to 0600 where that is not meant, arena=`{arena}` \
                 segment_mode=`{segment_mode:04o}`"
            ));
        }
    }
    let only_of_first = [
        ("tier.nvme.path", config.nvme_path.is_some()),
        ("tier.remote.url", config.remote_url.is_some()),
        ("capture.path", config.capture.path.is_some()),
        ("events.endpoint", config.events_endpoint.is_some()),
    ];
    let only_of_first = only_of_first.into_iter().filter(|(_, is_set)| *is_set);
    let only_of_first: Vec<_> = only_of_first.map(|(key, _)| key).collect();
    if !config.arenas.is_empty() && !only_of_first.is_empty() {
        warnings.push(format!(
            "these are there for the arena of [cache] alone, and its tenants: objects of other arenas are \
             in memory only, settings=`{only_of_first:?}`"
        ));
    }
    if config.events_endpoint.is_some() {
        warnings.push(
            "KV events tell the keys of all tenants to all subscribers: leave events.endpoint out, or \
             keep others from its address"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ArenaConfig, TenantConfig};

    #[test]
    fn each_way_around_is_told_where_there_are_tenants() {
        let open = Config { segment_mode: 0o640, ..Config::default() };
        assert!(warnings(&open).is_empty());
        let mut config = open;
        config
            .tenants
            .insert("a".into(), TenantConfig { shares_arena: true, ..Default::default() });
        config.tenants.insert("b".into(), TenantConfig::default());
        let told = warnings(&config);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("[\"a\"]") && told[1].contains("`0640`"), "{told:?}");
        config.segment_mode = 0o600;
        assert_eq!(warnings(&config).len(), 1);
        let arena = ArenaConfig { segment_mode: 0o644, ..ArenaConfig::default() };
        config.arenas.insert("red".into(), arena);
        config.tenants.get_mut("a").unwrap().arena = Some("red".into());
        let told = warnings(&config);
        assert_eq!(told.len(), 1, "it has its arena alone: {told:?}");
        assert!(told[0].contains("arena=`red` segment_mode=`0644`"), "{told:?}");
        config.nvme_path = Some("/nvme".into());
        let told = warnings(&config);
        assert!(told[1].contains("[\"tier.nvme.path\"]"), "{told:?}");
        config.tenants.get_mut("b").unwrap().arena = Some("red".into());
        let sharing = tenants_that_share(&config);
        assert_eq!(sharing.into_iter().collect::<Vec<_>>(), [("red", vec!["a"])]);
    }
}
