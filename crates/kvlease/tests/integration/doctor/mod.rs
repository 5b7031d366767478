//! `kvlease doctor` on setups that are broken, one way each.

mod configured;
mod place;
mod reached;
mod shared;
mod tenancy;

use std::{collections::BTreeSet, fs, process::Command};

use kvlease_harness::Daemon;
use serde_json::Value;
use tempfile::TempDir;

const KVLEASE: &str = env!("CARGO_BIN_EXE_kvlease");

/// A user that owns nothing.
const OTHER_USER: u32 = 4_242;

/// Arguments of `setpriv` that make a process of [`OTHER_USER`].
const AS_OTHER_USER: [&str; 4] = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"];

/// Report of one look.
struct Look {
    status: i32,
    report: Value,
}

impl Look {
    /// Names of what is wrong.
    fn found(&self) -> BTreeSet<&str> {
        self.names("findings")
    }

    fn names(&self, of: &str) -> BTreeSet<&str> {
        let entries = self.report[of].as_array().unwrap();
        entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect()
    }

    /// Text of the findings and hints of a name.
    fn text(&self, name: &str) -> String {
        let named = told(&self.report).filter(|entry| entry["name"] == name);
        named.map(|entry| format!("{} {}\n", entry["what"], entry["remedy"])).collect()
    }

    /// Checks that these things are wrong, and no others.
    fn assert_found(&self, names: &[&str]) {
        let expected: BTreeSet<_> = names.iter().copied().collect();
        assert_eq!(self.found(), expected, "{:#}", self.report);
        assert_eq!(self.status, i32::from(!names.is_empty()), "{:#}", self.report);
    }

    /// Checks that all of these are wrong, whatever else is.
    fn assert_has(&self, names: &[&str]) {
        for name in names {
            assert!(self.found().contains(name), "{name}: {:#}", self.report);
        }
        assert_eq!(self.status, 1);
    }
}

/// Findings and hints of a report.
fn told(report: &Value) -> impl Iterator<Item = &Value> {
    ["findings", "hints"].into_iter().flat_map(|of| report[of].as_array().unwrap())
}

/// Report of the command with these variables and no others, behind the words of `prefix`.
fn look_behind(prefix: &[&str], variables: &[(&str, &str)], args: &[&str]) -> Look {
    let line = [prefix, &[KVLEASE, "doctor", "--json"], args].concat();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&printed)
        .unwrap_or_else(|_| panic!("{printed}{}", String::from_utf8_lossy(&output.stderr)));
    for entry in told(&report) {
        for part in ["what", "remedy"] {
            let text = entry[part].as_str().unwrap();
            assert!(!text.is_empty() && !text.contains('\n'), "one line each: {entry}");
        }
    }
    Look { status: output.status.code().unwrap(), report }
}

fn look(variables: &[(&str, &str)], args: &[&str]) -> Look {
    look_behind(&[], variables, args)
}

/// Report of a client of a daemon, with more arguments.
fn look_at(daemon: &Daemon, args: &[&str]) -> Look {
    let (url, name) = (daemon.url(), daemon.segment().name().to_owned());
    let named = ["--url", url.as_str(), "--shared-memory-name", name.as_str()];
    look(&[], &[&named, args].concat())
}

/// Directory with a file of this text, and the file's path.
fn file(name: &str, text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// Report of LMCache's YAML for the daemon, in an engine with a hash seed.
fn look_with_yaml(yaml: &str, args: &[&str]) -> Look {
    let (_dir, path) = file("lmcache.yaml", yaml);
    let seed = [("PYTHONHASHSEED", "0")];
    look(&seed, &[&["--config-file", path.as_str()], args].concat())
}

/// YAML of the native connector in an engine's process.
fn native(daemon: &Daemon) -> String {
    format!(
        "save_unfull_chunk: true\nremote_storage_plugins: [\"kvlease\"]\nextra_config:\n  \
         remote_storage_plugin.kvlease.module_path: \"kvlease.lmcache\"\n  \
         remote_storage_plugin.kvlease.class_name: \"SageMakerHyperPodConnectorAdapter\"\n  \
         remote_storage_plugin.kvlease.url: \"kvlease://{}\"\n  \
         sagemaker_hyperpod_shared_memory_name: \"{}\"\n",
        daemon.address(),
        daemon.segment().name()
    )
}

/// YAML of LMCache's own connector.
fn stock(daemon: &Daemon) -> String {
    format!(
        "save_unfull_chunk: true\nremote_url: \"sagemaker-hyperpod://{}\"\nextra_config:\n  \
         sagemaker_hyperpod_shared_memory_name: \"{}\"\n",
        daemon.address(),
        daemon.segment().name()
    )
}
