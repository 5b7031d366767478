//! Real servers for the tests of remote tiers and of several nodes: `redis-server` from Debian, and
//! an S3 server from crates.io, built into `target/tools`.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use crate::{packages, process};

/// The S3 server, as `cargo install` names it.
const S3_SERVER: &str = "s3s-fs@0.14.1";

/// Settings of the S3 server's build: it is built once, and what it serves is small.
const S3_BUILD: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

/// Gets the servers that are not there.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    packages::ensure_installed("redis-server")?;
    let tools = root.join("target/tools");
    // Says which server was built, so that another version is built again.
    let stamp = tools.join("s3s-fs.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|built| built == S3_SERVER) {
        return Ok(());
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["install", S3_SERVER, "--features", "binary", "--locked", "--force", "--quiet"]);
    build.arg("--root").arg(&tools).envs(S3_BUILD).current_dir(root);
    process::run(&mut build)?;
    Ok(fs::write(stamp, S3_SERVER)?)
}
