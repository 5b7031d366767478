//! Arguments that several commands share.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use kvlease_client::{
    Address, BucketName, ByteSize, Client, ClientConfig, DEFAULT_BUCKET, ListedTiers, TokenSource,
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
    /// Certificate of this client, in PEM, for a daemon that asks for one; with --tls-key-file
    #[arg(long, global = true, value_name = "FILE")]
    tls_certificate_file: Option<PathBuf>,
    /// Private key of that certificate, in PEM
    #[arg(long, global = true, value_name = "FILE")]
    tls_key_file: Option<PathBuf>,
    /// File with the bearer token, in one line, by which the daemon knows this client
    #[arg(long, global = true, env = "KVLEASE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
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

    /// The URL as it was given, if it was.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Gives a client that another configuration describes the files that were named here.
    pub(crate) fn add_credentials(&self, config: &mut ClientConfig) {
        let named = |file: &Option<PathBuf>, of: &mut Option<PathBuf>| {
            if let Some(file) = file {
                *of = Some(file.clone());
            }
        };
        named(&self.tls_ca_file, &mut config.tls_ca_file);
        named(&self.tls_certificate_file, &mut config.tls_certificate_file);
        named(&self.tls_key_file, &mut config.tls_key_file);
        if let Some(file) = &self.token_file {
            config.token = Some(TokenSource::File(file.clone()));
        }
    }

    /// The bucket. Its name is checked here, since a bad variable must not stop `serve`.
    pub(crate) fn bucket(&self) -> Result<BucketName, Failure> {
        let name = self.bucket.as_deref().unwrap_or(DEFAULT_BUCKET);
        BucketName::new(name).map_err(|error| Failure::new(Status::Usage, error.to_string()))
    }

    /// The bucket that was named, if one was.
    pub(crate) fn named_bucket(&self) -> Result<Option<BucketName>, Failure> {
        self.bucket.is_some().then(|| self.bucket()).transpose()
    }

    /// Refuses a daemon that only the client library can reach.
    pub(crate) fn ensure_plain(&self) -> Result<(), Failure> {
        let is_encrypted = self.named()?.is_some_and(|url| url.is_https());
        if self.tls_flag().is_none() && self.token_file.is_none() && !is_encrypted {
            return Ok(());
        }
        Err(Failure::new(
            Status::Usage,
            "bench speaks plain HTTP and shows no token: name the daemon by an `http://` URL, without \
             `--tls-ca-file`, `--tls-certificate-file`, `--tls-key-file` and `--token-file`",
        ))
    }

    /// Configuration of a client of the daemon.
    pub(crate) fn config(&self) -> Result<ClientConfig, Failure> {
        self.config_of(None)
    }

    /// The same for the daemon at this address, if there is one.
    pub(crate) fn config_of(&self, address: Option<Address>) -> Result<ClientConfig, Failure> {
        let address = match address {
            Some(address) => Some(address),
            None => self.named()?,
        };
        let address = match address {
            Some(address) => address,
            None => DEFAULT_URL.parse().map_err(kvlease_client::Error::from)?,
        };
        if let Some((flag, file)) = self.tls_flag().filter(|_| !address.is_https()) {
            let message = format!(
                "`{flag}` is for encrypted connections: use an `https://` URL or leave it out, \
                 file=`{}` url=`{address}`",
                file.display()
            );
            return Err(Failure::new(Status::Usage, message));
        }
        let mut config = ClientConfig::new(address);
        config.bucket = self.bucket()?;
        config.tls_ca_file = self.tls_ca_file.clone();
        config.tls_certificate_file = self.tls_certificate_file.clone();
        config.tls_key_file = self.tls_key_file.clone();
        config.token = self.token_file.clone().map(TokenSource::File);
        if let Some(risk) = config.token_risk() {
            warn(&risk);
        }
        config.put_piece_len = PUT_PIECE_LEN;
        Ok(config)
    }

    /// The first flag that is for encrypted connections, and its file.
    fn tls_flag(&self) -> Option<(&'static str, &PathBuf)> {
        let flags = [
            ("--tls-ca-file", &self.tls_ca_file),
            ("--tls-certificate-file", &self.tls_certificate_file),
            ("--tls-key-file", &self.tls_key_file),
        ];
        flags.into_iter().find_map(|(flag, file)| Some((flag, file.as_ref()?)))
    }

    /// A client of the daemon.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.config()?))
    }
}

/// Tells on standard error what a command does all the same. Nothing is left to tell that it cannot.
fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "kvlease: {text}");
}

/// Parses the URL of a daemon.
pub(crate) fn url(text: &str) -> Result<Address, String> {
    text.parse().map_err(|error: kvlease_client::AddressError| error.to_string())
}

/// Parses a key.
pub(crate) fn key(text: &str) -> Result<kvlease_client::Key, String> {
    kvlease_client::Key::new(text).map_err(|error| error.to_string())
}
