//! Ports that stay free until a program under test listens on them.
//!
//! A port that the system itself chooses (`bind` to 0) can be given to anybody's outgoing connection
//! before the program listens on it. These lie below the ports of outgoing connections (from 32768
//! on) and below those of the shell scripts (from 20000 on), and no two processes of tests ever hold the same one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

/// A loopback address that is this process's own until the process ends.
#[must_use]
pub fn free_address() -> SocketAddr {
    free_address_at(Ipv4Addr::LOCALHOST.into())
}

/// The same on another address of this machine.
///
/// # Panics
///
/// If the machine does not have that address, or all ports are taken.
#[must_use]
pub fn free_address_at(ip: IpAddr) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that start together begin far from each other.
    let start =
        u16::try_from(u64::from(process::id()) * 97 % u64::from(COUNT)).expect("below COUNT");
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let address = SocketAddr::from((ip, FIRST + (start + step) % COUNT));
        let Ok(guard) = guard(address.port()) else { continue };
        if TcpListener::bind(address).is_ok() {
            std::mem::forget(guard);
            return address;
        }
    }
    panic!("no port of {FIRST} to {} is free on {ip}", FIRST + COUNT);
}

/// Says to other processes that this port is taken, until the system frees it with the end of this one, a killed one
/// too. It is no TCP port and stands at a loopback address that nobody uses, so that it is in nobody's way.
fn guard(port: u16) -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::new(127, 255, 255, 254), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_address_is_given_twice_and_none_is_of_outgoing_connections() {
        let addresses: BTreeSet<_> = (0..200).map(|_| free_address()).collect();

        assert_eq!(addresses.len(), 200);
        assert!(addresses.iter().all(|address| (FIRST..32_768).contains(&address.port())));
    }

    #[test]
    fn a_server_may_listen_by_tcp_and_udp() {
        let address = free_address();

        TcpListener::bind(address).unwrap();
        UdpSocket::bind(address).unwrap();
    }

    #[test]
    fn what_another_process_holds_is_passed_over() {
        let next = free_address().port() + 1;
        let guards: Vec<_> = (next..next + 50).filter_map(|port| guard(port).ok()).collect();
        let held: BTreeSet<_> =
            guards.iter().map(|guard| guard.local_addr().unwrap().port()).collect();

        let given: Vec<_> = (0..50).map(|_| free_address().port()).collect();

        assert!(given.iter().all(|port| !held.contains(port)), "{given:?} of {held:?}");
    }
}
