//! The cheapest daemon there can be: takes in whatever is put, throws it away, and answers 200.
//!
//! usage: kvlease-sink ADDR:PORT
//!
//! It is the ceiling that the contract suite's `put_ceiling.py` measures a daemon against: one
//! thread a connection, a body that is received into one and the same buffer, which stays in the
//! processor's cache, and no wake-up for less than it is worth. It knows no request but a PUT
//! with `Content-Length`.

#![forbid(unsafe_code)]

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    thread,
};

use kvlease_sys::set_receive_low_water;

/// A quarter of a usual second-level cache.
const BUFFER: usize = 256 << 10;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn main() -> io::Result<()> {
    let address =
        env::args().nth(1).ok_or_else(|| io::Error::other("usage: kvlease-sink ADDR:PORT"))?;
    for stream in TcpListener::bind(address)?.incoming() {
        let stream = stream?;
        // A client that goes away is no loss.
        thread::spawn(move || drop(serve(&stream)));
    }
    Ok(())
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    let mut scratch = vec![0; BUFFER];
    while let Some(mut left) = read_head(&mut reader)? {
        while left > 0 {
            // A blocking read that has taken part of what it waits for is woken only by as much
            // again: the mark must be out of the way before the end.
            let water = if left > 3 * BUFFER { BUFFER } else { 1 };
            set_receive_low_water(stream.as_fd(), water)?;
            let len = scratch.len().min(left);
            match reader.read(&mut scratch[..len])? {
                0 => return Ok(()),
                read => left -= read,
            }
        }
        set_receive_low_water(stream.as_fd(), 1)?;
        (&mut &*stream).write_all(REPLY)?;
    }
    Ok(())
}

/// Reads the head of a request, and returns the length of its body; `None` at the end.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<usize>> {
    let (mut line, mut len) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            return Ok(Some(len));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            len = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}
