//! Checks of the client's own configuration and environment, before any daemon is asked.

use std::net::IpAddr;

use kvlease_client::{
    Address, AddressError,
    adapter::{AdapterError, Settings},
};
use kvlease_sys::boot_time_shift_nanos;
use serde_json::Value as Json;

use super::{
    lmcache_keys,
    names::Name,
    report::{Outcome, Report, Trouble},
    setup::{Kind, Setup},
    variables::Variables,
};

/// Reason for what needs LMCache's configuration in the engine's process.
const NO_CONFIGURATION: &str = "no configuration of LMCache in the engine's process is known: name its \
     file by --config-file or LMCACHE_CONFIG_FILE";

/// Part of its own time-out that a daemon of kvlease waits at most, in percent.
const WAIT_PERCENT: u64 = 90;

/// Checks the configuration.
pub(super) fn check(setup: &Setup, variables: &Variables, report: &mut Report) {
    report.add(Name::UrlUnresolved, url_unresolved(setup));
    report.add(Name::SettingsRefused, refused(setup));
    report.add(Name::SettingsUnknown, unknown(setup));
    report.add(Name::UnfullChunks, unfull_chunks(setup));
    report.add(Name::HashSeed, hash_seed(setup, variables));
    let settings = setup.settings.as_ref();
    let of_settings = |check: &dyn Fn(&Settings) -> Outcome| match settings {
        Ok(settings) => check(settings),
        Err(_) => Outcome::unseen("the settings are refused"),
    };
    let wait = of_settings(&|settings| match setup.kind {
        Kind::Server => wait_beyond_timeout(settings),
        // The wait follows from the time-out.
        _ => Outcome::Right,
    });
    report.add(Name::WaitBeyondTimeout, wait);
    let proxy = of_settings(&|settings| proxy(&settings.address, variables));
    report.add(Name::Proxy, proxy);
    report.add(Name::Clock, clock(boot_time_shift_nanos()));
}

fn url_unresolved(setup: &Setup) -> Outcome {
    let variable = match &setup.settings {
        Err(AdapterError::Address(AddressError::Variable { variable, .. })) => variable,
        _ => return Outcome::Right,
    };
    Outcome::wrong(
        format!("the URL has a variable that was not expanded: `{variable}` in `{}`", setup.url),
        format!(
            "declare `{variable}` before the URL in the pod's env list, or export it before the \
             engine starts"
        ),
    )
}

fn refused(setup: &Setup) -> Outcome {
    match &setup.settings {
        Ok(_) | Err(AdapterError::Address(AddressError::Variable { .. })) => Outcome::Right,
        Err(error) => Outcome::wrong(error.to_string(), "change that setting"),
    }
}

fn unknown(setup: &Setup) -> Outcome {
    let unknown = setup.keys.keys().filter(|key| !lmcache_keys::is_known(key)).map(|key| {
        let remedy = match lmcache_keys::nearest(key) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "leave it out, or move it into `extra_config`".to_owned(),
        };
        Trouble::new(format!("LMCache has no such key, and ignores it: `{key}`"), remedy)
    });
    let warnings = setup.settings.iter().flat_map(|settings| &settings.warnings);
    let warnings = warnings
        .map(|warning| Trouble::new(warning.as_str(), "write a known key of `extra_config`"));
    let troubles: Vec<_> = unknown.chain(warnings).collect();
    if troubles.is_empty() { Outcome::Right } else { Outcome::Wrong(troubles) }
}

fn unfull_chunks(setup: &Setup) -> Outcome {
    match setup.keys.get("save_unfull_chunk") {
        _ if !setup.is_in_process() => Outcome::unseen(NO_CONFIGURATION),
        Some(value) if is_true(value) => Outcome::Right,
        value => Outcome::wrong(
            format!(
                "LMCache stores whole chunks alone, so that the rest of a prompt and every short \
                 prompt is computed again: save_unfull_chunk=`{}`",
                value.map_or_else(|| "false".to_owned(), Json::to_string)
            ),
            "set `save_unfull_chunk: true`",
        ),
    }
}

