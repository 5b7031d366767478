//! A peer of a lane client: a socket whose one client is served by a function.

use std::{
    fs::{self, File},
    io::{IoSlice, Read},
    mem::MaybeUninit,
    os::{
        fd::AsFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    thread,
    time::Duration,
};

use kvlease_api::lane::{FRAME_LEN_MAX, Frame, KEYS_MAX, LeaseGrant, LeasesWriter, Welcome};
use kvlease_arena::Generations;
use kvlease_attach::TrustedUsers;
use kvlease_types::{ByteSize, Checksum, Epoch, Extent, Offset};
use rustix::{
    fs::Uid,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::geteuid,
    thread::set_thread_res_uid,
};

pub(crate) const CAPACITY: u64 = 1 << 20;
/// A user that no test runs as.
const FOREIGN_UID: u32 = 4_242;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A socket whose one client is served by a function.
pub(crate) struct Peer {
    dir: tempfile::TempDir,
}

impl Peer {
    pub(crate) fn serving(serve: impl FnOnce(UnixStream) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0));
        Self { dir }
    }

    /// A peer of a user that the client does not trust by default, the number of that user, and
    /// the users that the client trusts.
    pub(crate) fn foreign(
        serve: impl FnOnce(UnixStream) + Send + 'static,
    ) -> (Self, u32, TrustedUsers) {
        let own = geteuid();
        if !own.is_root() {
            // No other user can be had: the client takes itself for another one.
            let trusted = TrustedUsers { client_uid: own.as_raw() + 1, daemon_uid: None };
            return (Self::serving(serve), own.as_raw(), trusted);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // The kernel notes the user of the thread that listens.
        let listener = thread::spawn(move || {
            let uid = Uid::from_raw(FOREIGN_UID);
            set_thread_res_uid(uid, uid, uid).unwrap();
            UnixListener::bind(path).unwrap()
        });
        let listener = listener.join().unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0));
        (Self { dir }, FOREIGN_UID, TrustedUsers::default())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}

pub(crate) fn arena() -> File {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    file.set_len(CAPACITY).unwrap();
    file
}

pub(crate) fn welcome(capacity: u64) -> Vec<u8> {
    let mut frame = Vec::new();
    let welcome = Welcome {
        writes: true,
        epoch: Epoch::new(7),
        capacity: ByteSize::new(capacity),
        object_len_max: ByteSize::mib(1),
        lease_ttl_max: LIMIT,
        reservation_ttl: LIMIT,
        keys_max: KEYS_MAX as u32,
        frame_len_max: FRAME_LEN_MAX as u32,
        slots: 8,
    };
    welcome.write(&mut frame, 0);
    frame
}

/// Answers the hello as a daemon does.
pub(crate) fn greet(stream: &UnixStream, generations: &Generations) {
    greet_with(stream, generations, &arena());
}

/// The same with an arena that the test changes.
pub(crate) fn greet_with(mut stream: &UnixStream, generations: &Generations, arena: &File) {
    read_frame(&mut stream);
    let descriptors = [arena.as_fd(), generations.descriptor()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let frame = welcome(CAPACITY);
    sendmsg(stream, &[IoSlice::new(&frame)], &mut ancillary, SendFlags::empty()).unwrap();
}

/// The number of the next request.
pub(crate) fn read_frame(stream: &mut &UnixStream) -> u64 {
    let arrived = next_frame(stream).unwrap();
    Frame::split(&arrived, FRAME_LEN_MAX).unwrap().unwrap().0.request
}

/// The bytes of the next frame; `None` at the end of the stream.
pub(crate) fn next_frame(stream: &mut &UnixStream) -> Option<Vec<u8>> {
    let mut arrived = Vec::new();
    while Frame::split(&arrived, FRAME_LEN_MAX).unwrap().is_none() {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        arrived.push(byte[0]);
    }
    Some(arrived)
}

pub(crate) fn grant(slot: u32, generation: u64) -> LeaseGrant {
    let (checksum, len) = (Checksum::new(1), ByteSize::new(64));
    LeaseGrant { slot, sequence: 1, generation, checksum, len }
}

pub(crate) fn granted(request: u64, grant: LeaseGrant, at: u64) -> Vec<u8> {
    let mut leases = LeasesWriter::begin(Vec::new(), request);
    leases.granted(&grant, &[Extent::new(Offset::new(at), grant.len)]);
    leases.finish(LIMIT)
}
