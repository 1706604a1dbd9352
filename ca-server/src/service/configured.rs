//! What the audit log says of the configuration that a start brings: clients that come and go, and keys
//! that were found and proven.

use std::collections::BTreeSet;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use serde_json::{Value, json};
use store::{Client, ClientState, Subject};

use super::Service;
use super::record::client_object;
use crate::config::ClientSection;
use crate::denied::Denied;

impl Service {
    /// Makes the clients of the database those of the configuration: one leaf for those that are gone
    /// and one for those that are new or changed.
    pub(crate) fn sync_clients(&self, sections: &[ClientSection]) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let wanted: Vec<Client> = sections.iter().map(configured).collect();
        let names: BTreeSet<&str> = wanted.iter().map(|client| client.name.as_str()).collect();
        let known = self.store().clients().map_err(|e| self.note_storage(&e))?;
        let active = known.iter().filter(|client| client.state == ClientState::Active);
        let (stay, gone): (Vec<Client>, Vec<Client>) =
            active.cloned().partition(|client| names.contains(client.name.as_str()));
        // Those that go, first: a key may move from one of them to a new one.
        for (code, clients, about) in [
            (EventCode::ClientRemoved, &stay, gone),
            (EventCode::ClientConfigured, &wanted, changed(&wanted, &known)),
        ] {
            if about.is_empty() {
                continue;
            }
            let objects = ObjectIds::first_of(about.iter().map(object));
            let shown: Vec<Value> = about.iter().map(shown).collect();
            let record = Self::record(
                code,
                EventResult::Done,
                self.system(),
                objects,
                None,
                &json!({ "clients": shown }),
                Subject::Deployment,
            );
            self.store().sync_clients(clients, &record, now).map_err(|e| self.note_storage(&e))?;
        }
        Ok(())
    }

    /// Says of each key that signs here that it was found and proven. Called once, after that was done.
    pub(crate) fn record_proven_keys(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        for authority in self.authorities.values().filter(|authority| authority.signs_here()) {
            let key = authority.certificate.public_key().spki_hash();
            let record = Self::record(
                EventCode::KeyProven,
                EventResult::Done,
                self.system(),
                ObjectIds::of_act([Some(ObjectId::Key(key)), Some(ObjectId::Issuer(authority.id))]),
                None,
                &json!({ "authority": authority.name() }),
                Subject::Deployment,
            );
            self.store().record_audit(&record, now).map_err(|e| self.note_storage(&e))?;
        }
        if let Some(authority) = self.management.as_ref().and_then(|plane| plane.authority.as_ref())
        {
            let proven = authority.proven();
            self.store().record_audit(&proven, now).map_err(|e| self.note_storage(&e))?;
        }
        Ok(())
    }
}

fn configured(section: &ClientSection) -> Client {
    let roles = [
        ("read", section.read),
        ("revoke", section.revoke),
        ("release", section.release),
        ("operator", section.operator),
        ("vantage", section.vantage.is_some()),
        ("organise", section.organise),
        // Without the key it is limited to none: that it has it is a role of its own.
        ("own-organisations", section.organisations.is_some()),
    ];
    let organisations = section.organisations.iter().flatten();
    Client {
        name: section.name.clone(),
        keys: section.spki_sha256.parse().into_iter().collect(),
        roles: roles
            .iter()
            .filter(|(_, has)| *has)
            .map(|(role, _)| (*role).to_owned())
            .chain(organisations.map(|id| format!("over {id}")))
            .chain(section.statements.map(|which| format!("statements {}", which.name())))
            .collect(),
        profiles: section.profiles.clone(),
        state: ClientState::Active,
    }
}

fn changed(wanted: &[Client], known: &[Client]) -> Vec<Client> {
    wanted.iter().filter(|client| !known.contains(client)).cloned().collect()
}

fn object(of: &Client) -> ObjectId {
    client_object(&of.name)
}

fn shown(client: &Client) -> Value {
    let keys: Vec<String> = client.keys.iter().map(ToString::to_string).collect();
    json!({
        "name": client.name,
        "keys": keys,
        "roles": client.roles,
        "profiles": client.profiles,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::World;

    fn section(name: &str, key: char) -> ClientSection {
        ClientSection {
            reads_per_hour: None,
            name: name.to_owned(),
            spki_sha256: key.to_string().repeat(64),
            profiles: vec!["function-ec".to_owned()],
            revoke: false,
            release: false,
            operator: false,
            read: true,
            vantage: None,
            organisations: None,
            organise: false,
            statements: None,
        }
    }

    /// AUD-02: who may call is in the audit log, when it changes and only then.
    #[test]
    fn clients_that_come_and_go_are_in_the_audit_log() {
        let world = World::new();
        let sync = |sections: &[ClientSection]| world.service.sync_clients(sections).unwrap();
        let leaves =
            || (world.leaves(EventCode::ClientConfigured), world.leaves(EventCode::ClientRemoved));

        sync(&[section("portal", 'a'), section("desk", 'b')]);
        assert_eq!(leaves(), (1, 0));
        sync(&[section("portal", 'a'), section("desk", 'b')]);
        assert_eq!(leaves(), (1, 0), "nothing has changed");
        sync(&[section("portal", 'a')]);
        assert_eq!(leaves(), (1, 1));
        // The key of the one that went is the one of another now.
        sync(&[section("office", 'b')]);
        assert_eq!(leaves(), (2, 2));
        sync(&[ClientSection { revoke: true, ..section("office", 'b') }]);
        assert_eq!(leaves(), (3, 2));
        let own = store::OrganisationId::from_bytes([7; 16]);
        sync(&[ClientSection { organisations: Some(vec![own]), ..section("office", 'b') }]);
        assert_eq!(leaves(), (4, 2));
        let roles = world.last_payload(EventCode::ClientConfigured)["clients"][0]["roles"].clone();
        assert_eq!(roles, json!(["read", "own-organisations", format!("over {own}")]));
    }

    #[test]
    fn every_key_that_signs_is_in_the_audit_log_as_proven() {
        let world = World::new();

        world.service.record_proven_keys().unwrap();

        assert_eq!(world.leaves(EventCode::KeyProven), 1);
    }
}
