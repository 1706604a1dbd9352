//! AUD-02: if the audit leaf cannot be written, the act does not happen.

use std::collections::BTreeMap;

use ::crl::CrlNumber;
use ca::audit::EventCode;
use rusqlite::Connection;
use status::Position;
use store::{
    Client, ClientState, CrlIntent, CrlScope, HeldOrder, Import, IntentRow, IssuerKeeping,
    OrderAnswer, StoreError, StoredResponse, Subject, VoidScope,
};
use x509::signing::SigningKind;

use crate::conformance::world::{Issuer, REVOKE, World, at, audit, fresh, node, serial};
use crate::{Sqlite, sqlite};

/// Every row of every table, as text.
fn rows(connection: &Connection) -> BTreeMap<String, Vec<String>> {
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .unwrap();
    let names: Vec<String> =
        tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names
        .into_iter()
        .map(|name| {
            let mut statement = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
            let columns = statement.column_count();
            let mut found: Vec<String> = statement
                .query_map([], |row| {
                    (0..columns)
                        .map(|column| row.get_ref(column).map(|value| format!("{value:?}")))
                        .collect::<Result<Vec<_>, _>>()
                        .map(|row| row.join(","))
                })
                .unwrap()
                .map(Result::unwrap)
                .collect();
            found.sort();
            (name, found)
        })
        .collect()
}

/// Runs every kind of act and returns what each met.
fn acts(world: &World, prepared: Prepared) -> Vec<(&'static str, Result<(), StoreError>)> {
    let record = audit(EventCode::ServerStarted);
    let store = &world.store;
    let mut done = Vec::new();

    let serial = serial();
    let intent = world.record(prepared.order, serial, &world.pending(serial), at(9));
    done.push(("intent", intent.map(|_| ())));
    let issued = world.record_issued(prepared.pending, &prepared.recorded, at(9));
    done.push(("issued", issued.map(|_| ())));
    let serial = self::serial();
    let order = world.new_order(&format!("{:?}", fresh()));
    let two = world.begin_with_intent(&order, serial, &world.pending(serial), at(9));
    done.push(("order with intent", two.map(|_| ())));
    let answered = world.record_and_answer(prepared.second, &prepared.second_recorded, at(9));
    done.push(("issued with answer", answered.map(|_| ())));
    done.push(("failed try", store.record_failed_try(prepared.open, &record, at(9))));
    done.push(("revocation", world.change(prepared.certificate, REVOKE, at(9)).map(|_| ())));
    let scope = VoidScope::EarlierBoots(node("a", 2));
    let voided = |_: &IntentRow| record.clone();
    done.push(("voiding", store.void_intents(&scope, &voided, at(9)).map(|_| ())));
    let response = StoredResponse { status: 422, content_type: String::new(), body: Vec::new() };
    let answer = OrderAnswer { response, subject: Subject::Deployment, shared: Vec::new() };
    done.push((
        "refusal",
        store.record_refusal(
            HeldOrder::first(prepared.refused),
            &world.node,
            &answer,
            &record,
            at(9),
        ),
    ));
    let order = world.new_order(&format!("{:?}", fresh()));
    done.push((
        "order with refusal",
        store.refuse_order(&order, &answer, &record, at(9)).map(|_| ()),
    ));
    let other = Issuer::new("CN=other", IssuerKeeping::Online).declared;
    let import = Import { issuers: vec![other], ..Import::default() };
    done.push(("import", store.import(&import, &record, at(9)).map(|_| ())));
    let crl = CrlIntent {
        issuer: world.issuer.id(),
        scope: CrlScope::full(),
        number: CrlNumber::from(9),
        position: Position { epoch: 1, index: 1 },
        this_update: at(9),
        next_update: at(99),
        node: world.node.clone(),
    };
    let list = world.issuer.pending(SigningKind::Crl, b"list");
    done.push(("list", store.record_crl_intent(&list, &crl, &record, at(9)).map(|_| ())));
    let client = Client {
        name: "desk".to_owned(),
        keys: Vec::new(),
        roles: Vec::new(),
        profiles: Vec::new(),
        state: ClientState::Active,
    };
    done.push(("client", store.put_client(&client, &record, at(9))));
    done.push(("forgetting", store.forget(&world.subject(), &record, at(9)).map(|_| ())));
    done.push(("leaf", store.record_audit(&record, at(9)).map(|_| ())));
    done
}

struct Prepared {
    order: store::OrderId,
    refused: store::OrderId,
    pending: x509::signing::Pending,
    recorded: x509::signing::Recorded,
    second: x509::signing::Pending,
    second_recorded: x509::signing::Recorded,
    open: x509::signing::IntentId,
    certificate: store::CertificateId,
}

fn prepare(world: &World) -> Prepared {
    let (_, pending, recorded) = world.intend(at(5)).unwrap();
    let (_, second, second_recorded) = world.intend(at(5)).unwrap();
    let (_, open, _) = world.intend(at(5)).unwrap();
    Prepared {
        order: world.order(),
        refused: world.order(),
        pending,
        recorded,
        second,
        second_recorded,
        open: open.intent().id(),
        certificate: world.issue(at(5)).certificate,
    }
}

fn check(trigger: &str) {
    let sqlite: Sqlite = sqlite();
    let world = World::new(&sqlite);
    let (first, second) = (prepare(&world), prepare(&world));
    let raw = sqlite.raw();
    raw.execute_batch(trigger).unwrap();
    let before = rows(&raw);

    for (act, met) in acts(&world, first) {
        assert!(matches!(met, Err(StoreError::AuditRefused(_))), "{act}: {met:?}");
        assert_eq!(rows(&raw), before, "{act} left something");
    }

    raw.execute_batch("DROP TRIGGER fault").unwrap();
    for (act, met) in acts(&world, second) {
        assert!(met.is_ok(), "{act}: {met:?}");
    }
}

#[test]
fn without_its_audit_leaf_nothing_is_issued_revoked_or_logged() {
    check(
        "CREATE TRIGGER fault BEFORE INSERT ON audit_leaf
         BEGIN SELECT RAISE(ABORT, 'no leaf today'); END",
    );
}

#[test]
fn without_its_audit_payload_nothing_is_issued_revoked_or_logged() {
    check(
        "CREATE TRIGGER fault BEFORE INSERT ON audit_payload
         BEGIN SELECT RAISE(ABORT, 'no payload today'); END",
    );
}
