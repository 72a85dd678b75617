//! The stream between the guard and `ldap3`, inside this process.

use std::io;

use ldap3::{LdapConnSettings, StdStream};

/// Our end, and what `ldap3` needs for its own.
#[cfg(unix)]
pub(super) fn pair() -> io::Result<(tokio::net::UnixStream, LdapConnSettings, &'static str)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
    Ok((tokio::net::UnixStream::from_std(ours)?, settings, "ldapi:///"))
}

/// Without Unix sockets: a loopback connection to ourselves, accepted from no other port than our own.
#[cfg(not(unix))]
pub(super) fn pair() -> io::Result<(tokio::net::TcpStream, LdapConnSettings, &'static str)> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let ours = std::net::TcpStream::connect(listener.local_addr()?)?;
    ours.set_nonblocking(true)?;
    let own = ours.local_addr()?;
    loop {
        let (theirs, peer) = listener.accept()?;
        if peer == own {
            let settings = LdapConnSettings::new().set_std_stream(StdStream::Tcp(theirs));
            return Ok((tokio::net::TcpStream::from_std(ours)?, settings, "ldap://127.0.0.1"));
        }
    }
}
