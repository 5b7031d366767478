//! The socket's file: made for those who may use it, and gone with the daemon.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, fchmod},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen as listen_on,
        socket_with,
    },
};
use tokio::net::UnixListener;

use super::directory;
use crate::{
    config::{Config, SocketPlace},
    exit::ServeError,
};

/// How many connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 1_024;

/// Mode of the file until it belongs to whom it is for.
const MODE_AT_FIRST: Mode = Mode::RUSR.union(Mode::WUSR);

/// The socket's file. Dropping it removes the file, unless another one has its name. To be dropped
/// before its listener: with that, the number of its inode can become another file's.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    inode: (u64, u64),
    /// Whether its directory goes with it.
    removes_directory: bool,
}

impl Socket {
    /// Listens at `path`. What a daemon left there that is gone is replaced.
    pub(crate) fn listen(path: &Path, config: &Config) -> Result<(Self, UnixListener), ServeError> {
        let refused = |source| refusal(path, source);
        if config.socket == SocketPlace::Auto {
            directory::make(path).map_err(refused)?;
        }
        let made = make_way(path).and_then(|()| Self::make(path, config));
        if made.is_err() && config.socket == SocketPlace::Auto {
            directory::remove(path);
        }
        made.map_err(refused)
    }

    /// Leaves the directory where it is when the socket goes, as the segment is left: its name
    /// belongs to the daemon's user for as long, and no other user can take it.
    pub(crate) fn keep_directory(&mut self) {
        self.removes_directory = false;
    }

    /// Removes the socket that a daemon left which is gone.
    /// Its directory goes too, if it is empty then.
    pub(crate) fn remove_stale(path: &Path) -> Result<(), ServeError> {
        make_way(path).map_err(|source| refusal(path, source))?;
        directory::remove(path);
        Ok(())
    }

    fn make(path: &Path, config: &Config) -> io::Result<(Self, UnixListener)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The file gets its mode from the socket: at no moment can another user connect.
        fchmod(&listener, MODE_AT_FIRST)?;
        bind(&listener, &SocketAddrUnix::new(path)?)?;
        let made = fs::symlink_metadata(path)?;
        let (path_kept, inode) = (path.to_owned(), (made.dev(), made.ino()));
        let removes_directory = config.socket == SocketPlace::Auto;
        let socket = Self { path: path_kept, inode, removes_directory };
        chown(path, config.segment_uid, config.socket_gid)?;
        fs::set_permissions(path, fs::Permissions::from_mode(config.socket_mode))?;
        listen_on(&listener, BACKLOG)?;
        Ok((socket, UnixListener::from_std(owned(listener))?))
    }
}

/// File at the path of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// The socket.
    Socket,
    /// Nothing: another process removed it.
    Nothing,
    /// Another file, or the system does not say.
    Other,
}

impl Socket {
    /// File at the path now.
    pub(super) fn find(&self) -> Found {
        match fs::symlink_metadata(&self.path) {
            Ok(file) if (file.dev(), file.ino()) == self.inode => Found::Socket,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            _ => Found::Other,
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mine = self.find() == Found::Socket;
        if mine && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove the socket `{}`: {error}", self.path.display());
        }
        if self.removes_directory {
            directory::remove(&self.path);
        }
    }
}

fn owned(listener: OwnedFd) -> std::os::unix::net::UnixListener {
    listener.into()
}

/// Removes the socket that a daemon left which is gone.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // A listener whose backlog is full would keep a connection waiting for ever.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        Err(Errno::NOENT) => Ok(()),
        Ok(()) | Err(Errno::AGAIN) => Err(io::ErrorKind::AddrInUse.into()),
        Err(errno) => Err(errno.into()),
    }
}

fn refusal(path: &Path, source: io::Error) -> ServeError {
    let remedy = match source.kind() {
        io::ErrorKind::AddrInUse => "stop the daemon that listens there, or choose another path",
        io::ErrorKind::AlreadyExists => "another kind of file is there: choose another path",
        io::ErrorKind::NotFound => "make its directory, or choose another path",
        io::ErrorKind::PermissionDenied => {
            "choose a path and an owner that this user may give it, see server.socket_gid"
        }
        _ => "choose another path, or `none`",
    };
    ServeError::Socket { path: path.display().to_string(), remedy, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as BlockingListener;

    use tempfile::TempDir;

    use super::*;

    /// Listening needs a runtime to register with.
    fn listen(path: &Path, config: &Config) -> Result<(Socket, UnixListener), ServeError> {
        let config = &Config { socket: SocketPlace::Path(path.to_owned()), ..config.clone() };
        listen_as_configured(path, config)
    }

    fn listen_as_configured(
        path: &Path,
        config: &Config,
    ) -> Result<(Socket, UnixListener), ServeError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Socket::listen(path, config) })
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_its_owner() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("sock");
        let config = Config { socket_mode: 0o660, ..Config::default() };
        let (socket, _) = listen(&path, &config).unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, 0o660);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn the_default_place_is_a_directory_of_its_own_that_stays_where_the_segment_stays() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("lane").join("sock");
        // A killed daemon leaves both behind.
        for (is_killed, is_kept) in [(true, false), (false, true), (false, false), (false, false)] {
            let (mut socket, _listener) = listen_as_configured(&path, &Config::default()).unwrap();
            let mode = fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o711);
            if is_kept {
                socket.keep_directory();
            }
            if is_killed {
                std::mem::forget(socket);
            } else {
                drop(socket);
            }
            assert_eq!(path.exists(), is_killed);
            assert_eq!(parent.path().join("lane").exists(), is_killed || is_kept);
        }
        fs::write(parent.path().join("lane"), b"mine").unwrap();
        let error = listen_as_configured(&path, &Config::default()).unwrap_err();
        assert!(error.to_string().contains("another kind of file"), "{error}");
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("sock");
        drop(BlockingListener::bind(&path).unwrap());
        assert!(path.exists());
        listen(&path, &Config::default()).unwrap();
    }

    #[test]
    fn a_socket_that_somebody_listens_on_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("sock");
        let _other = BlockingListener::bind(&path).unwrap();
        let error = listen(&path, &Config::default()).unwrap_err();
        assert_eq!(
            format!("{:?}", error.exit_code()),
            format!("{:?}", std::process::ExitCode::from(69))
        );
        assert!(error.to_string().contains("stop the daemon"), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn a_listener_that_accepts_nothing_is_found_without_a_wait() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("sock");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let make = || socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let (listener, address) = (make(), SocketAddrUnix::new(&path).unwrap());
        bind(&listener, &address).unwrap();
        super::listen_on(&listener, 0).unwrap();
        let mut waiting = Vec::new();
        let mut full = false;
        while !full {
            let client = make();
            full = connect(&client, &address).is_err();
            waiting.push(client);
        }
        let error = listen(&path, &Config::default()).unwrap_err();
        assert!(error.to_string().contains("stop the daemon"), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("sock");
        fs::write(&path, b"mine").unwrap();
        let error = listen(&path, &Config::default()).unwrap_err();
        assert!(error.to_string().contains("another kind of file"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_file_that_took_the_name_meanwhile_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("sock");
        let (socket, _listener) = listen(&path, &Config::default()).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"mine").unwrap();
        drop(socket);
        assert!(path.exists());
    }
}
