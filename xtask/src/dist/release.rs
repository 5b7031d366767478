//! Names and time of a release.

use std::{
    env,
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

/// Release under way.
pub(super) struct Release {
    pub(super) root: PathBuf,
    /// Folder of the packages.
    pub(super) out: PathBuf,
    /// Folder of what packages are made from.
    pub(super) stage: PathBuf,
    pub(super) version: String,
    /// Seconds since 1970 that all files of the packages have: those of the last commit, so that
    /// two builds of one commit pack the same.
    pub(super) time: u64,
}

impl Release {
    /// Empties the folders. The version is the workspace's.
    pub(super) fn prepare(root: &Path) -> Result<Self> {
        let (out, stage) = (root.join("target/dist"), root.join("target/dist-stage"));
        for folder in [&out, &stage] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            fs::create_dir_all(folder)?;
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { root: root.to_owned(), out, stage, version, time: time(root)? })
    }

    /// The path of a file of the release whose name needs no machine.
    pub(super) fn file(&self, ending: &str) -> PathBuf {
        self.out.join(format!("kvlease-{}.{ending}", self.version))
    }

    /// The time as text: `2026-11-29T12:00:00Z`.
    pub(super) fn time_text(&self) -> Result<String> {
        let date = format!("--date=@{}", self.time);
        output(Command::new("date").args(["--utc", &date, "+%Y-%m-%dT%H:%M:%SZ"]))
    }
}

fn time(root: &Path) -> Result<u64> {
    let text = match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root))
            .context("set SOURCE_DATE_EPOCH where there is no git checkout")?,
    };
    text.parse().with_context(|| format!("the time is a whole number of seconds, time=`{text}`"))
}

/// The target that cargo calls it.
pub(super) fn target() -> String {
    format!("{ARCH}-unknown-linux-gnu")
}

/// The name of this architecture in Debian and in container images.
pub(super) fn architecture() -> Result<&'static str> {
    match ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("packages are made on x86_64 and aarch64, architecture=`{other}`"),
    }
}

/// Output of a command, without the last line's end.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let run = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "failed with {}: {command:?}: {errors}", run.status);
    Ok(String::from_utf8(run.stdout)?.trim_end().to_owned())
}
