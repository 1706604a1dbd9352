//! CER-10: who activates the next configuration stands in the one that holds.

use ca::activation::{ActivationPerson, ActivationRole};

use super::*;

struct Persons {
    folder: tempfile::TempDir,
}

impl Persons {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder.path(), private).unwrap();
        Self { folder }
    }

    fn key(&self, id: &str) -> SoftwarePersonKey {
        let path = self.folder.path().join(id);
        if path.exists() {
            SoftwarePersonKey::open(&path)
        } else {
            SoftwarePersonKey::create(&path)
        }
        .unwrap()
    }

    fn register(&self, officer: &str, administrator: &str) -> ActivationRegister {
        let person = |id: &str, role| ActivationPerson {
            id: id.to_owned(),
            role,
            keys: vec![self.key(id).key().spki_hash().to_string()],
        };
        ActivationRegister::new(vec![
            person(officer, ActivationRole::SecurityOfficer),
            person(administrator, ActivationRole::SystemAdministrator),
        ])
        .unwrap()
    }

    fn signed(
        &self,
        step: &Step<'_>,
        after: Option<ConfigurationHash>,
        ids: &[&str],
    ) -> Vec<SignedStatement> {
        let named = step.deployment.to_string();
        let activation =
            Activation { deployment: &named, configuration: step.manifest.hash(), after };
        let signed = ids.iter().map(|id| {
            let statement = activation.statement(id, now()).unwrap();
            self.key(id).statement(&statement).unwrap()
        });
        signed.collect()
    }
}

fn now() -> UnixTime {
    UnixTime::from_secs(1_800_000_000).unwrap()
}

fn manifest(limit: &str) -> Manifest {
    let mut manifest = Manifest::default();
    manifest.add("limit", limit.as_bytes()).unwrap();
    manifest
}

fn refused(step: &Step<'_>, statements: &[SignedStatement]) -> String {
    match step.judged(statements, now()) {
        Ok(_) => panic!("it is activated"),
        Err(error) => crate::start::line(&error),
    }
}

#[test]
fn the_first_is_judged_by_its_own_persons_and_the_next_by_those_before() {
    let persons = Persons::new();
    let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
    let (own, theirs) = (persons.register("anna", "bo"), persons.register("eva", "dan"));
    let (one, two) = (manifest("1"), manifest("2"));
    let first = Step { deployment, manifest: &one, register: &own, known: None };
    let alone = persons.signed(&first, None, &["anna"]);
    assert!(refused(&first, &alone).starts_with("configuration-not-activated: "));
    assert!(refused(&first, &alone).contains("no system-administrator"));
    let both = persons.signed(&first, None, &["anna", "bo"]);
    let known = first.judged(&both, now()).unwrap();
    assert_eq!(
        (known.persons, known.changes.added),
        (vec!["anna".to_owned(), "bo".to_owned()], vec!["limit".to_owned()])
    );
    let after = Some(one.hash());

    // Somebody has written himself and another into the file.
    let next = Step { deployment, manifest: &two, register: &theirs, known: Some(&known.row) };
    let strangers = persons.signed(&next, after, &["eva", "dan"]);
    assert!(refused(&next, &strangers).contains("\"eva\" is not one of those"));
    let as_first = persons.signed(&next, None, &["anna", "bo"]);
    assert!(refused(&next, &as_first).contains("signed for after none"));
    let both = persons.signed(&next, after, &["bo", "anna"]);
    let done = next.judged(&both, now()).unwrap();
    assert_eq!((done.after, done.changes.changed), (after, vec!["limit".to_owned()]));
    assert_eq!(ActivationRegister::parse(&done.row.persons), Some(theirs));

    // Back, by signatures of then: no. By those who are named now: yes.
    let back = Step { deployment, manifest: &one, register: &own, known: Some(&done.row) };
    let old = persons.signed(&first, None, &["anna", "bo"]);
    assert!(refused(&back, &old).contains("is not one of those"));
    let both = persons.signed(&back, Some(two.hash()), &["eva", "dan"]);
    back.judged(&both, now()).unwrap();
    let same = Step { manifest: &two, ..back };
    assert!(refused(&same, &both).contains("holds already"));
    let damaged = ActivatedConfiguration { persons: "[]".to_owned(), ..done.row };
    let on_damaged = Step { deployment, manifest: &one, register: &own, known: Some(&damaged) };
    assert!(refused(&on_damaged, &both).starts_with("stored-data-unreadable: "));
}

#[test]
fn the_configuration_before_is_a_hash_or_none() {
    assert_eq!(read_after("none").unwrap(), None);
    let hash = manifest("1").hash();
    assert_eq!(read_after(&hash.to_string()).unwrap(), Some(hash));
    for text in ["", "first", "00", &hash.to_string().to_uppercase()] {
        assert!(read_after(text).is_err(), "{text}");
    }
}

#[test]
fn a_file_that_is_no_statement_is_refused_by_name() {
    let persons = Persons::new();
    let path = persons.folder.path().join("anna.approval");
    for content in ["", "sigill statement/1 configuration-activation\n", &"x".repeat(17 * 1024)] {
        std::fs::write(&path, content).unwrap();
        let line = crate::start::line(&read(&path).unwrap_err());
        assert!(
            line.starts_with("configuration-approval: ") && line.contains("anna.approval"),
            "{line}"
        );
    }
    assert!(read(&persons.folder.path().join("nobody")).is_err());
}
