//! Policies of buckets: sections `[bucket."NAME"]` of the file, and `--set bucket.NAME.KEY=VALUE`.

use std::collections::BTreeMap;

use kvlease_types::{BUCKET_POLICIES_MAX, BucketName, BucketPolicy};

use super::{
    error::ConfigError,
    plain::{plain, print_sections},
};

/// The section that the policies are in.
pub(super) const SECTION: &str = "bucket";

/// Adds the policies of a file.
pub(super) fn apply(
    buckets: &mut BTreeMap<BucketName, BucketPolicy>,
    section: toml::Table,
    origin: &str,
) -> Result<(), ConfigError> {
    for (name, keys) in section {
        let toml::Value::Table(keys) = keys else {
            let remedy = "write a section `[bucket.\"NAME\"]` for each bucket";
            return Err(ConfigError::value(
                &format!("{SECTION}.{name}"),
                &plain(&keys),
                remedy,
                origin,
            ));
        };
        // One without keys has a policy as well: a class of its own.
        entry(buckets, &name, origin)?;
        for (key, value) in keys {
            match value {
                toml::Value::Array(values) if key == "pinned" => {
                    for value in values {
                        set(buckets, &name, &key, &plain(&value), origin)?;
                    }
                }
                toml::Value::Table(_) => {
                    let remedy = format!(
                        "quote a name that has dots, `[bucket.\"{name}.{key}\"]`, and use the keys {}",
                        BucketPolicy::KEYS.join(", ")
                    );
                    return Err(ConfigError::value(
                        &format!("{SECTION}.{name}"),
                        &key,
                        &remedy,
                        origin,
                    ));
                }
                value => set(buckets, &name, &key, &plain(&value), origin)?,
            }
        }
    }
    Ok(())
}

/// Sets one key of a bucket's policy.
pub(super) fn set(
    buckets: &mut BTreeMap<BucketName, BucketPolicy>,
    name: &str,
    key: &str,
    value: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    let policy = entry(buckets, name, origin)?;
    policy.set(key, value).map_err(|error| {
        ConfigError::value(&format!("{SECTION}.{name}.{key}"), &error.value, &error.remedy, origin)
    })
}

/// The policies as sections of a file; nothing if there are none.
pub(super) fn print(buckets: &BTreeMap<BucketName, BucketPolicy>) -> String {
    let table = |policy: &BucketPolicy| {
        let pinned = policy.pinned.iter().cloned().map(toml::Value::from);
        let mut table = toml::Table::from_iter([
            ("priority".to_owned(), i64::from(policy.priority).into()),
            ("weight".to_owned(), i64::from(policy.weight).into()),
            ("pinned".to_owned(), toml::Value::Array(pinned.collect())),
        ]);
        if let Some(ttl) = policy.ttl {
            let seconds = match i64::try_from(ttl.as_secs()) {
                Ok(whole) if ttl.subsec_nanos() == 0 => whole.into(),
                _ => ttl.as_secs_f64().into(),
            };
            table.insert("ttl_s".to_owned(), seconds);
        }
        table
    };
    print_sections(SECTION, buckets.iter().map(|(name, policy)| (name.to_string(), table(policy))))
}

fn entry<'a>(
    buckets: &'a mut BTreeMap<BucketName, BucketPolicy>,
    name: &str,
    origin: &str,
) -> Result<&'a mut BucketPolicy, ConfigError> {
    let bucket = BucketName::new(name)
        .map_err(|error| ConfigError::value(SECTION, name, &error.to_string(), origin))?;
    if buckets.len() == BUCKET_POLICIES_MAX && !buckets.contains_key(&bucket) {
        let remedy = format!("write policies of at most {BUCKET_POLICIES_MAX} buckets");
        return Err(ConfigError::value(SECTION, name, &remedy, origin));
    }
    Ok(buckets.entry(bucket).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plain::name_and_key;

    fn load(text: &str) -> Result<BTreeMap<BucketName, BucketPolicy>, String> {
        let mut buckets = BTreeMap::new();
        let mut file: toml::Table = text.parse().unwrap();
        let Some(toml::Value::Table(section)) = file.remove(SECTION) else { panic!("{text}") };
        let applied = apply(&mut buckets, section, "file");
        applied.map(|()| buckets).map_err(|error| error.to_string())
    }

    #[test]
    fn policies_are_printed_the_way_they_load() {
        let text = "[bucket.chat]\npriority = 5\nweight = 300\npinned = [\"sys/\", \"a b\"]\n\
                    [bucket.\"a.b\\n\\u001b\\\"\"]\nttl_s = 1.5\n[bucket.plain]\n";
        let buckets = load(text).unwrap();
        assert_eq!(buckets.len(), 3);
        let chat = &buckets[&BucketName::new("chat").unwrap()];
        assert_eq!((chat.priority, chat.weight, chat.pins("sys/1")), (5, 300, true));
        let printed = print(&buckets);
        assert_eq!(load(&printed), Ok(buckets), "{printed}");
        assert_eq!(print(&BTreeMap::new()), "");
    }

    #[test]
    fn every_mistake_names_key_value_and_remedy() {
        for (text, parts) in [
            ("[bucket.b]\npriority = \"high\"\n", ["bucket.b.priority=`high`", "from -1000"]),
            ("[bucket.b]\nprio = 1\n", ["bucket.b.prio=`1`", "priority, weight, ttl_s, pinned"]),
            ("[bucket.b]\nttl_s = 0\n", ["bucket.b.ttl_s=`0`", "seconds from 0.001"]),
            ("[bucket.b]\npinned = [\"\"]\n", ["bucket.b.pinned=``", "1 to 100 bytes"]),
            ("[bucket.a.b]\nweight = 1\n", ["bucket.a=`b`", "[bucket.\"a.b\"]"]),
            ("[bucket]\nweight = 1\n", ["bucket.weight=`1`", "[bucket.\"NAME\"]"]),
            ("[bucket.\"\"]\nweight = 1\n", ["bucket=``", "at least one character"]),
            (
                "[bucket.\"kvlease:checkpoint:x\"]\n",
                ["bucket=`kvlease:checkpoint:x`", "choose another name"],
            ),
        ] {
            let line = load(text).unwrap_err();
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        let many: String = (0..=BUCKET_POLICIES_MAX).map(|n| format!("[bucket.b{n}]\n")).collect();
        let line = load(&many).unwrap_err();
        assert!(line.contains("at most 64 buckets"), "{line}");
    }

    #[test]
    fn a_path_names_bucket_and_key() {
        let split = |path| name_and_key(SECTION, path);
        assert_eq!(split("bucket.a.b.weight"), Some(("a.b", "weight")));
        assert_eq!(["bucket.weight", "buckets.a.b", "cache.eviction"].map(split), [None; 3]);
    }
}
