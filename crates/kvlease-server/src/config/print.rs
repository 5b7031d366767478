//! The configuration that holds, as a file that makes the same one.

use std::fmt::Write;

use super::{
    arenas, buckets, listeners,
    settings::{Config, SETTINGS},
    tenants,
};

/// Writes every setting with its value and what it does, as TOML.
pub fn print(config: &Config) -> String {
    let mut text = String::new();
    let mut current = "";
    for setting in SETTINGS {
        let (section, key) = (setting.section(), setting.key());
        if section != current {
            let gap = if current.is_empty() { "" } else { "\n" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{gap}[{section}]");
            current = section;
        }
        let value = setting.value(config);
        let value = if setting.quoted { toml::Value::from(value).to_string() } else { value };
        let _ = writeln!(text, "# {} ({})\n{key} = {value}", setting.about, setting.env);
    }
    let Config { buckets, bucket_quotas, salted_buckets, answer_times, .. } = config;
    text.push_str(&buckets::print(buckets, bucket_quotas, salted_buckets, answer_times));
    text.push_str(&listeners::print(&config.listeners));
    text.push_str(&arenas::print(&config.arenas));
    text.push_str(&tenants::print(&config.tenants));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ServeArgs, load};

    #[test]
    fn what_is_printed_loads_as_the_same_configuration() {
        let mut args = ServeArgs {
            capacity: Some("3GiB".into()),
            set: vec![
                "cache.segment_uid=1000".into(),
                "lease.grace_s=0.25".into(),
                "log.level=debug".into(),
                "bucket.lmcache.priority=5".into(),
                "listener.metrics.address=127.0.0.1:9201".into(),
                "listener.metrics.serves=operators".into(),
                "arena.red.capacity=1GiB".into(),
                "tenant.a.arena=red".into(),
                "tenant.a.uids=1000".into(),
                "tenant.a.read=*".into(),
                "tenant.a.bytes_max=1GiB".into(),
                "tenant.a.requests_per_s=500".into(),
                "tenant.a.connections_max=20".into(),
                "tenant.a.cache_salts=team-*".into(),
                "tenant.a.cache_salt_required=true".into(),
                "bucket.lmcache.bytes_guaranteed=512MiB".into(),
                "bucket.lmcache.answer_time_ms=20".into(),
                "bucket.lmcache.cache_salt_required=true".into(),
                "audit.level=all".into(),
                "access_log.path=log".into(),
                "otlp.endpoint=https://collector:4318/base".into(),
                "otlp.sample_ratio=1".into(),
                "otlp.resource_attributes=rack=r1,zone=a%2Cb".into(),
            ],
            ..ServeArgs::default()
        };
        let config = load(&args, []).unwrap();
        let path = std::env::temp_dir().join(format!("kvlease-print-{}.toml", std::process::id()));
        std::fs::write(&path, print(&config)).unwrap();
        args = ServeArgs { config: Some(path), ..ServeArgs::default() };
        assert_eq!(load(&args, []), Ok(config));
    }
}
