//! Free ports and loopback addresses, reserved among all test processes of the machine by abstract sockets: names that
//! the kernel keeps, and forgets with the process that holds them.
//!
//! Ports are taken from below the kernel's ephemeral range, so that no outgoing connection takes one while the
//! server that it belongs to is down between a kill and a restart.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as Name, UnixListener};

use anyhow::{Context as _, Result, bail};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port on 127.0.0.1 that belongs to this process until it is dropped, whether or not anything listens on it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: UnixListener,
}

impl Port {
    /// Reserves a port that nobody listens on.
    pub fn free() -> Result<Self> {
        let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(COUNT))?;
        for offset in 0..COUNT {
            let number = FIRST + (start + offset) % COUNT;
            let Some(reservation) = reserve(&format!("port-{number}"))? else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _reservation: reservation });
            }
        }
        bail!("no free port between {FIRST} and {}", FIRST + COUNT - 1)
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

/// A 127.77.0.x that belongs to this process until it is dropped, for servers whose ports cannot be chosen.
#[derive(Debug)]
pub struct LoopbackAddress {
    address: Ipv4Addr,
    _reservation: UnixListener,
}

impl LoopbackAddress {
    /// Reserves an address on which nobody listens on `port`.
    pub fn free(port: u16) -> Result<Self> {
        for last in 10..250 {
            let address = Ipv4Addr::new(127, 77, 0, last);
            let Some(reservation) = reserve(&format!("address-{address}"))? else { continue };
            if TcpListener::bind((address, port)).is_ok() {
                return Ok(Self { address, _reservation: reservation });
            }
        }
        bail!("no free loopback address between 127.77.0.10 and 127.77.0.249")
    }

    /// The address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }
}

/// Takes this name on the machine; none when another process has it.
fn reserve(name: &str) -> Result<Option<UnixListener>> {
    let address = Name::from_abstract_name(format!("postern-tests-{name}"))?;
    match UnixListener::bind_addr(&address) {
        Ok(reservation) => Ok(Some(reservation)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot reserve {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_differ_and_a_dropped_one_is_free_again() {
        let first = Port::free().unwrap();
        let second = Port::free().unwrap();
        assert_ne!(first.number(), second.number());
        let number = first.number();
        assert!(reserve(&format!("port-{number}")).unwrap().is_none());
        drop(first);
        assert!(reserve(&format!("port-{number}")).unwrap().is_some());
    }
}
