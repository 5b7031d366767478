//! `kvlease put`: stores a file or stdin.

use std::path::{Path, PathBuf};

use clap::Args;
use kvlease_client::{ByteSize, Client, Error, Key, PutBody, PutOutcome};
use tokio::{fs::File, io};

use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    progress,
    stall::unless_stalled,
    text::{human_size, note, printable},
};

/// The arguments of `put`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease put some/key file.bin
  producer | kvlease put some/key")]
pub(crate) struct PutArgs {
    /// The object's key
    #[arg(value_parser = arguments::key)]
    key: Key,
    /// The file to store; `-` is stdin
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// Stores the object.
pub(crate) fn run(daemon: &DaemonArgs, args: PutArgs) -> Result<(), Failure> {
    super::wait_for(async {
        let client = daemon.client()?;
        let (body, bar) = body(&args.file).await?;
        await_daemon(&client, &args.key).await?;
        let put = client.put(&args.key, body);
        // A source without a known length may pause for as long as the daemon lets it.
        let outcome = match bar.length() {
            Some(_) => unless_stalled(&bar, "the rest of an upload and its answer", put).await,
            None => put.await.map_err(Failure::from),
        };
        bar.finish_and_clear();
        let key = printable(args.key.as_str());
        match outcome? {
            PutOutcome::Stored => {
                note(format_args!("stored {key}, {}", human_size(ByteSize::new(bar.position()))));
                Ok(())
            }
            PutOutcome::Exists => Err(Failure::new(
                Status::Absent,
                format!("the object exists: choose another key or `kvlease rm` it, key=`{key}`"),
            )),
        }
    })
}

/// Asks for the object before its bytes are sent: a server that never answers is found in seconds.
async fn await_daemon(client: &Client, key: &Key) -> Result<(), Failure> {
    match client.head(key).await {
        Ok(_) | Err(Error::Refused { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The bytes to send, and the bar that counts them. Only a regular file has a known length.
async fn body(path: &Path) -> Result<(PutBody, indicatif::ProgressBar), Failure> {
    if path == Path::new("-") {
        let bar = progress::transfer(None);
        return Ok((PutBody::reader(bar.wrap_async_read(io::stdin()), None), bar));
    }
    let file = File::open(path).await.map_err(Failure::file("open the file", path))?;
    let metadata = file.metadata().await.map_err(Failure::file("look at the file", path))?;
    let len = metadata.is_file().then_some(metadata.len());
    let bar = progress::transfer(len.map(ByteSize::new));
    Ok((PutBody::reader(bar.wrap_async_read(file), len), bar))
}
