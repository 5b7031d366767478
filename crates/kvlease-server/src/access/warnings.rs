//! Warnings at the start, of ways around the rights of tenants.

use crate::config::Config;

/// Bits of a file mode that let a group or all users read.
const READABLE_BY_OTHERS: u32 = 0o044;

/// Warns of ways around the rights of tenants, and of tenants that share the arena.
pub(crate) fn warn_of_tenants(config: &Config) {
    warnings(config).iter().for_each(|warning| tracing::warn!("{warning}"));
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.tenants.is_empty() {
        return warnings;
    }
    let sharing: Vec<_> = config
        .tenants
        .iter()
        .filter(|(_, tenant)| tenant.shares_arena)
        .map(|(name, _)| name)
        .collect();
    if !sharing.is_empty() {
        warnings.push(format!(
            "processes of these tenants can map the arena, and read all objects of all tenants there: \
             remove shares_arena where that is not meant, tenants=`{sharing:?}`"
        ));
    }
    if config.segment_mode & READABLE_BY_OTHERS != 0 {
        warnings.push(format!(
            "other users than the daemon's can open the segment, whatever the tenants' rights are: \
             set it to 0600 where that is not meant, cache.segment_mode=`{:04o}`",
            config.segment_mode
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
    use crate::config::TenantConfig;

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
    }
}
