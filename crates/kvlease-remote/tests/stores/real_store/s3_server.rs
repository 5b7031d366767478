//! S3 server over a folder, and what can be done to it behind the tier's back.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use kvlease_remote::{AccessKey, Options, Secret, open};
use kvlease_tier::{Name, Tier};
use kvlease_tier_conformance::{Damage, NotPossible, Step, Store};
use kvlease_types::ByteSize;
use tempfile::TempDir;

use crate::real_store::{
    process::Process,
    proxy::{Fault, Proxy},
    valkey_server::NODE,
};

/// Key of the servers, which no output may show.
pub(crate) const SECRET_KEY: &str = "hunter2-of-the-store";

pub(crate) const ACCESS_KEY: &str = "AKIATEST";

/// Bucket of the store.
const BUCKET: &str = "kvs";

/// Buffers of the tier: values above half of them are stored in parts.
const BUFFERS: ByteSize = ByteSize::mib(16);

/// The longest segment of a name: the server makes file names of whole names, and encodes them.
pub(crate) const SEGMENT_MAX: usize = 56;

/// Server of a test, with a proxy in front of it.
#[derive(Debug)]
pub(crate) struct S3Server {
    process: Process,
    pub(crate) proxy: Proxy,
    directory: TempDir,
}

impl S3Server {
    /// Starts a server that has an empty bucket.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join(BUCKET)).expect("the directory is new");
        let process = Process::start(|port| {
            let mut command = Command::new(program());
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]);
            command.arg(directory.path());
            command
        });
        let proxy = Proxy::start(process.port);
        Self { process, proxy, directory }
    }

    /// URL of the tier, through the proxy.
    pub(crate) fn url(&self) -> String {
        self.url_at(&format!("http://127.0.0.1:{}", self.proxy.port))
    }

    /// URL of the tier at another endpoint for the server.
    pub(crate) fn url_at(&self, endpoint: &str) -> String {
        format!("s3://{BUCKET}?endpoint={endpoint}&region=test&segment_max={SEGMENT_MAX}")
    }

    /// Opens a tier.
    pub(crate) fn tier(&self) -> Arc<dyn Tier> {
        self.tier_with(Options { buffers: BUFFERS, ..Options::new(NODE) })
    }

    /// Opens a tier with these options.
    pub(crate) fn tier_with(&self, options: Options) -> Arc<dyn Tier> {
        let (id, secret) = (Secret::new(ACCESS_KEY), Secret::new(SECRET_KEY));
        let access_key = Some(AccessKey { id, secret });
        let options = Options { access_key, ..options };
        open(&self.url(), &options).expect("the URL is right")
    }

    /// Folder of the server, with its own files.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Folder of the bucket.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.root().join(BUCKET)
    }

    /// File of an object that needs no escapes.
    pub(crate) fn file_of(&self, name: &Name) -> PathBuf {
        let Name { bucket, key } = name;
        self.bucket().join(format!("kvlease/v1/{bucket}/{key}"))
    }
}

/// The program, where `cargo xtask stores` installs it.
fn program() -> PathBuf {
    let target = env::current_exe().expect("this test is a program");
    let target = target.ancestors().find(|folder| folder.file_name() == Some("target".as_ref()));
    target.expect("tests are built below `target`").join("tools/bin/s3s-fs")
}

impl Store for S3Server {
    fn open(&self) -> Step<'_, Arc<dyn Tier>> {
        Box::pin(async { self.tier() })
    }

    fn secrets(&self) -> Result<Vec<String>, NotPossible> {
        Ok(vec![SECRET_KEY.to_owned(), ACCESS_KEY.to_owned()])
    }

    fn damage<'a>(&'a self, name: &'a Name, damage: Damage) -> Step<'a, Result<(), NotPossible>> {
        let file = self.file_of(name);
        let mut value = fs::read(&file).expect("the store has the object");
        match damage {
            Damage::FlipBit => *value.last_mut().expect("a value has bytes") ^= 1,
            Damage::Truncate => value.truncate(value.len() / 2),
            Damage::ReplaceBy(other) => {
                value = fs::read(self.file_of(&other)).expect("the store has the other object");
            }
            Damage::Garbage => value = b"no object".repeat(100),
        }
        fs::write(file, value).expect("the folder is writable");
        Box::pin(async { Ok(()) })
    }

    fn stop(&self) -> Step<'_, Result<(), NotPossible>> {
        self.process.stop();
        Box::pin(async { Ok(()) })
    }

    fn start(&self) -> Step<'_, Result<(), NotPossible>> {
        self.process.resume();
        Box::pin(async { Ok(()) })
    }

    fn slow(&self, delay: Duration) -> Step<'_, Result<(), NotPossible>> {
        let fault = if delay.is_zero() { Fault::None } else { Fault::Delay(delay) };
        self.proxy.set(fault);
        Box::pin(async { Ok(()) })
    }
}
