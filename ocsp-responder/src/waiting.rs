//! How many questions may wait for a newer checkpoint, in all and of one source address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Questions that wait at once (promise 5).
pub(crate) const MAX_WAITING: usize = 256;
/// Questions of one source address that wait at once.
pub(crate) const MAX_WAITING_OF_ONE: usize = 8;

/// Counts who waits.
#[derive(Debug, Default)]
pub(crate) struct WaitingRoom {
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// A place in the waiting room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Arc<WaitingRoom>,
    address: IpAddr,
}

impl WaitingRoom {
    /// Takes a seat; `None` when the room is full or the address has its share.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let own = seats.of.get(&address).copied().unwrap_or(0);
        if seats.all >= MAX_WAITING || own >= MAX_WAITING_OF_ONE {
            return None;
        }
        seats.all = seats.all.saturating_add(1);
        seats.of.insert(address, own.saturating_add(1));
        Some(Seat { room: Arc::clone(self), address })
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.room.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.all = seats.all.saturating_sub(1);
        match seats.of.get_mut(&self.address) {
            Some(own) if *own > 1 => *own = own.saturating_sub(1),
            _ => {
                seats.of.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Promise 5: 256 in all, 8 of one address, and a seat is free again afterwards.
    #[test]
    fn seats_are_bounded_in_all_and_for_one_address() {
        let room = Arc::new(WaitingRoom::default());
        let mut seats = Vec::new();
        for last in 0..32 {
            for _ in 0..8 {
                seats.push(room.enter(address(last)).unwrap());
            }
            assert!(room.enter(address(last)).is_none());
        }
        assert_eq!(room.count(), 256);
        assert!(room.enter(address(99)).is_none());

        seats.pop();
        assert!(room.enter(address(99)).is_some());
        drop(seats);
        assert_eq!(room.count(), 0);
    }
}
