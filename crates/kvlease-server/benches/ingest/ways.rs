//! The ways: hyper with several copies and low-water marks, and reading the socket by ourselves.

use std::{
    cell::Cell,
    convert::Infallible,
    io::{Read, Write},
    net::{TcpListener, TcpStream as StdStream},
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kvlease_arena::{Arena, SegmentOptions};
use kvlease_sys::{Digest, set_receive_low_water};
use kvlease_types::{ByteSize, Offset};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Answers what CPU time the thread has used, if it was asked.
pub(crate) type Report = Box<dyn Fn()>;

/// One way from the socket into memory.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) serve: fn(TcpListener, Place, usize, Report),
}

/// All of them.
pub(crate) const WAYS: &[Way] = &[
    Way { name: "hyper, memcpy", serve: |l, p, u, r| hyper(l, p, u, &r, Copy::Plain, 1) },
    Way { name: "hyper, non-temporal", serve: |l, p, u, r| hyper(l, p, u, &r, Copy::Fused, 1) },
    Way {
        name: "hyper, non-temporal, low water 256 KiB",
        serve: |l, p, u, r| hyper(l, p, u, &r, Copy::Fused, 256 << 10),
    },
    Way {
        name: "hyper, non-temporal, low water 1 MiB",
        serve: |l, p, u, r| hyper(l, p, u, &r, Copy::Fused, 1 << 20),
    },
    Way {
        name: "hyper, non-temporal, low water 2 MiB",
        serve: |l, p, u, r| hyper(l, p, u, &r, Copy::Fused, 2 << 20),
    },
    Way { name: "own, 256 KiB buffer, non-temporal, low water 256 KiB", serve: own_buffered },
    Way {
        name: "own, straight into memory, low water 256 KiB",
        serve: |l, p, u, r| own_direct(l, p, u, &r, 256 << 10),
    },
    Way {
        name: "own, straight into memory, low water 1 MiB",
        serve: |l, p, u, r| own_direct(l, p, u, &r, 1 << 20),
    },
    Way {
        name: "own, straight into memory, low water 2 MiB",
        serve: |l, p, u, r| own_direct(l, p, u, &r, 2 << 20),
    },
];

#[derive(Clone, Copy, PartialEq)]
enum Copy {
    /// Checksum, then memcpy.
    Plain,
    /// The arena's own: non-temporal stores and checksum in one.
    Fused,
}

/// Memory to receive into: an arena, and as much of the heap for the ways that the arena has no
/// function for.
pub(crate) struct Place {
    arena: Arena,
    heap: Vec<u8>,
    next: usize,
}

impl Place {
    pub(crate) fn new(len: usize) -> Self {
        let folder = Box::leak(Box::new(tempfile::tempdir_in("/dev/shm").unwrap()));
        let size = ByteSize::new(len as u64);
        let options = SegmentOptions {
            dir: folder.path().to_owned(),
            ..SegmentOptions::new("ingest".parse().unwrap(), size, std::time::Duration::ZERO)
        };
        let arena = Arena::open(&options).unwrap();
        // The mappings keep the memory; the names are not needed any more.
        std::fs::remove_dir_all(folder.path()).unwrap();
        while !arena.populate_next().unwrap().is_complete() {}
        Self { arena, heap: vec![1; len], next: 0 }
    }

    /// Where the next upload goes.
    fn take(&mut self, upload: usize) -> usize {
        let at = self.next;
        self.next = (at + upload) % self.heap.len();
        at
    }

    fn put(&mut self, at: usize, bytes: &[u8], copy: Copy, digest: &mut Digest) {
        match copy {
            Copy::Fused => self.arena.write(Offset::new(at as u64), bytes, digest),
            Copy::Plain => {
                digest.update(bytes);
                self.heap[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

fn hyper(
    listener: TcpListener,
    place: Place,
    upload: usize,
    report: &Report,
    copy: Copy,
    low_water: usize,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let socket = Socket(Arc::new(TcpStream::from_std(stream).unwrap()));
        let place = Cell::new(Some(place));
        let service = service_fn(|request: Request<Incoming>| {
            let (socket, place) = (socket.clone(), &place);
            async move {
                let mut target = place.take().expect("one upload at a time");
                let mut at = target.take(upload);
                let mut digest = Digest::new();
                let mut body = request.into_body();
                loop {
                    let left = body.size_hint().exact().unwrap() as usize;
                    // hyper may hold up to 408 KiB already.
                    let water = if left > low_water + (408 << 10) { low_water } else { 1 };
                    if low_water > 1 {
                        set_receive_low_water(socket.0.as_fd(), water).unwrap();
                    }
                    let Some(frame) = body.frame().await else { break };
                    let bytes = frame.unwrap().into_data().unwrap();
                    target.put(at, &bytes, copy, &mut digest);
                    at += bytes.len();
                }
                place.set(Some(target));
                std::hint::black_box(digest.finish());
                report();
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        // The sender closes the connection at the end.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(socket.clone()), service).await;
    });
}

fn own_buffered(listener: TcpListener, mut place: Place, upload: usize, report: Report) {
    let mut buffer = vec![0; 256 << 10];
    own(listener, upload, &report, move |stream, early, upload| {
        let at = place.take(upload);
        let mut digest = Digest::new();
        place.put(at, early, Copy::Fused, &mut digest);
        let mut received = early.len();
        while received < upload {
            let left = upload - received;
            set_receive_low_water(stream.as_fd(), blocking_water(buffer.len(), left)).unwrap();
            let want = buffer.len().min(left);
            let len = stream.read(&mut buffer[..want]).unwrap();
            place.put(at + received, &buffer[..len], Copy::Fused, &mut digest);
            received += len;
        }
        std::hint::black_box(digest.finish());
    });
}

fn own_direct(
    listener: TcpListener,
    mut place: Place,
    upload: usize,
    report: &Report,
    low_water: usize,
) {
    own(listener, upload, report, move |stream, early, upload| {
        let at = place.take(upload);
        let mut digest = Digest::new();
        place.put(at, early, Copy::Plain, &mut digest);
        let mut received = early.len();
        while received < upload {
            let water = blocking_water(low_water, upload - received);
            set_receive_low_water(stream.as_fd(), water).unwrap();
            let target = &mut place.heap[at + received..at + upload];
            let len = stream.read(target).unwrap();
            digest.update(&target[..len]);
            received += len;
        }
        std::hint::black_box(digest.finish());
    });
}

/// The mark for a blocking read. A read that has taken part of what it waits for is woken only by
/// as much again, so the mark must be out of the way before the end.
fn blocking_water(wanted: usize, left: usize) -> usize {
    if left > 2 * wanted { wanted } else { 1 }
}

/// Blocking reads by ourselves. `receive` is handed the bytes of the body that came with the head.
fn own(
    listener: TcpListener,
    upload: usize,
    report: &Report,
    mut receive: impl FnMut(&mut StdStream, &[u8], usize),
) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let mut head = vec![0; 4096];
    loop {
        set_receive_low_water(stream.as_fd(), 1).unwrap();
        let mut filled = 0;
        let body = loop {
            let len = stream.read(&mut head[filled..]).unwrap();
            if len == 0 {
                return;
            }
            filled += len;
            let end = head[..filled].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
        };
        receive(&mut stream, &head[body..filled], upload);
        report();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// A socket that hyper reads and the service sees.
#[derive(Clone)]
struct Socket(Arc<TcpStream>);

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
