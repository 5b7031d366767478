//! One connection: hyper on a socket that the routes can see as well.

use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::BufMut;
use kvlease_engine::READ_PIECE_MAX;
use kvlease_sys::{set_receive_low_water, set_unsent_low_water};
use kvlease_types::TenantId;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

use super::{heads::Heads, listener::Arrival};
use crate::{
    connection_memory::{ConnectionMemory, Held, Purpose},
    quotas::{ConnectionPlace, OverQuota, RequestQuotas},
    scheduling::ConnectionTenant,
};

/// How many bytes the kernel collects before it wakes us, while more than that of a body is to
/// come; the largest that fits. A wake-up for every segment costs more than the copy of its bytes
/// (`benches/ingest`).
const LOW_WATERS: [usize; 2] = [1 << 20, 256 << 10];

/// The most bytes of a body that hyper may hold already: its read buffer at its largest. They
/// will not come through the socket again, so they must not be waited for there.
const BUFFERED_MAX: usize = 408 << 10;

/// The same with TLS: also the read-ahead, a record that is not whole, and one in the clear.
const BUFFERED_ENCRYPTED_MAX: usize = BUFFERED_MAX + (96 << 10);

/// The most bytes of an object that are read, and collected by hyper, before they are encrypted. So the client
/// decrypts the first ones while the next are read. glibc keeps the memory of such a piece; longer ones it may give
/// back to the system after each reply, and every page of the next one is a fault then.
pub(super) const ENCRYPTED_PIECE_MAX: usize = 64 << 10;

/// The most bytes of one read without memory for more: hyper's read buffer grows once a read fills
/// the 8 KiB that it has at first.
pub(super) const READ_LEN_SMALL: usize = (8 << 10) - 1;

/// Memory for hyper's read buffer at its largest, and what it is copied from while it grows.
const READ_BUFFER_MEMORY: usize = 512 << 10;

/// A socket, shared between hyper, which reads and writes it, and the upload that is under way,
/// which tells the kernel how many bytes are worth a wake-up. It knows how its client arrived.
#[derive(Clone, Debug)]
pub(crate) struct Socket(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    /// Set before the first request.
    arrival: OnceLock<Arrival>,
    /// Whether its bytes are encrypted.
    is_encrypted: bool,
    low_water: AtomicUsize,
    heads: Heads,
    /// The tenant that it is of, where tenants take turns.
    tenant: Option<ConnectionTenant>,
    /// Place of the connection among those of the tenant whose request came last.
    place: Mutex<Option<ConnectionPlace>>,
    /// Memory for a large read buffer. hyper keeps such a buffer, and so the connection keeps this.
    large: OnceLock<Held>,
}

impl Socket {
    /// A connection in the clear.
    pub(super) fn plain(
        stream: TcpStream,
        arrival: Arrival,
        tenant: Option<ConnectionTenant>,
    ) -> Self {
        Self::new(stream, OnceLock::from(arrival), tenant, false)
    }

    /// A connection whose handshake is to come, and with it all that [`Socket::arrives`] takes.
    pub(super) fn encrypted(stream: TcpStream, tenant: Option<ConnectionTenant>) -> Self {
        Self::new(stream, OnceLock::new(), tenant, true)
    }

    fn new(
        stream: TcpStream,
        arrival: OnceLock<Arrival>,
        tenant: Option<ConnectionTenant>,
        is_encrypted: bool,
    ) -> Self {
        Self(Arc::new(Shared {
            stream,
            arrival,
            is_encrypted,
            low_water: AtomicUsize::new(1),
            heads: Heads::default(),
            tenant,
            place: Mutex::default(),
            large: OnceLock::new(),
        }))
    }

    /// Tells what the handshake has shown.
    pub(super) fn arrives(&self, arrival: Arrival) {
        self.0.arrival.set(arrival).expect("a connection has one handshake");
    }

    /// The arrival of the client.
    pub(super) fn arrival(&self) -> &Arrival {
        self.0.arrival.get().expect("a request comes behind the handshake")
    }

