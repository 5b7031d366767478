//! A program of `kvlease-soak`, run to its report.

use std::{fmt::Display, process::Command};

use kvlease_harness::daemon_binary;
use serde::de::DeserializeOwned;

/// Report of the program with these arguments, which has to end with status 0.
pub(crate) fn report<R: DeserializeOwned + Display>(args: &[&str]) -> R {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvlease-soak"));
    command.args(args).args(["--json", "--daemon"]).arg(daemon_binary());
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: R =
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{errors}"));
    println!("{report}");
    assert!(output.status.success(), "{errors}");
    report
}

/// Seed of this run, as an argument. It is printed.
pub(crate) fn seed() -> String {
    kvlease_testing::test_seed(kvlease_testing::mix(std::process::id().into())).to_string()
}
