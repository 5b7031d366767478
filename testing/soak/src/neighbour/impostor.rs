//! Attack of an impostor: a fast lane with memory of its own, where the daemon's was.

use std::{
    fs::File,
    io::{IoSlice, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{FileExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::Context;
use kvlease_api::lane::{
    DoneStatus, FRAME_LEN_MAX, Failure, FailureCode, Frame, KEYS_MAX, LeaseGrant, LeasesWriter,
    Request, ReservationsWriter, Welcome, write_done, write_failure, write_renewed,
};
use kvlease_sys::{Digest, GenerationTable};
use kvlease_types::{ByteSize, Checksum, Epoch, Extent, Offset};
use rustix::{
    fs::{MemfdFlags, fcntl_add_seals, memfd_create},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use super::{
    end::{ATTACKING, End},
    names::FOREIGN,
};
use crate::output::print;

/// Size of the foreign arena, and of each object in it.
const CAPACITY: u64 = 16 << 20;
const OBJECT_LEN: u64 = 4096;

/// Generation of the one slot that all foreign objects have.
const GENERATION: u64 = 1;

const POLL: Duration = Duration::from_millis(10);
const TTL: Duration = Duration::from_secs(300);

/// Arguments of the impostor.
#[derive(Clone, Debug, clap::Args)]
pub struct ImpostorArgs {
    /// Epoch that it claims, in hexadecimal: that of the daemon before it
    #[arg(long)]
    epoch: String,
    /// Sockets to answer at
    #[arg(required = true)]
    sockets: Vec<PathBuf>,
}

/// Memory of the impostor, and what it got.
struct Impostor {
    epoch: Epoch,
    arena: OwnedFd,
    generations: OwnedFd,
    checksum: Checksum,
    /// Connections, keys that it was asked for, objects that it was to take.
    connections: AtomicU64,
    asked: AtomicU64,
    stored: AtomicU64,
}

/// Answers at every socket that it can bind.
pub(super) fn attack(args: &ImpostorArgs, end: &End) -> anyhow::Result<String> {
    let epoch = u64::from_str_radix(&args.epoch, 16).context("no epoch")?;
    let impostor = Arc::new(Impostor::new(Epoch::new(epoch))?);
    let mut bound = Vec::new();
    for path in &args.sockets {
        // Where it may not bind there is nothing to attack.
        if let Ok(listener) = UnixListener::bind(path) {
            bound.push(path);
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o666))?;
            let impostor = Arc::clone(&impostor);
            // The threads are not joined: they end with the process.
            thread::spawn(move || impostor.accept(&listener));
        }
    }
    print(&format!("{ATTACKING} {}", bound.len()))?;
    while !end.has_come() {
        thread::sleep(POLL);
    }
    for path in bound {
        let _ = std::fs::remove_file(path);
    }
    let Impostor { connections, asked, stored, .. } = &*impostor;
    let [connections, asked, stored] =
        [connections, asked, stored].map(|count| count.load(Relaxed));
    Ok(format!("connections={connections} asked={asked} stored={stored}"))
}

impl Impostor {
    fn new(epoch: Epoch) -> anyhow::Result<Self> {
        let arena = File::from(memfd_create("foreign", MemfdFlags::CLOEXEC)?);
        let bytes = vec![FOREIGN; CAPACITY as usize];
        arena.write_all_at(&bytes, 0)?;
        let sealed = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let generations = File::from(memfd_create("foreign", sealed)?);
        generations.write_all_at(&GENERATION.to_le_bytes(), 0)?;
        fcntl_add_seals(&generations, GenerationTable::SIZE_SEALS)?;
        Ok(Self {
            epoch,
            arena: arena.into(),
            generations: generations.into(),
            checksum: Digest::of(&bytes[..OBJECT_LEN as usize]),
            connections: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            stored: AtomicU64::new(0),
        })
    }

    fn accept(self: Arc<Self>, listener: &UnixListener) {
        for stream in listener.incoming().flatten() {
            self.connections.fetch_add(1, Relaxed);
            let impostor = Arc::clone(&self);
            // A client that goes away is no loss.
            thread::spawn(move || drop(impostor.converse(&stream)));
        }
    }

    fn converse(&self, mut stream: &UnixStream) -> anyhow::Result<()> {
        let mut arrived = Vec::new();
        loop {
            while let Some((frame, len)) = Frame::split(&arrived, FRAME_LEN_MAX)? {
                self.answer(&frame, stream)?;
                arrived.drain(..len);
            }
            let mut bytes = [0; 16 << 10];
            match stream.read(&mut bytes)? {
                0 => return Ok(()),
                read => arrived.extend_from_slice(&bytes[..read]),
            }
        }
    }

    fn answer(&self, frame: &Frame<'_>, mut stream: &UnixStream) -> anyhow::Result<()> {
        let mut out = Vec::new();
        match Request::decode(frame)? {
            Request::Hello(_) => return self.welcome(stream),
            Request::Acquire(acquire) => {
                let keys = acquire.keys.count();
                self.asked.fetch_add(keys as u64, Relaxed);
                out = self.leases(frame.request, keys);
            }
            Request::Reserve(reserve) => {
                let mut writer = ReservationsWriter::begin(&mut out, frame.request, TTL);
                for object in reserve.objects {
                    writer.granted(1, &[Extent::new(Offset::new(0), object.len)]);
                }
                writer.finish();
            }
            Request::Commit(commits) => {
                let commits = commits.count();
                self.stored.fetch_add(commits as u64, Relaxed);
                write_done(&mut out, frame.request, &vec![DoneStatus::Done; commits]);
            }
            Request::Exists(lookup) | Request::Remove(lookup) => {
                let keys = lookup.keys.count();
                self.asked.fetch_add(keys as u64, Relaxed);
                write_done(&mut out, frame.request, &vec![DoneStatus::Done; keys]);
            }
            Request::Renew { ids, .. } => {
                let statuses = vec![DoneStatus::Done; ids.count()];
                write_renewed(&mut out, frame.request, TTL, &statuses);
            }
            // As a daemon of an earlier release: then a client asks for each object.
            Request::Index | Request::Prepare(_) | Request::Store(_) => {
                let failure = Failure { code: FailureCode::UnknownKind, text: "no such request" };
                write_failure(&mut out, frame.request, &failure);
            }
            Request::Used(_) => {}
            Request::Release { silent: true, .. } | Request::Abort { silent: true, .. } => {}
            Request::Release { ids, .. } | Request::Abort { ids, .. } => {
                write_done(&mut out, frame.request, &vec![DoneStatus::Done; ids.count()]);
            }
        }
        Ok(stream.write_all(&out)?)
    }

    fn welcome(&self, stream: &UnixStream) -> anyhow::Result<()> {
        let welcome = Welcome {
            writes: true,
            epoch: self.epoch,
            capacity: ByteSize::new(CAPACITY),
            object_len_max: ByteSize::new(CAPACITY),
            lease_ttl_max: TTL,
            reservation_ttl: TTL,
            keys_max: KEYS_MAX as u32,
            frame_len_max: FRAME_LEN_MAX as u32,
            slots: 1,
        };
        let mut frame = Vec::new();
        welcome.write(&mut frame, 0);
        let descriptors = [self.arena.as_fd(), self.generations.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)), "there is room");
        sendmsg(stream, &[IoSlice::new(&frame)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Leases of foreign objects, each with the right checksum of foreign bytes.
    fn leases(&self, request: u64, keys: usize) -> Vec<u8> {
        let mut leases = LeasesWriter::begin(Vec::new(), request);
        let len = ByteSize::new(OBJECT_LEN);
        for sequence in 1..=keys as u64 {
            let (generation, checksum) = (GENERATION, self.checksum);
            let grant = LeaseGrant { slot: 0, sequence, generation, checksum, len };
            leases.granted(&grant, &[Extent::new(Offset::new(0), len)]);
        }
        leases.finish(TTL)
    }
}
