//! Start of the daemon that a program works with.

use std::{env, path::Path};

use anyhow::ensure;
use kvlease_harness::Launch;
use kvlease_types::ByteSize;

/// Start of the executable that was named, or of the `kvlease` beside this process's own, with
/// warnings as its only log.
///
/// # Errors
///
/// If there is no such executable.
pub(crate) fn launch(
    named: Option<&Path>,
    capacity: ByteSize,
    settings: impl IntoIterator<Item = String>,
) -> anyhow::Result<Launch> {
    let binary = match named {
        Some(binary) => binary.to_owned(),
        None => env::current_exe()?.with_file_name("kvlease"),
    };
    ensure!(
        binary.is_file(),
        "no daemon to soak: build it, or name it with --daemon or KVLEASE_BIN, path=`{}`",
        binary.display()
    );
    Ok(Launch::new(binary, capacity.to_string()).set(settings).set(["log.level=warn"]))
}
