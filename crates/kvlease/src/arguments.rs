//! Arguments that several commands share.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use kvlease_client::{
    Address, BucketName, ByteSize, Client, ClientConfig, DEFAULT_BUCKET, ListedTiers,
};

use crate::failure::{Failure, Status};

/// Address of the daemon unless configured.
const DEFAULT_URL: &str = "http://127.0.0.1:9200";

/// Bytes of a file that are read and sent at a time: each piece is a hand-over between threads.
const PUT_PIECE_LEN: usize = 1 << 20;

/// Parser of the tiers that a listing covers.
pub(crate) fn tiers() -> impl TypedValueParser<Value = ListedTiers> {
    let words = ListedTiers::ALL.iter().map(|tiers| tiers.name());
    PossibleValuesParser::new(words).try_map(|word| word.parse::<ListedTiers>())
}

/// Parses a size, and answers zero with this text.
pub(crate) fn size_above_zero(text: &str, zero: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize::ZERO) => Err(zero.to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}

/// Daemon and bucket of a command; `serve` takes neither.
#[derive(Args, Debug)]
#[command(next_help_heading = "Daemon to talk to")]
pub(crate) struct DaemonArgs {
    /// The daemon to talk to [default: http://127.0.0.1:9200; bench: a daemon of its own]
    #[arg(long, global = true, env = "KVLEASE_URL", value_name = "URL")]
    url: Option<String>,
    /// Certificates, in PEM, to trust beside the system's, for an https:// URL
    #[arg(long, global = true, value_name = "FILE")]
    tls_ca_file: Option<PathBuf>,
    /// The bucket that keys belong to [default: lmcache]
    #[arg(long, global = true, env = "KVLEASE_BUCKET", value_name = "NAME")]
    bucket: Option<String>,
}

impl DaemonArgs {
    /// The daemon that was named, if one was. Its URL is read here, since a bad variable must not stop
    /// `serve`.
    pub(crate) fn named(&self) -> Result<Option<Address>, Failure> {
        let url = self.url.as_deref();
        let address = url.map(|url| url.parse().map_err(kvlease_client::Error::from));
        Ok(address.transpose()?)
    }

    /// The bucket. Its name is checked here, since a bad variable must not stop `serve`.
    pub(crate) fn bucket(&self) -> Result<BucketName, Failure> {
        let name = self.bucket.as_deref().unwrap_or(DEFAULT_BUCKET);
        BucketName::new(name).map_err(|error| Failure::new(Status::Usage, error.to_string()))
    }

    /// Refuses a daemon that only the client library can reach.
    pub(crate) fn ensure_plain(&self) -> Result<(), Failure> {
        if self.tls_ca_file.is_none() && !self.named()?.is_some_and(|url| url.is_https()) {
            return Ok(());
        }
        Err(Failure::new(
            Status::Usage,
            "bench speaks plain HTTP: name the daemon by an `http://` URL, without `--tls-ca-file`",
        ))
    }

    /// Configuration of a client of the daemon.
    pub(crate) fn config(&self) -> Result<ClientConfig, Failure> {
        let address = match self.named()? {
            Some(address) => address,
            None => DEFAULT_URL.parse().map_err(kvlease_client::Error::from)?,
        };
        if let Some(file) = self.tls_ca_file.as_ref().filter(|_| !address.is_https()) {
            let message = format!(
                "`--tls-ca-file` is for encrypted connections: use an `https://` URL or leave it \
                 out, file=`{}` url=`{address}`",
                file.display()
            );
            return Err(Failure::new(Status::Usage, message));
        }
        let mut config = ClientConfig::new(address);
        config.bucket = self.bucket()?;
        config.tls_ca_file = self.tls_ca_file.clone();
        config.put_piece_len = PUT_PIECE_LEN;
        Ok(config)
    }

    /// A client of the daemon.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.config()?))
    }
}

/// Parses a key.
pub(crate) fn key(text: &str) -> Result<kvlease_client::Key, String> {
    kvlease_client::Key::new(text).map_err(|error| error.to_string())
}
