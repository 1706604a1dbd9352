//! How octets get to a server and back, and how it is noticed that none do.
//!
//! A server that is gone may refuse, and then it is known at once. It may also be silent: its machine stands still, a
//! network drops what is sent, a firewall has forgotten the connection. What is not acknowledged for a few seconds ends
//! the connection (TCP's user timeout, and keepalives while only an answer is waited for); and a server that owes an answer for a few seconds
//! is asked on a new connection whether it is there, since a kernel acknowledges also for a program that stands still.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustix::net::sockopt;
use rustls::{ClientConnection, StreamOwned};

use super::failure::PostgresError;
use super::server::{Host, PostgresServer, Tls};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// How long each answer may take until somebody is logged in.
const LOG_IN: Duration = Duration::from_secs(8);

/// How long an answer may be owed before the server is asked whether it is there, and again while it is owed.
const OWED: Duration = Duration::from_secs(3);

/// How long what is sent may stay unacknowledged. Milliseconds, as the socket option has it.
const UNACKNOWLEDGED: u32 = 6000;

/// After how long without a packet one is asked for, how often, and how many may be lost.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(3), Duration::from_secs(1), 3);

/// How long a write may wait for room: a server reads what it is asked.
const WRITE: Duration = Duration::from_secs(20);

pub(super) enum Stream {
    Unix(UnixStream, PathBuf),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(super) fn open(server: &PostgresServer) -> Result<Self, PostgresError> {
        let port = server.port;
        match &server.host {
            Host::Socket(folder) => {
                let path = folder.join(format!(".s.PGSQL.{port}"));
                let stream = UnixStream::connect(&path)?;
                stream.set_read_timeout(Some(LOG_IN))?;
                stream.set_write_timeout(Some(WRITE))?;
                Ok(Self::Unix(stream, path))
            }
            Host::Name(name) => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                for address in (name.as_str(), port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT) {
                        Ok(stream) => {
                            watched(&stream)?;
                            return match &server.tls {
                                Some(tls) => encrypted(stream, tls),
                                None => Ok(Self::Tcp(stream)),
                            };
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last.into())
            }
        }
    }

    /// From now on a read ends after [`OWED`], so that the server can be asked whether it is there.
    pub(super) fn is_logged_in(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream, _) => stream.set_read_timeout(Some(OWED)),
            Self::Tcp(stream) => stream.set_read_timeout(Some(OWED)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(OWED)),
        }
    }

    /// Whether the server answers a new connection: it is asked whether it speaks TLS, to which any server says one octet,
    /// whoever asks.
    pub(super) fn is_answered_anew(&self) -> bool {
        let answered = match self {
            Self::Unix(_, path) => answered_at_path(path),
            Self::Tcp(stream) => stream.peer_addr().and_then(|at| answered_at(&at)),
            Self::Tls(stream) => stream.sock.peer_addr().and_then(|at| answered_at(&at)),
        };
        answered.is_ok()
    }

    pub(super) fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream, _) => stream.read(to),
            Self::Tcp(stream) => stream.read(to),
            Self::Tls(stream) => stream.read(to),
        }
    }

    pub(super) fn write_all(&mut self, from: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream, _) => stream.write_all(from),
            Self::Tcp(stream) => stream.write_all(from),
            // What is encrypted is kept back until it is flushed.
            Self::Tls(stream) => stream.write_all(from).and_then(|()| stream.flush()),
        }
    }
}

/// Sets how a connection is known to be lost.
fn watched(stream: &TcpStream) -> io::Result<()> {
    let (idle, every, lost) = KEEPALIVE;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOG_IN))?;
    stream.set_write_timeout(Some(WRITE))?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, every)?;
    sockopt::set_tcp_keepcnt(stream, lost)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED)?;
    Ok(())
}

fn answered_at(address: &SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(address, CONNECT)?;
    stream.set_read_timeout(Some(CONNECT))?;
    stream.write_all(&tls_question())?;
    stream.read_exact(&mut [0])
}

fn answered_at_path(path: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(CONNECT))?;
    stream.write_all(&tls_question())?;
    stream.read_exact(&mut [0])
}

fn tls_question() -> BytesMut {
    let mut ask = BytesMut::new();
    frontend::ssl_request(&mut ask);
    ask
}

/// Asks for TLS before anything is said. One octet is read and no more: what somebody else put behind it is taken for
/// the server's handshake, and fails as that.
fn encrypted(mut stream: TcpStream, tls: &Tls) -> Result<Stream, PostgresError> {
    stream.write_all(&tls_question())?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer != *b"S" {
        return Err(PostgresError::NoTls);
    }
    let connection = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone())
        .map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(Stream::Tls(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a network drops without a word ends the connection after seconds, not after the quarter of an hour that the
    /// operating system would go on for.
    #[test]
    fn a_connection_whose_packets_are_dropped_ends_after_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();

        watched(&stream).unwrap();

        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), UNACKNOWLEDGED);
        let (idle, every) = (sockopt::tcp_keepidle(&stream), sockopt::tcp_keepintvl(&stream));
        let (idle, every) = (idle.unwrap(), every.unwrap());
        assert!(idle + every * sockopt::tcp_keepcnt(&stream).unwrap() <= Duration::from_secs(6));
    }

    /// A kernel takes connections for a program that stands still; only an answer shows that it does not.
    #[test]
    fn a_server_that_stands_still_is_not_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = Stream::Tcp(TcpStream::connect(address).unwrap());
        let accepted = std::thread::spawn(move || {
            let _first = listener.accept().unwrap();
            let (mut second, _) = listener.accept().unwrap();
            second.read_exact(&mut [0; 8]).unwrap();
            second.write_all(b"N").unwrap();
            // The third one is accepted by the kernel alone.
            listener
        });
        assert!(stream.is_answered_anew());
        let _listener = accepted.join().unwrap();
        assert!(!stream.is_answered_anew());
    }
}
