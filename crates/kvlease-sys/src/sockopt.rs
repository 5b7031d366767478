//! Socket options that no safe crate offers.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Sets the low-water mark for receiving (`SO_RCVLOWAT`): the socket becomes readable only when
/// `bytes` have arrived, so a large body wakes its reader a few times instead of once per packet.
///
/// The kernel caps the mark at half of the receive buffer's limit. Set it back to 1 before the
/// last bytes of a body, or the reader waits for bytes that never come.
///
/// # Errors
///
/// The kernel's error.
pub fn set_receive_low_water(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let mark = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, mark)
}

/// Sets the mark for bytes that the kernel has not put on their way (`TCP_NOTSENT_LOWAT`): with that many
/// or more the socket takes none, and it becomes writable once they are fewer than half of the mark. 0 is
/// the system's own mark, mostly none.
///
/// # Errors
///
/// The kernel's error.
pub fn set_unsent_low_water(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let mark = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set(socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, mark)
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as it is borrowed, and the kernel reads `size`
    // bytes from `value`, which has that size and lives past the call.
    let rc = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn readable(socket: &TcpStream) -> bool {
        has(socket, PollFlags::IN)
    }

    fn writable(socket: &TcpStream) -> bool {
        has(socket, PollFlags::OUT)
    }

    fn has(socket: &TcpStream, wanted: PollFlags) -> bool {
        let mut fds = [PollFd::new(socket, wanted)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 })).unwrap() == 1
    }

    #[test]
    fn a_socket_is_not_readable_below_its_low_water_mark() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        set_receive_low_water(receiver.as_fd(), 4096).unwrap();
        sender.write_all(&[7; 4095]).unwrap();
        assert!(!readable(&receiver), "readable one byte below the mark");
        set_receive_low_water(receiver.as_fd(), 1).unwrap();
        assert!(readable(&receiver), "not readable with the mark put back");
        let mut bytes = [0; 4095];
        receiver.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 4095]);
    }

    /// Writes until the socket takes no more, and returns how much it took.
    fn fill(mut sender: &TcpStream) -> usize {
        let mut taken = 0;
        loop {
            match sender.write(&[7; 4096]) {
                Ok(len) => taken += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return taken,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_socket_takes_no_more_than_its_mark_beyond_what_is_on_its_way() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        sender.set_nonblocking(true).unwrap();
        set_unsent_low_water(sender.as_fd(), 1).unwrap();
        let mut taken = fill(&sender);
        // What the receiver has room for is on its way at some time.
        loop {
            let more = fill(&sender);
            taken += more;
            if more == 0 && !writable(&sender) {
                break;
            }
        }
        set_unsent_low_water(sender.as_fd(), 0).unwrap();
        let more = fill(&sender);
        assert!(more > 64 << 10, "{more} bytes beside {taken} without the mark");
        let mut bytes = vec![0; taken + more];
        receiver.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_descriptor_that_is_no_socket_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let error = set_receive_low_water(file.as_fd(), 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    }
}
