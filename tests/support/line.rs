//! A line to a server that a test cuts, or lets fall silent: packets are taken then, and nothing comes of them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::ports::free_address;

/// How often a silent line looks whether it is whole again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where the server listens.
#[derive(Clone, Debug)]
pub enum Far {
    /// At a socket in the file system.
    Socket(PathBuf),
    /// At an address.
    Address(SocketAddr),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    Silent,
    /// Whole until these octets have been carried to the server, silent from then on.
    SilentAfter(&'static [u8]),
    Cut,
}

struct Inner {
    state: State,
    /// Ends of what is open now and was before.
    open: Vec<End>,
}

/// A line.
pub struct Line {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Line {
    /// Passes on what comes to [`Self::address`], until the process ends.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn to(far: Far) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).expect("a port");
        let inner = Arc::new(Mutex::new(Inner { state: State::Whole, open: Vec::new() }));
        let shared = Arc::clone(&inner);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let (inner, far) = (Arc::clone(&shared), far.clone());
                thread::spawn(move || drop(connect(&inner, near, &far)));
            }
        });
        Self { address, inner }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes on again, also what came while it was silent.
    pub fn mend(&self) {
        lock(&self.inner).state = State::Whole;
    }

    /// Takes what comes and passes on nothing.
    pub fn fall_silent(&self) {
        lock(&self.inner).state = State::Silent;
    }

    /// Falls silent once a message with these octets has been passed to the server.
    pub fn fall_silent_after(&self, octets: &'static [u8]) {
        lock(&self.inner).state = State::SilentAfter(octets);
    }

    /// Ends every connection, and each new one at once.
    pub fn cut(&self) {
        let mut inner = lock(&self.inner);
        inner.state = State::Cut;
        inner.open.drain(..).for_each(|end| end.shut());
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits while the line is silent; whether it is not cut.
fn passes(inner: &Mutex<Inner>) -> bool {
    loop {
        match lock(inner).state {
            State::Whole | State::SilentAfter(_) => return true,
            State::Cut => return false,
            State::Silent => {}
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn connect(inner: &Arc<Mutex<Inner>>, near: TcpStream, far: &Far) -> io::Result<()> {
    if !passes(inner) {
        return Ok(());
    }
    let far = match far {
        Far::Socket(path) => End::Unix(UnixStream::connect(path)?),
        Far::Address(address) => End::Tcp(TcpStream::connect(address)?),
    };
    let near = End::Tcp(near);
    lock(inner).open.extend([near.again()?, far.again()?]);
    let (back, shared) = ((far.again()?, near.again()?), Arc::clone(inner));
    thread::spawn(move || copy(&shared, back.0, back.1, Towards::Client));
    copy(inner, near, far, Towards::Server);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Server,
    Client,
}

fn copy(inner: &Mutex<Inner>, mut from: End, mut to: End, towards: Towards) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if !passes(inner) {
            break;
        }
        let chunk = &chunk[..count];
        {
            let mut line = lock(inner);
            if let State::SilentAfter(octets) = line.state
                && towards == Towards::Server
                && chunk.windows(octets.len()).any(|window| window == octets)
            {
                line.state = State::Silent;
            }
        }
        if to.write_all(chunk).is_err() {
            break;
        }
    }
    // A silent line carries no end either: the server of a machine that stands still hears of nothing.
    passes(inner);
    from.shut();
    to.shut();
}

enum End {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl End {
    fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    fn shut(&self) {
        // It may have ended by itself.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for End {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(to),
            Self::Unix(stream) => stream.read(to),
        }
    }
}

impl Write for End {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(from),
            Self::Unix(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
