//! Clients, responders, and the numbers that are watched.

use ca::audit::EventCode;
use store::{Client, ClientState, Responder, StoreError};
use x509::key::SpkiHash;

use super::Backend;
use super::world::{World, at, audit, sizes};

fn client(name: &str, key: u8) -> Client {
    Client {
        name: name.to_owned(),
        keys: vec![SpkiHash::from_bytes([key; 32])],
        roles: vec!["order".to_owned()],
        profiles: vec!["person-auth".to_owned()],
        state: ClientState::Active,
    }
}

pub(crate) fn clients_are_what_the_configuration_says(backend: &dyn Backend) {
    let world = World::new(backend);
    let record = audit(EventCode::ClientConfigured);
    let sync = |clients: &[Client]| world.store.sync_clients(clients, &record, at(1)).unwrap();
    let before = sizes(&*world.store).1;

    assert!(sync(&[client("portal", 1), client("desk", 2)]));
    assert!(!sync(&[client("desk", 2), client("portal", 1)]));
    assert_eq!(sizes(&*world.store).1, before + 1);
    // The desk's key moves to another client in one configuration change.
    assert!(sync(&[client("portal", 1), client("office", 2)]));

    let states: Vec<_> =
        world.store.clients().unwrap().into_iter().map(|c| (c.name, c.state)).collect();
    assert_eq!(
        states,
        [
            ("desk".to_owned(), ClientState::Disabled),
            ("office".to_owned(), ClientState::Active),
            ("portal".to_owned(), ClientState::Active),
        ]
    );
    let mut renewed = client("portal", 1);
    renewed.keys.push(SpkiHash::from_bytes([3; 32]));
    world.store.put_client(&renewed, &record, at(2)).unwrap();
    assert!(world.store.clients().unwrap().contains(&renewed));
}

pub(crate) fn a_key_names_one_client(backend: &dyn Backend) {
    let world = World::new(backend);
    let record = audit(EventCode::ClientConfigured);
    world.store.put_client(&client("portal", 1), &record, at(1)).unwrap();
    let before = sizes(&*world.store);

    let refused = world.store.put_client(&client("desk", 1), &record, at(2)).unwrap_err();

    assert!(matches!(refused, StoreError::Pinned));
    assert_eq!(world.store.clients().unwrap().len(), 1);
    assert_eq!(sizes(&*world.store), before);
}

pub(crate) fn a_responder_is_pinned_and_its_requests_are_not_replayed(backend: &dyn Backend) {
    let world = World::new(backend);
    let record = audit(EventCode::OcspDelegateEnrolled);
    let responder = |name: &str, key: u8| Responder {
        name: name.to_owned(),
        key: SpkiHash::from_bytes([key; 32]),
        spki_der: vec![key; 91],
        counter: 0,
        enrolled: at(1),
    };
    let enrol = |name, key| world.store.enrol_responder(&responder(name, key), &record, at(1));
    let accept = |counter| world.store.accept_responder_request("r1", counter, at(2));

    enrol("r1", 1).unwrap();
    enrol("r1", 1).unwrap();
    assert!(matches!(enrol("r1", 2), Err(StoreError::Pinned)));
    assert!(matches!(enrol("r2", 1), Err(StoreError::Pinned)));
    accept(1).unwrap();
    accept(5).unwrap();
    assert!(matches!(accept(5), Err(StoreError::Replayed { last: 5, found: 5 })));
    assert!(matches!(accept(4), Err(StoreError::Replayed { .. })));
    assert!(world.store.accept_responder_request("r9", 1, at(2)).is_err());
    let known = world.store.responders().unwrap();
    assert_eq!(known, [Responder { counter: 5, ..responder("r1", 1) }]);
}

pub(crate) fn counts_count(backend: &dyn Backend) {
    let world = World::new(backend);
    world.revoke(world.issue(at(1)).certificate, at(2));
    world.issue(at(1));
    let _ = world.intend(at(1)).unwrap();

    let counts = world.store.counts().unwrap();

    assert_eq!((counts.issued, counts.imported, counts.revoked), (2, 0, 1));
    assert_eq!((counts.open_intents, counts.open_orders, counts.voided), (1, 3, 0));
    assert_eq!((counts.status_size, counts.audit_size), sizes(&*world.store));
    assert!(counts.database_bytes > 0);
}