    /// Whether its bytes are encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.0.is_encrypted
    }

    /// The most bytes of an object that are read at a time to be sent here.
    pub(super) fn piece_max(&self) -> usize {
        if self.0.is_encrypted { ENCRYPTED_PIECE_MAX } else { READ_PIECE_MAX }
    }

    /// Tells whose request has come.
    pub(super) fn is_of(&self, tenant: TenantId) {
        if let Some(known) = &self.0.tenant {
            known.tell(tenant);
        }
    }

    /// Whether the tenants take turns, so that no request keeps the thread for long.
    pub(super) fn takes_turns(&self) -> bool {
        self.0.tenant.is_some()
    }

    /// Counts the connection for a tenant, whose requests come on it.
    pub(super) fn keep_place(
        &self,
        quotas: &RequestQuotas,
        tenant: TenantId,
    ) -> Result<(), OverQuota> {
        let mut place = self.0.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_none_or(|place| place.tenant != tenant) {
            *place = quotas.connect(tenant)?;
        }
        Ok(())
    }

    /// Lets the read buffer grow for a body of this length, `None` if it is unknown, if there is
    /// memory for that.
    pub(crate) fn expect_body(&self, len: Option<u64>, memory: &ConnectionMemory) {
        let is_long = len.is_none_or(|len| len > 2 * READ_LEN_SMALL as u64);
        if is_long
            && self.0.large.get().is_none()
            && let Some(held) = memory.try_take(Purpose::Uploads, READ_BUFFER_MEMORY)
        {
            // One task at a time serves a connection, so this is the only value.
            let _ = self.0.large.set(held);
        }
    }

    /// Says how many bytes of the current body are still to come; `None` if that is unknown. Returns
    /// whether that changes what the kernel waits for.
    pub(crate) fn expect(&self, left: Option<u64>) -> bool {
        let buffered = if self.0.is_encrypted { BUFFERED_ENCRYPTED_MAX } else { BUFFERED_MAX };
        let fits = |mark: &&usize| left.is_some_and(|left| left > (**mark + buffered) as u64);
        let wanted = LOW_WATERS.iter().find(fits).copied().unwrap_or(1);
        // Relaxed: one task at a time serves a connection.
        let changed = self.0.low_water.swap(wanted, Relaxed) != wanted;
        if changed {
            // A refusal only costs wake-ups.
            let _ = set_receive_low_water(self.0.stream.as_fd(), wanted);
        }
        changed
    }

    /// Says how many bytes of replies may wait in the kernel before they are on their way; 0 for any
    /// number.
    pub(super) fn keep_unsent(&self, most: usize) {
        // After a refusal the kernel keeps more.
        let _ = set_unsent_low_water(self.0.stream.as_fd(), most);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.read_when_ready(cx, || match self.has_large_buffer() {
            true => self.read(buffer, usize::MAX),
            false => self.read_little(buffer),
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(reply) = slices.first().and_then(|first| self.replaces(first)) {
            // hyper closes behind this reply, which is as long as its own or is cut to that.
            let written = self.write_when_ready(cx, |stream| stream.try_write(reply));
            return written.map_ok(|_| slices.iter().map(|slice| slice.len()).sum());
        }
        self.poll_write_any(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = rustix::net::shutdown(&self.0.stream, rustix::net::Shutdown::Write);
        Poll::Ready(end.map_err(io::Error::from))
    }
}

impl Socket {
    /// Whether hyper's read buffer may be at its largest.
    pub(super) fn has_large_buffer(&self) -> bool {
        self.0.large.get().is_some()
    }

    /// Looks at bytes of heads in the clear. Returns the answer to what is no HTTP/1.
    pub(super) fn look_at(&self, bytes: &[u8]) -> Option<&'static [u8]> {
        self.0.heads.look_at(bytes)
    }

    /// The answer in the place of hyper's own.
    pub(super) fn replaces(&self, reply: &[u8]) -> Option<&'static [u8]> {
        self.0.heads.replaces(reply)
    }

    /// Reads what is there, whatever it is.
    pub(super) fn poll_read_any(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.read_when_ready(cx, || self.read(buffer, usize::MAX))
    }

    /// Writes bytes, whatever they are.
    pub(super) fn poll_write_any(
        &self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_when_ready(cx, |stream| stream.try_write_vectored(slices))
    }

    /// Reads at most `most` bytes.
    ///
    /// A read that does not fill its room has emptied the socket: until the kernel tells of more, there
    /// is no other one, which would be in vain.
    fn read(&self, buffer: &mut ReadBuf<'_>, most: usize) -> io::Result<()> {
        let room = buffer.remaining().min(most);
        let mut emptied = false;
        let read = self.0.stream.try_io(Interest::READABLE, || {
            let len = self.0.stream.try_read_buf(&mut (&mut *buffer).limit(room))?;
            // None at all is the end of the stream, which stays readable.
            emptied = len > 0 && len < room;
            if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if emptied { Ok(()) } else { read }
    }

    /// Reads so little that hyper's read buffer does not grow.
    fn read_little(&self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let before = buffer.filled().len();
        self.read(buffer, READ_LEN_SMALL)?;
        if let Some(refusal) = self.look_at(&buffer.filled()[before..]) {
            // The client may be gone.
            let _ = self.0.stream.try_write(refusal);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    fn read_when_ready(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut() -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match read() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn write_when_ready(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.stream.poll_write_ready(cx))?;
            match write(&self.0.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}
