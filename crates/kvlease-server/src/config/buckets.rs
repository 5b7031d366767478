//! Policies, quotas, times of answers and rules of buckets: sections `[bucket."NAME"]` of the file, and `--set bucket.NAME.KEY=VALUE`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kvlease_types::{BUCKET_POLICIES_MAX, BucketName, BucketPolicy, Quota, QuotaValue};

use super::{
    error::ConfigError,
    named::{Named, Said},
    value,
};

/// Key that says whether keys of LMCache need a cache salt in the bucket.
const SALT_REQUIRED: &str = "cache_salt_required";

/// Key of the time after which reads and look-ups are answered.
const ANSWER_TIME: &str = "answer_time_ms";

/// The longest such time, in milliseconds: clients of leases wait for a second at least.
const ANSWER_TIME_MAX: u64 = 500;

/// The section that the policies are in.
pub(super) const SECTION: &str = "bucket";

/// Sections of policies.
pub(super) const POLICIES: Named = Named {
    section: SECTION,
    keys: &[
        "priority",
        "weight",
        "ttl_s",
        "pinned",
        "bytes_max",
        "bytes_guaranteed",
        "objects_max",
        "leases_max",
        "requests_per_s",
        ANSWER_TIME,
        SALT_REQUIRED,
    ],
    lists: &["pinned"],
    secrets: None,
};

/// Policies, quotas, times of answers and rules by bucket. A bucket with one of the others has a policy as well.
pub(super) struct Buckets<'a> {
    pub(super) policies: &'a mut BTreeMap<BucketName, BucketPolicy>,
    pub(super) quotas: &'a mut BTreeMap<BucketName, Quota>,
    /// Those in which keys of LMCache need a cache salt.
    pub(super) salted: &'a mut BTreeSet<String>,
    pub(super) times: &'a mut BTreeMap<BucketName, Duration>,
}

/// Adds the policies of a file.
pub(super) fn apply(
    mut buckets: Buckets<'_>,
    section: toml::Table,
    origin: &str,
) -> Result<(), ConfigError> {
    POLICIES.apply(section, origin, |name, said| match said {
        // One without keys has a policy as well: a class of its own.
        Said::Section => entry(buckets.policies, name, origin).map(drop),
        Said::Value(key, value) => set(&mut buckets, name, key, value, origin),
    })
}

/// Sets one key of a bucket.
pub(super) fn set(
    buckets: &mut Buckets<'_>,
    name: &str,
    key: &str,
    value: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    let policy = entry(buckets.policies, name, origin)?;
    let set = if !POLICIES.keys.contains(&key) {
        Err(POLICIES.remedy_for_key(key))
    } else if Quota::KEYS.contains(&key) {
        buckets.quotas.entry(bucket_name(name, origin)?).or_default().set(key, value)
    } else if key == ANSWER_TIME {
        let bucket = bucket_name(name, origin)?;
        answer_time(value).map(|time| {
            buckets.times.insert(bucket, time);
        })
    } else if key == SALT_REQUIRED {
        value::flag(value).map(|required| {
            if required {
                buckets.salted.insert(name.to_owned());
            } else {
                buckets.salted.remove(name);
            }
        })
    } else {
        policy.set(key, value).map_err(|error| error.remedy)
    };
    set.map_err(|remedy| {
        ConfigError::value(&format!("{SECTION}.{name}.{key}"), value, &remedy, origin)
    })
}

fn bucket_name(name: &str, origin: &str) -> Result<BucketName, ConfigError> {
    BucketName::new(name).map_err(|error| fault(name, &error.to_string(), origin))
}

fn answer_time(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(time @ 1..=ANSWER_TIME_MAX) => Ok(Duration::from_millis(time)),
        _ => Err(format!(
            "write a whole number of milliseconds from 1 to {ANSWER_TIME_MAX}, or leave the key out"
        )),
    }
}

fn fault(name: &str, remedy: &str, origin: &str) -> ConfigError {
    ConfigError::value(SECTION, name, remedy, origin)
}

/// Value of a quota as files have it.
pub(super) fn quota_value(value: QuotaValue) -> toml::Value {
    match value {
        QuotaValue::Size(size) => size.to_string().into(),
        QuotaValue::Count(count) => i64::try_from(count).unwrap_or(i64::MAX).into(),
    }
}

/// The policies as sections of a file; nothing if there are none.
pub(super) fn print(
    policies: &BTreeMap<BucketName, BucketPolicy>,
    quotas: &BTreeMap<BucketName, Quota>,
    salted: &BTreeSet<String>,
    times: &BTreeMap<BucketName, Duration>,
) -> String {
    let table = |name: &BucketName, policy: &BucketPolicy| {
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
        for (key, value) in quotas.get(name).iter().flat_map(|quota| quota.entries()) {
            table.insert(key.to_owned(), quota_value(value));
        }
        if let Some(time) = times.get(name) {
            let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            table.insert(ANSWER_TIME.to_owned(), millis.into());
        }
        if salted.contains(name.as_str()) {
            table.insert(SALT_REQUIRED.to_owned(), true.into());
        }
        table
    };
    let sections =
        policies.iter().map(|(name, policy)| (name.to_string(), table(name, policy).into()));
    POLICIES.print(sections.collect())
}

