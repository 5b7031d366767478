//! Ports for servers that are told which one to take.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use crate::draws::mix;

/// Below those that the kernel chooses for connections and for listeners that ask it.
const PORTS_FROM: u16 = 16_384;
const PORTS: u16 = 16_384;

/// A port of the loopback interface that is free, and that no other caller in this process gets. The kernel does not
/// give it away meanwhile, also not while the server of a test is down: those that it chooses are higher.
///
/// # Panics
///
/// If no port is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at a time have numbers close to each other: they begin far from each other.
    let first = (mix(u64::from(process::id())) % u64::from(PORTS)) as u16;
    loop {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(turn < PORTS, "no port is free");
        let port = PORTS_FROM + (first + turn) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_can_be_listened_on() {
        let ports: Vec<u16> = (0..100).map(|_| free_port()).collect();
        let mut distinct = ports.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ports.len());
        assert!(ports.iter().all(|port| (PORTS_FROM..PORTS_FROM + PORTS).contains(port)));
    }
}