fn hash_seed(setup: &Setup, variables: &Variables) -> Outcome {
    let algorithm = setup.keys.get("pre_caching_hash_algorithm").and_then(Json::as_str);
    let seed = variables.get("PYTHONHASHSEED").filter(|seed| !seed.is_empty());
    match seed {
        _ if !setup.is_in_process() => Outcome::unseen(NO_CONFIGURATION),
        // Others need the same value everywhere, and none is the same as well.
        _ if algorithm.is_some_and(|algorithm| algorithm != "builtin") => Outcome::Right,
        Some(seed) if seed != "random" => Outcome::Right,
        seed => Outcome::wrong(
            format!(
                "each process of the engine hashes otherwise, so that it finds nothing that another \
                 one stored: PYTHONHASHSEED=`{}`",
                seed.unwrap_or("")
            ),
            "start every engine with PYTHONHASHSEED=0",
        ),
    }
}

fn wait_beyond_timeout(settings: &Settings) -> Outcome {
    let Settings { lease_wait_ms, timeout_ms, .. } = *settings;
    // A daemon answers a little before the wait is over; another make waits for all of it.
    if lease_wait_ms.saturating_mul(WAIT_PERCENT) / 100 < timeout_ms {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!(
            "the client gives up before the daemon answers, which counts as a failure of the \
             connection: lease_wait_timeout_ms=`{lease_wait_ms}` timeout_ms=`{timeout_ms}`"
        ),
        "set lease_wait_timeout_ms well below timeout_ms",
    )
}

fn clock(shift_nanos: i64) -> Outcome {
    if shift_nanos == 0 {
        return Outcome::Right;
    }
    let seconds = shift_nanos / 1_000_000_000;
    Outcome::hint(
        format!(
            "a time namespace shifts the clock of this process by {seconds} s; kvlease takes that out \
             of its times, other programs may not"
        ),
        "start the container without a time namespace, as `unshare -T` makes one",
    )
}

/// Variables of proxies for plain connections, and for encrypted ones.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const HTTPS_PROXIES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

fn proxy(address: &Address, variables: &Variables) -> Outcome {
    let names = if address.is_https() { HTTPS_PROXIES } else { PROXIES };
    let set = |name: &&'static str| variables.get(name).is_some_and(|value| !value.is_empty());
    let Some(name) = names.into_iter().find(set) else { return Outcome::Right };
    let excepted = ["no_proxy", "NO_PROXY"].into_iter().filter_map(|name| variables.get(name));
    let host = address.host();
    if excepted.flat_map(|list| list.split(',')).any(|entry| covers(entry.trim(), host)) {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!(
            "programs that obey {name}, such as curl and the checkpoint library, ask a proxy for the \
             daemon; kvlease's and LMCache's connectors do not: host=`{host}`"
        ),
        format!("add `{host}` to no_proxy and NO_PROXY"),
    )
}

/// Whether an entry of `no_proxy` excepts a host: by its name, by a domain, or by a network.
fn covers(entry: &str, host: &str) -> bool {
    if entry == "*" || entry.eq_ignore_ascii_case(host) {
        return true;
    }
    if let (Some((network, bits)), Ok(IpAddr::V4(host))) = (entry.split_once('/'), host.parse()) {
        let (Ok(IpAddr::V4(network)), Ok(bits @ 0..=32)) = (network.parse(), bits.parse::<u32>())
        else {
            return false;
        };
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        return network.to_bits() & mask == host.to_bits() & mask;
    }
    let domain = entry.trim_start_matches('.').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    !domain.is_empty() && host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether LMCache takes a value for true.
fn is_true(value: &Json) -> bool {
    match value {
        Json::Bool(bool) => *bool,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => {
            ["true", "1", "yes", "on"].contains(&text.to_ascii_lowercase().as_str())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_domains_and_networks() {
        for (entry, host, expected) in [
            ("*", "node-7", true),
            ("Node-7", "node-7", true),
            (".svc", "kvlease.svc", true),
            ("svc", "kvlease.svc", true),
            ("svc", "kvleasesvc", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/16", "10.1.2.3", false),
            ("0.0.0.0/0", "10.1.2.3", true),
            ("10.0.0.0/33", "10.1.2.3", false),
            ("", "node-7", false),
            ("10.1.2.3", "10.1.2.3", true),
        ] {
            assert_eq!(covers(entry, host), expected, "{entry} {host}");
        }
    }

    #[test]
    fn a_shifted_clock_is_a_hint() {
        assert!(matches!(clock(0), Outcome::Right));
        assert!(matches!(clock(5_000_000_000), Outcome::Hint(_)));
    }
}
