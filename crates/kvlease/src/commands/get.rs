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
};

use clap::Args;
use kvlease_client::{Address, ByteSize, Client, ClientConfig, Error, Key, SegmentName};
use tempfile::NamedTempFile;

use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    progress,
    text::{human_size, no_such_object, printable},
};

/// The mode of a new file, before the umask.
const FILE_MODE: u32 = 0o666;

/// The arguments of `get`.
#[derive(Args, Debug)]
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
        let client = choose(daemon.config()?, &args).await?;
        let mut target = Target::open(&args.file)?;
        let len = match client.config().shared_memory_name {
            Some(_) => copy_shared(&client, &args.key, &mut target).await?,
            None => copy_http(&client, &args.key, &mut target).await?,
        };
        target.commit()?;
        let via = match &client.config().shared_memory_name {
            Some(name) => format!("from shared memory `{name}`"),
            None => "over http".to_owned(),
        };
        eprintln!("read {}, {} {via}", printable(args.key.as_str()), human_size(len));
        Ok(())
    })
}

/// A client that reads from shared memory if that can be had, else over HTTP. A segment that was
/// asked for by name must be there.
async fn choose(mut config: ClientConfig, args: &GetArgs) -> Result<Client, Failure> {
    if let Some(name) = &args.shared_memory_name {
        config.shared_memory_name = Some(name.clone());
        let client = Client::new(config);
        client.attach()?;
        return Ok(client);
    }
    let plain = Client::new(config.clone());
    // A segment of that name on this machine belongs to a daemon of this machine.
    if args.http || !is_local(&config.address) {
        return Ok(plain);
    }
    let name = match plain.stats().await {
        Ok(stats) => stats.shared_memory_name.parse().ok(),
        // Other daemons of the protocol do not tell.
        Err(Error::Refused { .. } | Error::Protocol { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    config.shared_memory_name = name;
    let shared = Client::new(config);
    Ok(if shared.attach().is_ok() { shared } else { plain })
}

fn is_local(address: &Address) -> bool {
    let ip = address.host().parse::<IpAddr>();
    address.host() == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

async fn copy_shared(
    client: &Client,
    key: &Key,
    target: &mut Target<'_>,
) -> Result<ByteSize, Failure> {
    let mut bytes = Vec::new();
    if !client.read(key, &mut bytes).await? {
        return Err(Failure::new(Status::Absent, no_such_object(key)));
    }
    target.write(&bytes)?;
    Ok(ByteSize::new(bytes.len() as u64))
}

async fn copy_http(
    client: &Client,
    key: &Key,
    target: &mut Target<'_>,
) -> Result<ByteSize, Failure> {
    let stream = client.get(key).await?;
    let mut stream = stream.ok_or_else(|| Failure::new(Status::Absent, no_such_object(key)))?;
    let bar = progress::transfer(Some(stream.len()));
    while let Some(bytes) = stream.next().await? {
        target.write(&bytes)?;
        bar.inc(bytes.len() as u64);
    }
    bar.finish_and_clear();
    Ok(stream.len())
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
        let file = tempfile::Builder::new()
            .prefix(".kvlease-get-")
            .permissions(Permissions::from_mode(FILE_MODE))
            .tempfile_in(dir)
            .map_err(Failure::file("make a file", path))?;
        Ok(Self::Replaced(file, path))
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
