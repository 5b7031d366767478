//! Valkey or Redis server as a process of its own, and what can happen to it.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::{daemon::STARTS_WITHIN, launch::unused_address, stop, wait::until};

/// The server, which `cargo xtask stores` gets.
const PROGRAM: &str = "redis-server";

/// Starts until the port is not taken by another process.
const STARTS_MAX: usize = 5;

/// Limit of a call of the test's own.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// Server with a directory of its own. What it answered is there after a kill: it writes its log
/// before it answers. Dropping it kills it.
#[derive(Debug)]
pub struct Valkey {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Valkey {
    /// Starts a server that has nothing.
    pub fn start() -> anyhow::Result<Self> {
        let mut directory = TempDir::with_prefix("kvlease-valkey-")?;
        for _ in 0..STARTS_MAX {
            let address: SocketAddr = unused_address().parse()?;
            let child = spawn(address, &directory)?;
            let mut server = Self { child, address, directory };
            if server.answers()? {
                return Ok(server);
            }
            directory = TempDir::with_prefix("kvlease-valkey-")?;
        }
        bail!("the server does not start, program=`{PROGRAM}`")
    }

    /// URL of a tier in it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Stops the process: connections to it are accepted, and it answers none.
    pub fn stop(&self) -> anyhow::Result<()> {
        stop::stop(&self.child)
    }

    /// Lets the stopped process go on.
    pub fn resume(&self) -> anyhow::Result<()> {
        stop::resume(&self.child)
    }

    /// Kills the process: connections are refused from then on.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts the killed server again, with what it answered.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(self.address, &self.directory)?;
        ensure!(self.answers()?, "the server does not start again, address=`{}`", self.address);
        Ok(())
    }

    /// Takes no more values, or takes them again. What it has it keeps.
    pub fn set_full(&self, full: bool) -> anyhow::Result<()> {
        let max = if full { "1" } else { "0" };
        self.call(&[b"CONFIG", b"SET", b"maxmemory", max.as_bytes()]).map(drop)
    }

    /// Names of values.
    pub fn names(&self, pattern: &str) -> anyhow::Result<Vec<String>> {
        let names = self.call(&[b"KEYS", pattern.as_bytes()])?;
        names.into_iter().map(|name| Ok(String::from_utf8(name)?)).collect()
    }

    /// A value; nothing if there is none.
    pub fn get(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        Ok(self.call(&[b"GET", name.as_bytes()])?.pop().unwrap_or_default())
    }

    /// Replaces a value.
    pub fn set(&self, name: &str, value: &[u8]) -> anyhow::Result<()> {
        self.call(&[b"SET", name.as_bytes(), value]).map(drop)
    }

    /// Replaces a value by another one.
    pub fn copy(&self, from: &str, to: &str) -> anyhow::Result<()> {
        self.call(&[b"COPY", from.as_bytes(), to.as_bytes(), b"REPLACE"]).map(drop)
    }

    /// Whether it answers before the process ends.
    fn answers(&mut self) -> anyhow::Result<bool> {
        let answered = until(STARTS_WITHIN, || match self.child.try_wait() {
            Ok(None) => self.call(&[b"PING"]).is_ok().then_some(Ok(true)),
            Ok(Some(_)) => Some(Ok(false)),
            Err(error) => Some(Err(error)),
        });
        Ok(answered.context("the server does not answer")??)
    }

    /// Calls a command, and returns the texts of the answer.
    fn call(&self, words: &[&[u8]]) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut stream = TcpStream::connect_timeout(&self.address, CALL_WITHIN)?;
        stream.set_read_timeout(Some(CALL_WITHIN))?;
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend(format!("${}\r\n", word.len()).bytes());
            command.extend_from_slice(word);
            command.extend(b"\r\n");
        }
        stream.write_all(&command)?;
        read(&mut BufReader::new(stream))
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        let _killed = self.kill();
    }
}

fn spawn(address: SocketAddr, directory: &TempDir) -> anyhow::Result<Child> {
    let mut command = Command::new(PROGRAM);
    command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"]);
    command.args(["--auto-aof-rewrite-percentage", "0"]);
    command.arg("--dir").arg(directory.path());
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().context("run `cargo xtask stores` to get the server")
}

/// Texts of an answer, in order; a missing one is left out.
fn read(stream: &mut impl BufRead) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let rest = line.get(1..).unwrap_or_default();
    match line.as_bytes().first() {
        Some(b'+' | b':') => Ok(vec![rest.into()]),
        Some(b'$') => {
            let Ok(len) = rest.parse::<usize>() else { return Ok(Vec::new()) };
            let mut text = vec![0; len + b"\r\n".len()];
            stream.read_exact(&mut text)?;
            text.truncate(len);
            Ok(vec![text])
        }
        Some(b'*') => {
            let mut texts = Vec::new();
            for _ in 0..rest.parse()? {
                texts.extend(read(stream)?);
            }
            Ok(texts)
        }
        _ => bail!("the server refuses, answer=`{line}`"),
    }
}