fn entry<'a>(
    buckets: &'a mut BTreeMap<BucketName, BucketPolicy>,
    name: &str,
    origin: &str,
) -> Result<&'a mut BucketPolicy, ConfigError> {
    let bucket = bucket_name(name, origin)?;
    if buckets.len() == BUCKET_POLICIES_MAX && !buckets.contains_key(&bucket) {
        let remedy = format!("write policies of at most {BUCKET_POLICIES_MAX} buckets");
        return Err(ConfigError::value(SECTION, name, &remedy, origin));
    }
    Ok(buckets.entry(bucket).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Loaded = (
        BTreeMap<BucketName, BucketPolicy>,
        BTreeMap<BucketName, Quota>,
        BTreeSet<String>,
        BTreeMap<BucketName, Duration>,
    );

    fn load(text: &str) -> Result<Loaded, String> {
        let (mut policies, mut quotas, mut salted, mut times) = Loaded::default();
        let mut file: toml::Table = text.parse().unwrap();
        let Some(toml::Value::Table(section)) = file.remove(SECTION) else { panic!("{text}") };
        let buckets = Buckets {
            policies: &mut policies,
            quotas: &mut quotas,
            salted: &mut salted,
            times: &mut times,
        };
        let applied = apply(buckets, section, "file");
        applied.map(|()| (policies, quotas, salted, times)).map_err(|error| error.to_string())
    }

    #[test]
    fn policies_are_printed_the_way_they_load() {
        let text = "[bucket.chat]\npriority = 5\nweight = 300\npinned = [\"sys/\", \"a b\"]\n\
                    bytes_max = \"2GiB\"\nbytes_guaranteed = \"512MiB\"\nobjects_max = 7\n\
                    leases_max = 8\nrequests_per_s = 9\nanswer_time_ms = 10\n\
                    [bucket.\"a.b\\n\\u001b\\\"\"]\nttl_s = 1.5\ncache_salt_required = true\n\
                    [bucket.plain]\ncache_salt_required = false\n";
        let (buckets, quotas, salted, times) = load(text).unwrap();
        assert_eq!((buckets.len(), quotas.len(), times.len()), (3, 1, 1));
        let chat = &buckets[&BucketName::new("chat").unwrap()];
        assert_eq!((chat.priority, chat.weight, chat.pins("sys/1")), (5, 300, true));
        assert_eq!(salted.iter().collect::<Vec<_>>(), ["a.b\n\u{1b}\""]);
        let printed = print(&buckets, &quotas, &salted, &times);
        assert_eq!(load(&printed), Ok((buckets, quotas, salted, times)), "{printed}");
        let (buckets, quotas, salted, times) = Loaded::default();
        assert_eq!(print(&buckets, &quotas, &salted, &times), "");
    }

    #[test]
    fn every_mistake_names_key_value_and_remedy() {
        for (text, parts) in [
            ("[bucket.b]\npriority = \"high\"\n", ["bucket.b.priority=`high`", "from -1000"]),
            ("[bucket.b]\nprio = 1\n", ["bucket.b.prio=`1`", "priority, weight, ttl_s, pinned"]),
            ("[bucket.b]\npriorty = 1\n", ["bucket.b.priorty=`1`", "did you mean `priority`?"]),
            ("[bucket.b]\nttl_s = 0\n", ["bucket.b.ttl_s=`0`", "seconds from 0.001"]),
            (
                "[bucket.b]\nbytes_max = \"lots\"\n",
                ["bucket.b.bytes_max=`lots`", "number and a unit"],
            ),
            (
                "[bucket.b]\nanswer_time_ms = 501\n",
                ["bucket.b.answer_time_ms=`501`", "from 1 to 500"],
            ),
            ("[bucket.b]\ncache_salt_required = 1\n", ["bucket.b.cache_salt_required=`1`", "true"]),
            ("[bucket.b]\nobjects_max = 0\n", ["bucket.b.objects_max=`0`", "from 1 to"]),
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
    fn every_key_is_of_a_policy_or_of_a_quota_or_a_rule() {
        let keys = [&BucketPolicy::KEYS[..], &Quota::KEYS[..], &[ANSWER_TIME, SALT_REQUIRED]];
        assert_eq!(keys.concat(), POLICIES.keys);
    }

    #[test]
    fn a_path_names_bucket_and_key() {
        assert_eq!(POLICIES.split("bucket.a.b.weight"), Some(("a.b", "weight")));
        let others = ["bucket.weight", "buckets.a.b", "cache.eviction"];
        assert_eq!(others.map(|path| POLICIES.split(path)), [None; 3]);
    }
}
