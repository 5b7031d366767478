//! `kvlease get`: reads an object into a file or to stdout.
//!
//! A file appears under its name when the bytes are there and good, so that a failed read leaves
//! nothing. From shared memory the same holds for stdout; over HTTP, stdout gets the bytes as they
//! arrive, and the exit status tells whether they were good.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex},
};

use clap::Args;
use indicatif::ProgressBar;
use kvlease_client::{
    Address, ByteSize, Client, ClientConfig, Connector, ConnectorConfig, Error, Key, SegmentName,
    SocketChoice,
};
use tempfile::NamedTempFile;

use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    interrupt, progress,
    stall::unless_stalled,
    text::{human_size, no_such_object, note, printable},
};

/// The mode of a new file, before the umask.
const FILE_MODE: u32 = 0o666;

/// The way of an object that did not come from shared memory.
const OVER_HTTP: &str = "over http";

/// The arguments of `get`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease get some/key copy.bin
  kvlease get some/key | consumer")]
pub(crate) struct GetArgs {
    /// The object's key
    #[arg(value_parser = arguments::key)]
    key: Key,
    /// The file to write; `-` is stdout
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Read over HTTP even where shared memory can be had
    #[arg(long, conflicts_with = "shared_memory_name")]
    http: bool,
    /// The segment to read from [default: what a daemon on this machine says]
    #[arg(long, value_name = "NAME")]
    shared_memory_name: Option<SegmentName>,
}

/// Reads the object.
pub(crate) fn run(daemon: &DaemonArgs, args: GetArgs) -> Result<(), Failure> {
    super::wait_for(async {
        let (config, name) = choose(daemon.config()?, &args).await?;
        let mut target = Target::open(&args.file)?;
        let (len, via) = match name {
            Some(name) => copy_shared(config, name, &args.key, &mut target).await?,
            None => copy_http(&Client::new(config), &args.key, &mut target).await?,
        };
        target.commit()?;
        note(format_args!("read {}, {} {via}", printable(args.key.as_str()), human_size(len)));
        Ok(())
    })
}

/// Settings for the read, and the segment to read from: `None` to read over HTTP. A segment that was
/// asked for by name must be there.
async fn choose(
    mut config: ClientConfig,
    args: &GetArgs,
) -> Result<(ClientConfig, Option<SegmentName>), Failure> {
    if let Some(name) = &args.shared_memory_name {
        config.shared_memory_name = Some(name.clone());
        Client::new(config.clone()).attach()?;
        return Ok((config, Some(name.clone())));
    }
    // A segment of that name on this machine belongs to a daemon of this machine.
    if args.http || !is_local(&config.address) {
        return Ok((config, None));
    }
    let name = match Client::new(config.clone()).stats().await {
        Ok(stats) => stats.shared_memory_name.parse().ok(),
        // Other daemons of the protocol do not report it, and a tenant may not ask for it.
        Err(Error::Refused { .. } | Error::Protocol { .. } | Error::Denied { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    config.shared_memory_name = name;
    let name =
        Client::new(config.clone()).attach().is_ok().then(|| config.shared_memory_name.clone());
    Ok((config, name.flatten()))
}

fn is_local(address: &Address) -> bool {
    let ip = address.host().parse::<IpAddr>();
    address.host() == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Copies the object, and tells its length and its way.
async fn copy_shared(
    config: ClientConfig,
    name: SegmentName,
    key: &Key,
    target: &mut Target<'_>,
) -> Result<(ByteSize, String), Failure> {
    let mut config = ConnectorConfig::new(config);
    // The lane takes longer to open than one lease over HTTP.
    config.socket = SocketChoice::Never;
    let connector = Connector::new(config);
    let bytes = connector.get(key).await?;
    let bytes = bytes.ok_or_else(|| Failure::new(Status::Absent, no_such_object(key)))?;
    target.write(&bytes)?;
    let via = match connector.stats().http_reads {
        0 => format!("from shared memory `{name}`"),
        // The segment went away meanwhile.
        _ => OVER_HTTP.to_owned(),
    };
    connector.close().await;
    Ok((ByteSize::new(bytes.len() as u64), via))
}

async fn copy_http(
    client: &Client,
    key: &Key,
    target: &mut Target<'_>,
) -> Result<(ByteSize, String), Failure> {
    let unknown = ProgressBar::hidden();
    let stream = unless_stalled(&unknown, "the answer to a read", client.get(key)).await?;
    let mut stream = stream.ok_or_else(|| Failure::new(Status::Absent, no_such_object(key)))?;
    let bar = progress::transfer(Some(stream.len()));
    while let Some(bytes) = unless_stalled(&bar, "the rest of an object", stream.next()).await? {
        target.write(&bytes)?;
        bar.inc(bytes.len() as u64);
    }
    bar.finish_and_clear();
    Ok((stream.len(), OVER_HTTP.to_owned()))
}

/// A file beside `path` that a signal removes, and with it ends the command, from the file's first
/// moment on: signals are heard before it is made, and wait while it is.
fn temporary_file(dir: &Path, path: &Path) -> Result<NamedTempFile, Failure> {
    let made = Arc::new(Mutex::new(None::<PathBuf>));
    let mut making = made.lock().expect("no thread has panicked");
    let heard = Arc::clone(&made);
    interrupt::on_signal(move |status| {
        if let Some(file) = &*heard.lock().expect("the other thread has not panicked") {
            // It is gone if the command was done just now.
            let _ = fs::remove_file(file);
        }
        process::exit(status as i32);
    })?;
    let file = tempfile::Builder::new()
        .prefix(".kvlease-get-")
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(dir)
        .map_err(Failure::file("make a file", path))?;
    *making = Some(file.path().to_owned());
    Ok(file)
}

/// Where the bytes go.
enum Target<'a> {
    Stdout,
    /// A device or a pipe, which is written to and not replaced.
    InPlace(fs::File, &'a Path),
    /// A file beside the one to be, which it becomes at the end.
    Replaced(NamedTempFile, &'a Path),
}

impl<'a> Target<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let file = OpenOptions::new().write(true).open(path);
            return Ok(Self::InPlace(file.map_err(Failure::file("open the file", path))?, path));
        }
        let dir = match path.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        Ok(Self::Replaced(temporary_file(dir, path)?, path))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => io::stdout().write_all(bytes).map_err(Failure::stdout),
            Self::InPlace(file, path) => {
                file.write_all(bytes).map_err(Failure::file("write the file", path))
            }
            Self::Replaced(file, path) => {
                file.write_all(bytes).map_err(Failure::file("write the file", path))
            }
        }
    }

    fn commit(self) -> Result<(), Failure> {
        match self {
            Self::Stdout => io::stdout().flush().map_err(Failure::stdout),
            Self::InPlace(..) => Ok(()),
            Self::Replaced(file, path) => {
                let renamed = file.persist(path).map(drop).map_err(|error| error.error);
                renamed.map_err(Failure::file("write the file", path))
            }
        }
    }
}
