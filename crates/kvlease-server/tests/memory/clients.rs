//! Clients that send what the daemon takes and read nothing. One that the daemon cuts off is replaced by a
//! new one of its kind, so that the load stays for as long as it is held.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kvlease_api::lane::{Hello, VERSION};
use kvlease_harness::Daemon;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConfig;

use crate::tls::Session;

/// Pause between two looks at all clients.
const PAUSE: Duration = Duration::from_millis(20);

/// The most time that a client waits for the daemon's welcome. Then the next look tries again.
const WELCOME_WITHIN: Duration = Duration::from_secs(1);

/// The most time that a handshake waits for the daemon's next bytes. A daemon without a place does not answer.
const HANDSHAKE_WITHIN: Duration = Duration::from_millis(100);

/// A kind of clients, and what each of them sends.
#[derive(Debug)]
pub(crate) struct Kind {
    name: &'static str,
    count: usize,
    over: Over,
    bytes: Vec<u8>,
}

/// Way to the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Over {
    Http,
    Lane,
    /// HTTP within TLS.
    Tls,
    /// Bytes in the clear to the listener with TLS.
    Handshake,
}

impl Kind {
    pub(crate) const fn http(name: &'static str, count: usize, bytes: Vec<u8>) -> Self {
        Self { name, count, over: Over::Http, bytes }
    }

    pub(crate) const fn lane(name: &'static str, count: usize, bytes: Vec<u8>) -> Self {
        Self { name, count, over: Over::Lane, bytes }
    }

    pub(crate) const fn handshake(name: &'static str, count: usize, bytes: Vec<u8>) -> Self {
        Self { name, count, over: Over::Handshake, bytes }
    }

    /// The same within TLS, at most this many; `None` if it is not of HTTP.
    pub(crate) fn encrypted(self, most: usize) -> Option<Self> {
        let count = self.count.min(most);
        (self.over == Over::Http).then_some(Self { over: Over::Tls, count, ..self })
    }
}

/// Report of a load.
#[derive(Debug)]
pub(crate) struct Told {
    /// How many clients of each kind there were, and how many were replaced.
    pub(crate) clients: String,
    /// Most clients behind their handshake at one look, with those that were cut off since the last one.
    pub(crate) encrypted: usize,
}

/// All clients, from the start to [`Load::end`].
#[derive(Debug)]
pub(crate) struct Load {
    end: Sender<()>,
    renewal: JoinHandle<Told>,
}

impl Load {
    /// Connects all clients, and replaces from then on those that are cut off.
    pub(crate) fn start(
        daemon: &Daemon,
        kinds: Vec<Kind>,
        tls: Option<(SocketAddr, Arc<ClientConfig>)>,
    ) -> Self {
        let place = Place { http: daemon.address(), lane: daemon.segment().socket_path(), tls };
        let mut groups: Vec<_> = kinds.into_iter().map(Group::new).collect();
        for group in &mut groups {
            group.look(&place).unwrap();
        }
        let (end, ended) = channel();
        let renewal = thread::spawn(move || renew(&mut groups, &place, &ended));
        Self { end, renewal }
    }

    /// Closes all clients, and tells what there was.
    pub(crate) fn end(self) -> Told {
        drop(self.end);
        self.renewal.join().unwrap()
    }
}

/// Addresses of the daemon.
#[derive(Debug)]
struct Place {
    http: SocketAddr,
    lane: PathBuf,
    tls: Option<(SocketAddr, Arc<ClientConfig>)>,
}

fn renew(groups: &mut [Group], place: &Place, ended: &Receiver<()>) -> Told {
    let mut encrypted = 0;
    while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        for group in &mut *groups {
            group.look(place).unwrap();
        }
        encrypted = encrypted.max(groups.iter().map(Group::encrypted).sum());
    }
    let told = groups.iter().map(|group| {
        let Group { kind, most, opened, .. } = group;
        assert!(*most > 0, "there was no load of `{}`", kind.name);
        format!("{most} {} (+{})", kind.name, opened - kind.count.min(*opened))
    });
    Told { clients: told.collect::<Vec<_>>().join(", "), encrypted }
}

/// The clients of one kind.
#[derive(Debug)]
struct Group {
    kind: Kind,
    clients: Vec<Client>,
    opened: usize,
    /// Most clients at a time: one that was cut off may have found no place again yet.
    most: usize,
}

impl Group {
    const fn new(kind: Kind) -> Self {
        Self { kind, clients: Vec::new(), opened: 0, most: 0 }
    }

    /// Clients behind their handshake.
    fn encrypted(&self) -> usize {
        self.clients.iter().filter(|client| client.session.is_some()).count()
    }

    /// Has each client send what the daemon takes, and replaces those that it has cut off.
    fn look(&mut self, place: &Place) -> io::Result<()> {
        let mut waiting: Vec<_> = self.clients.iter().map(|it| it.interest(&self.kind)).collect();
        poll(&mut waiting, Some(&Timespec::default()))?;
        let seen: Vec<_> = waiting.iter().map(PollFd::revents).collect();
        let mut seen = seen.into_iter();
        self.clients.retain_mut(|client| {
            let seen = seen.next().expect("each client was looked at");
            let is_cut = seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::RDHUP);
            !is_cut && client.send(&self.kind.bytes).is_ok()
        });
        while self.clients.len() < self.kind.count {
            // A daemon that has no place now may have one at the next look.
            let Ok((stream, session)) = connect(&self.kind, place) else { break };
            self.opened += 1;
            self.clients.push(Client { stream, session, sent: 0 });
        }
        self.most = self.most.max(self.clients.len());
        Ok(())
    }
}

#[derive(Debug)]
struct Client {
    stream: File,
    session: Option<Session>,
    sent: usize,
}

impl Client {
    fn interest(&self, kind: &Kind) -> PollFd<'_> {
        let owes = self.session.as_ref().is_some_and(Session::wants_to_send);
        let wants = match owes || self.sent < kind.bytes.len() {
            true => PollFlags::OUT,
            false => PollFlags::empty(),
        };
        PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::RDHUP | wants)
    }

    /// Sends as much as the daemon takes at once.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            self.sent += session.send(&mut self.stream, &bytes[self.sent..])?;
            return Ok(());
        }
        while self.sent < bytes.len() {
            match self.stream.write(&bytes[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A connection that never blocks.
fn connect(kind: &Kind, place: &Place) -> io::Result<(File, Option<Session>)> {
    let address = match kind.over {
        Over::Lane => return Ok((connect_lane(place)?, None)),
        Over::Http => place.http,
        Over::Tls | Over::Handshake => place.tls.as_ref().ok_or(io::ErrorKind::NotFound)?.0,
    };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HANDSHAKE_WITHIN))?;
    let settings = place.tls.as_ref().filter(|_| kind.over == Over::Tls);
    let mut session = settings.map(|(_, clients)| Session::new(clients));
    if let Some(session) = &mut session {
        session.begin(&mut stream)?;
    }
    stream.set_nonblocking(true)?;
    Ok((OwnedFd::from(stream).into(), session))
}

fn connect_lane(place: &Place) -> io::Result<File> {
    let mut stream = UnixStream::connect(&place.lane)?;
    stream.set_read_timeout(Some(WELCOME_WITHIN))?;
    let mut hello = Vec::new();
    Hello { version: VERSION, writes: true }.write(&mut hello, 0);
    stream.write_all(&hello)?;
    if stream.read(&mut [0; 256])? == 0 {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    stream.set_nonblocking(true)?;
    Ok(OwnedFd::from(stream).into())
}
