//! Who gets a connection. Handshakes and connections have places of their own, and nobody gets all.
//!
//! Before TLS nothing is known of a caller but its address: of one address only so many handshakes run
//! at once. Where they or all handshakes are at their bound, one that has lasted [`PATIENCE`] gives way
//! to the next, and without such a one the newcomer is closed at once. So silent connections, however
//! many, keep no client out, revocations least of all (promise 4). After TLS the client is known, and
//! one client has a quarter of the connections at most.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// An honest handshake is over by then; an older one gives way where there is a throng.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a connection was closed before its first request; a label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Its address has too many handshakes.
    Address,
    /// There are too many handshakes.
    Handshakes,
    /// Its handshake lasted while others waited.
    GaveWay,
    /// Its client has too many connections.
    Client,
    /// There are too many connections.
    Connections,
}

impl Closed {
    const ALL: [Self; 5] =
        [Self::Address, Self::Handshakes, Self::GaveWay, Self::Client, Self::Connections];

    const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Handshakes => "handshakes",
            Self::GaveWay => "gave-way",
            Self::Client => "client",
            Self::Connections => "connections",
        }
    }

    fn counter(self) -> metrics::Counter {
        metrics::counter!("sigill_connections_refused_total", "why" => self.name())
    }
}

/// Puts the counters at 0.
pub(crate) fn start_alarms() {
    Closed::ALL.into_iter().for_each(|why| why.counter().absolute(0));
}

/// The places of all connections.
#[derive(Debug)]
pub(crate) struct Doors {
    bounds: Bounds,
    handshakes: Mutex<VecDeque<Waiting>>,
    connections: Arc<Semaphore>,
    clients: Mutex<BTreeMap<String, usize>>,
}

/// How many at once.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    handshakes: usize,
    of_address: usize,
    of_client: usize,
}

#[derive(Debug)]
struct Waiting {
    source: IpAddr,
    since: Instant,
    /// Dropped when it has to give way.
    stays: oneshot::Sender<()>,
}

/// A place for a handshake. It ends when `stays` does.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// Ends when this handshake gives way to another.
    pub(crate) stays: oneshot::Receiver<()>,
    doors: Arc<Doors>,
}

/// A place for a connection of a client.
#[derive(Debug)]
pub(crate) struct Place {
    client: String,
    doors: Arc<Doors>,
    _connection: OwnedSemaphorePermit,
}

impl Doors {
    /// Doors for at most `connections` connections: half as many handshakes, an eighth from one address.
    pub(crate) fn new(connections: usize) -> Self {
        let connections = connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            bounds: Bounds {
                handshakes: connections.div_ceil(2),
                of_address: connections.div_ceil(8),
                of_client: connections.div_ceil(4),
            },
            handshakes: Mutex::default(),
            connections: Arc::new(Semaphore::new(connections)),
            clients: Mutex::default(),
        }
    }

    /// A place for the handshake of a new connection.
    ///
    /// # Errors
    ///
    /// Why it is closed at once.
    pub(crate) fn knock(
        self: &Arc<Self>,
        address: IpAddr,
        now: Instant,
    ) -> Result<Handshake, Closed> {
        let source = source(address);
        let mut waiting = lock(&self.handshakes);
        waiting.retain(|one| !one.stays.is_closed());
        let of_source = waiting.iter().filter(|one| one.source == source).count();
        // Of one address its own give way, so that a throng from there costs nobody else a place.
        let crowded = if of_source >= self.bounds.of_address {
            Some((Closed::Address, Some(source)))
        } else if waiting.len() >= self.bounds.handshakes {
            Some((Closed::Handshakes, None))
        } else {
            None
        };
        if let Some((why, only)) = crowded {
            let oldest = waiting.iter().position(|one| {
                only.is_none_or(|only| only == one.source)
                    && now.saturating_duration_since(one.since) >= PATIENCE
            });
            let Some(oldest) = oldest else {
                why.counter().increment(1);
                return Err(why);
            };
            drop(waiting.remove(oldest));
            Closed::GaveWay.counter().increment(1);
        }
        let (sender, stays) = oneshot::channel();
        waiting.push_back(Waiting { source, since: now, stays: sender });
        drop(waiting);
        Ok(Handshake { stays, doors: Arc::clone(self) })
    }

    /// Waits until every connection has ended.
    pub(crate) async fn empty(&self, connections: usize) {
        let all = u32::try_from(connections).unwrap_or(u32::MAX);
        drop(self.connections.acquire_many(all).await);
    }
}

