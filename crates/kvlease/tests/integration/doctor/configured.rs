//! Faults of a client's own configuration and environment.

use std::process::Command;

use super::{KVLEASE, look, look_behind, look_with_yaml, native};
use crate::program::daemon;

#[test]
fn a_sound_client_has_no_findings() {
    let daemon = daemon();
    let look = look_with_yaml(&native(&daemon), &[]);
    look.assert_found(&[]);
    // What it looked at for this: nothing was left out.
    for name in ["unfull-chunks-off", "hash-seed-unset", "segment-denied", "index-unusable"] {
        assert!(look.report["right"].as_array().unwrap().contains(&name.into()), "{name}");
    }
    assert!(look.names("not_checked").is_empty(), "{:#}", look.report);
}

#[test]
fn a_variable_that_was_not_expanded_is_named() {
    let (url, yaml) = ("sagemaker-hyperpod://$(NODE_IP):9200", "save_unfull_chunk: true\n");
    let yaml = format!("{yaml}remote_url: \"{url}\"\n");
    let found = look_with_yaml(&yaml, &[]);
    found.assert_found(&["url-unresolved"]);
    assert!(found.text("url-unresolved").contains("`NODE_IP`"), "{:#}", found.report);
    // LMCache expands it in an engine's process, and its own client for the server does not.
    let variables = [("NODE_IP", "127.0.0.1"), ("PYTHONHASHSEED", "0")];
    let adapter = |kind: &str| format!("{{\"type\":\"{kind}\",\"url\":\"kvlease://$NODE_IP:1\"}}");
    let own = look(&variables, &["--l2-adapter", &adapter("sagemaker-hyperpod")]);
    own.assert_found(&["url-unresolved"]);
    let native = look(&variables, &["--l2-adapter", &adapter("native_plugin")]);
    native.assert_has(&["daemon-unreachable"]);
}

#[test]
fn a_setting_that_the_connector_refuses_is_named() {
    let daemon = daemon();
    let yaml = native(&daemon) + "  sagemaker_hyperpod_timeout_ms: -1\n";
    let found = look_with_yaml(&yaml, &[]);
    found.assert_found(&["settings-refused"]);
    let text = found.text("settings-refused");
    assert!(text.contains("sagemaker_hyperpod_timeout_ms=`-1`"), "{text}");
}

#[test]
fn keys_that_lmcache_ignores_are_named_with_the_nearest() {
    let daemon = daemon();
    let yaml = native(&daemon).replace("save_unfull_chunk", "save_unful_chunk")
        + "  sagemaker_hyperpod_buckt: b\n";
    let found = look_with_yaml(&yaml, &[]);
    found.assert_found(&["settings-unknown", "unfull-chunks-off"]);
    let text = found.text("settings-unknown");
    for part in ["`save_unful_chunk`", "`save_unfull_chunk`", "`sagemaker_hyperpod_bucket`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn short_prompts_that_are_not_stored_are_a_finding() {
    let daemon = daemon();
    let yaml = native(&daemon).replace("save_unfull_chunk: true", "save_unfull_chunk: false");
    look_with_yaml(&yaml, &[]).assert_found(&["unfull-chunks-off"]);
}

#[test]
fn engines_without_a_hash_seed_are_a_finding() {
    let daemon = daemon();
    let (_dir, path) = super::file("lmcache.yaml", &native(&daemon));
    let seeds = [None, Some(""), Some("random")];
    for seed in seeds {
        let variables: Vec<_> = seed.map(|seed| ("PYTHONHASHSEED", seed)).into_iter().collect();
        look(&variables, &["--config-file", &path]).assert_found(&["hash-seed-unset"]);
    }
    let hashed = native(&daemon) + "pre_caching_hash_algorithm: sha256_cbor\n";
    let (_dir, path) = super::file("lmcache.yaml", &hashed);
    look(&[("LMCACHE_CONFIG_FILE", &path)], &[]).assert_found(&[]);
}

#[test]
fn a_wait_as_long_as_the_time_out_is_a_finding() {
    let daemon = daemon();
    let adapter = |wait: u32| {
        let (url, name) = (daemon.address(), daemon.segment().name());
        format!(
            "{{\"type\":\"native_plugin\",\"adapter_params\":{{\"url\":\"kvlease://{url}\",\
             \"shared_memory_name\":\"{name}\",\"timeout_ms\":1000,\
             \"lease_wait_timeout_ms\":{wait}}}}}"
        )
    };
    look(&[], &["--l2-adapter", &adapter(5000)]).assert_found(&["wait-beyond-timeout"]);
    look(&[], &["--l2-adapter", &adapter(500)]).assert_found(&[]);
}

#[test]
fn a_proxy_in_front_of_the_daemon_is_named() {
    let daemon = daemon();
    let (url, name) = (daemon.url(), daemon.segment().name());
    let args = ["--url", url.as_str(), "--shared-memory-name", name];
    let proxy = ("HTTP_PROXY", "http://proxy.invalid:3128");
    let found = look(&[proxy], &args);
    found.assert_found(&["proxy-in-the-way"]);
    assert!(found.text("proxy-in-the-way").contains("HTTP_PROXY"));
    look(&[proxy, ("no_proxy", "10.0.0.1,127.0.0.0/8")], &args).assert_found(&[]);
}

#[test]
fn a_time_namespace_is_a_hint() {
    let daemon = daemon();
    let (url, name) = (daemon.url(), daemon.segment().name());
    let namespace =
        ["unshare", "--user", "--map-root-user", "--time", "--boottime", "1000", "--fork"];
    let args = ["--url", url.as_str(), "--shared-memory-name", name];
    let look = look_behind(&namespace, &[], &args);
    assert!(look.text("clock-shifted").contains("1000 s"), "{:#}", look.report);
    assert!(!look.found().contains("clock-shifted"));
}

#[test]
fn a_look_that_cannot_be_made_ends_with_2() {
    for args in [&["--config-file", "/nonexistent"][..], &["--l2-adapter", "{"]] {
        let output = Command::new(KVLEASE).arg("doctor").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1, "{args:?}");
    }
}

#[test]
fn people_get_two_lines_for_a_finding() {
    let daemon = daemon();
    let url = daemon.url();
    let args = ["doctor", "--url", url.as_str(), "--shared-memory-name", "other"];
    let output = Command::new(KVLEASE).args(args).env_clear().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.contains("segment-name-differs"));
    assert!(lines.next().unwrap().starts_with("finding  "), "{text}");
    assert!(lines.next().unwrap().starts_with("  remedy  set "), "{text}");
    assert!(text.lines().last().unwrap().contains(": 1 finding, "), "{text}");
}