impl Handshake {
    /// The handshake is over: a place for a connection of this client instead.
    ///
    /// # Errors
    ///
    /// Why it is closed.
    pub(crate) fn enter(self, client: String) -> Result<Place, Closed> {
        let doors = Arc::clone(&self.doors);
        let refused = |why: Closed| {
            why.counter().increment(1);
            why
        };
        let mut clients = lock(&doors.clients);
        let held = clients.get(&client).copied().unwrap_or_default();
        if held >= doors.bounds.of_client {
            return Err(refused(Closed::Client));
        }
        let connection = Arc::clone(&doors.connections)
            .try_acquire_owned()
            .map_err(|_| refused(Closed::Connections))?;
        clients.insert(client.clone(), held.saturating_add(1));
        drop(clients);
        Ok(Place { client, doors, _connection: connection })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = lock(&self.doors.clients);
        let left = clients.get(&self.client).map_or(0, |held| held.saturating_sub(1));
        if left == 0 {
            clients.remove(&self.client);
        } else {
            clients.insert(self.client.clone(), left);
        }
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, which is one machine's to choose from.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Promise 4: an attacker that opens connections and says nothing has its own places only.
    #[test]
    fn silent_connections_of_one_address_leave_the_others_their_places() {
        let doors = Arc::new(Doors::new(512));
        let now = Instant::now();
        let silent: Vec<_> = (0..512).map(|_| doors.knock(address(1), now)).collect();

        assert_eq!(silent.iter().filter(|one| one.is_ok()).count(), 64);
        assert_eq!(silent.last().unwrap().as_ref().unwrap_err(), &Closed::Address);
        let other = doors.knock(address(2), now).unwrap();
        assert!(other.enter("portal".to_owned()).is_ok());
    }

    #[test]
    fn a_handshake_that_lasts_gives_way_to_one_of_the_same_address() {
        let doors = Arc::new(Doors::new(8));
        let now = Instant::now();
        let mut silent = doors.knock(address(1), now).unwrap();
        let mut other = doors.knock(address(2), now).unwrap();

        assert_eq!(doors.knock(address(1), now).unwrap_err(), Closed::Address);
        let next = doors.knock(address(1), now + PATIENCE);

        assert!(next.is_ok());
        assert!(silent.stays.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        assert!(other.stays.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn silent_connections_of_many_addresses_give_way_in_their_turn() {
        let doors = Arc::new(Doors::new(8));
        let now = Instant::now();
        let silent: Vec<_> = (1..=4).map(|one| doors.knock(address(one), now).unwrap()).collect();

        assert_eq!(doors.knock(address(9), now).unwrap_err(), Closed::Handshakes);
        assert!(doors.knock(address(9), now + PATIENCE).is_ok());
        drop(silent);
    }

    #[test]
    fn a_client_has_a_quarter_of_the_connections_and_gets_them_back() {
        let doors = Arc::new(Doors::new(8));
        let now = Instant::now();
        let enter = |client: &str| doors.knock(address(1), now).unwrap().enter(client.to_owned());
        let held: Vec<_> = (0..2).map(|_| enter("portal").unwrap()).collect();

        assert_eq!(enter("portal").unwrap_err(), Closed::Client);
        assert!(enter("operator").is_ok());
        drop(held);
        assert!(enter("portal").is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let other: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();

        assert_eq!(source(one), source(other));
        assert_eq!(source(mapped), address(1));
    }
}
