//! `[activation]`: with which configuration the CA issues (CER-10). What is one and whose signatures make it the one that holds, `ca::activation` says.
//!
//! Here the manifest is made of the files, and held against the one that two persons activated. Where it is another one the program starts all the same, and
//! issues nothing: revocation and status go on, for those clients alone that were activated (decision 0063).

use std::path::Path;

use anyhow::{Context as _, ensure};
use ca::activation::{ActivationPerson, ActivationRegister, Changes, ConfigurationHash, Manifest};
use ca::deployment::{Deployment, Environment};
use serde::Deserialize;

use crate::config::ConfigFile;
use crate::limits::{ReadingSection, RevocationSection};
use crate::start::Told;
use crate::{book, database, wiring};

/// The section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ActivationSection {
    /// Whether nothing is issued with a configuration that was not activated; left out, in environment prod, where it cannot be otherwise.
    required: Option<bool>,
    /// Who activates the next configuration.
    #[serde(default, rename = "person")]
    persons: Vec<ActivationPerson>,
}

impl ActivationSection {
    /// Who activates the next configuration; `None` where none need be activated and nobody is named.
    ///
    /// # Errors
    ///
    /// Names what cannot be.
    pub(crate) fn read(
        &self,
        deployment: Deployment,
    ) -> anyhow::Result<Option<ActivationRegister>> {
        ensure!(
            self.required != Some(false) || deployment.environment() != Environment::Prod,
            Told::config(format!(
                "[activation] required = false stands in {deployment}; in environment prod two persons activate what it issues with"
            ))
        );
        if !self.is_required(deployment) && self.persons.is_empty() {
            return Ok(None);
        }
        let register = ActivationRegister::new(self.persons.clone());
        let told = |error| Told::config(format!("[[activation.person]]: {error}"));
        Ok(Some(register.map_err(told)?))
    }

    fn is_required(&self, deployment: Deployment) -> bool {
        deployment.environment() == Environment::Prod || self.required == Some(true)
    }
}

/// How a program stands to the configuration that was activated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Holding {
    /// None need be.
    #[default]
    Free,
    /// It runs with that one.
    Activated(ConfigurationHash),
    /// It runs with another one: it issues nothing.
    NotActivated {
        /// The hash of what it runs with.
        seen: ConfigurationHash,
        /// What differs from the one that was activated last; from none, all of it.
        changes: Changes,
    },
}

/// The parts of what the program runs with.
///
/// # Errors
///
/// Names the file that cannot be read.
pub(crate) fn manifest(config: &ConfigFile) -> anyhow::Result<Manifest> {
    let mut manifest = Manifest::default();
    sections(&mut manifest, &config.text)?;
    for (name, bytes) in book::files(&config.profiles)? {
        add(&mut manifest, &format!("profiles/{name}"), &bytes)?;
    }
    let named = [("contract", &config.contract), ("algorithm-policy", &config.algorithm_policy)];
    for (name, path) in named.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))) {
        add_file(&mut manifest, name, path)?;
    }
    for (number, path) in config.key_lists.files.iter().enumerate() {
        add_file(&mut manifest, &format!("key-list/{number}"), path)?;
    }
    for (number, provider) in config.actor_statements.providers.iter().enumerate() {
        add_file(&mut manifest, &statement_key(number), &provider.key)?;
    }
    if let Some(path) = &config.hsm.profile {
        add_file(&mut manifest, "device-profile", path)?;
    }
    for token in &config.hsm.tokens {
        if let Some(path) = &token.profile {
            add_file(&mut manifest, &format!("device-profile/{}", token.role), path)?;
        }
    }
    // What no file says: who may do what in which role, and what is usual.
    add(&mut manifest, "program/roles", ca::role::page::allowed().as_bytes())?;
    let rules: Vec<_> = ca::four_eyes::RULES
        .iter()
        .map(|rule| (rule.name, rule.operation.id(), rule.usual))
        .collect();
    add(&mut manifest, "program/four-eyes", format!("{rules:?}").as_bytes())?;
    Ok(manifest)
}

fn statement_key(number: usize) -> String {
    format!("statement-key/{number}")
}

/// A line for each section, client and authority. Which node it is of is left out: those of one deployment share a configuration.
fn sections(manifest: &mut Manifest, text: &str) -> anyhow::Result<()> {
    let table: toml::Table = toml::from_str(text).context("the configuration")?;
    for (section, value) in table {
        match (section.as_str(), value) {
            ("client" | "authority", toml::Value::Array(all)) => {
                let mut names = Vec::new();
                for one in &all {
                    let name = one.get("name").and_then(toml::Value::as_str).unwrap_or_default();
                    names.push(name);
                    add(manifest, &format!("{section}/{name}"), &octets(one)?)?;
                }
                // The order means something: the root is the first.
                add(manifest, &section, &serde_json::to_vec(&names)?)?;
            }
            ("deployment", toml::Value::Table(mut own)) => {
                own.remove("node");
                add(manifest, &section, &octets(&own.into())?)?;
            }
            (_, value) => add(manifest, &section, &octets(&value)?)?,
        }
    }
    Ok(())
}

fn octets(value: &toml::Value) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

fn add(manifest: &mut Manifest, name: &str, content: &[u8]) -> anyhow::Result<()> {
    manifest.add(name, content).map_err(|fault| Told::config(fault.to_string()).into())
}

fn add_file(manifest: &mut Manifest, name: &str, path: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| {
        let what = format!("cannot read {}", path.display());
        Told::new("config-unreadable", what, "correct the path, or the file's permissions")
    })?;
    add(manifest, name, &bytes)
}

/// Holds the configuration against the one that was activated, and takes out of it what is not to be believed where it is another one: clients and
/// keys of identity providers that were not activated, and a file's word for more revocations and reads of persons than there are where nothing is said. Where none
/// was ever activated, as after an upgrade or a restore from before, they are believed: nothing is issued by them, and somebody must be able to
/// revoke (promise 4).
///
/// # Errors
///
/// The files', and the database's. Who activates the next configuration is judged where it is activated: a start waits for no register.
pub(crate) fn hold(config: &mut ConfigFile, deployment: Deployment) -> anyhow::Result<()> {
    if !config.activation.is_required(deployment) {
        return Ok(());
    }
    // What the start goes on to refuse in any case is refused before the database is looked at.
    wiring::NoteKeys::open(config, deployment)?;
    let manifest = manifest(config)?;
    let activated = database::activated(&config.database, deployment)?;
    let known = activated.as_ref().and_then(|one| Manifest::parse(&one.manifest));
    held(config, &manifest, known);
    Ok(())
}

fn held(config: &mut ConfigFile, manifest: &Manifest, known: Option<Manifest>) {
    let seen = manifest.hash();
    if known.as_ref().is_some_and(|known| seen == known.hash()) {
        config.holding = Holding::Activated(seen);
        return;
    }
    let was_activated = known.is_some();
    let known = known.unwrap_or_default();
    if was_activated {
        leave_out_strangers(config, manifest, &known);
    }
    if !manifest.shares("revocation", &known) {
        let usual = RevocationSection::default().alone;
        config.revocation.alone = config.revocation.alone.min(usual);
    }
    if !manifest.shares("reading", &known) {
        let usual = ReadingSection::default().per_hour;
        config.reading.per_hour = config.reading.per_hour.min(usual);
    }
    config.holding = Holding::NotActivated { seen, changes: manifest.since(&known) };
}

fn leave_out_strangers(config: &mut ConfigFile, manifest: &Manifest, known: &Manifest) {
    config.clients.retain(|client| manifest.shares(&format!("client/{}", client.name), known));
    let keys = 0..config.actor_statements.providers.len();
    let believed = manifest.shares("actor-statements", known)
        && keys.map(statement_key).all(|name| manifest.shares(&name, known));
    if !believed {
        config.actor_statements.providers.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn demo() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo/ca.toml")
    }

    /// The demo's configuration in a folder of its own, changed.
    fn changed(from: &str, to: &str) -> (ConfigFile, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(demo()).unwrap();
        assert!(text.contains(from), "{from}");
        let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
        let text = text.replacen(from, to, 1);
        let read: toml::Table = toml::from_str(&text).unwrap();
        let named = format!("profiles = \"{}\"", read["profiles"].as_str().unwrap());
        let text = text.replace(&named, &format!("profiles = \"{}\"", profiles.display()));
        let path = folder.path().join("ca.toml");
        std::fs::write(&path, text).unwrap();
        (ConfigFile::read(&path).unwrap(), folder)
    }

    fn of(config: &ConfigFile) -> Manifest {
        let mut config = config.clone();
        // Files of a deployment that was not made.
        config.key_lists.files.clear();
        manifest(&config).unwrap()
    }

    fn section(text: &str, environment: &str, pki: &str) -> Result<bool, String> {
        let section: ActivationSection = toml::from_str(text).map_err(|error| error.to_string())?;
        let deployment = Deployment::from_parts(environment, pki, "abcd").unwrap();
        let register = section.read(deployment).map_err(|error| error.to_string())?;
        Ok(register.is_some())
    }

    /// CER-10: in prod it is no choice; elsewhere it is one.
    #[test]
    fn in_prod_two_persons_are_named_and_elsewhere_they_may_be() {
        let (one, other) = ("a".repeat(64), "b".repeat(64));
        let two = format!(
            "[[person]]\nid = \"anna\"\nrole = \"security-officer\"\nkeys = [\"{one}\"]\n\
             [[person]]\nid = \"bo\"\nrole = \"system-administrator\"\nkeys = [\"{other}\"]\n"
        );
        assert_eq!(section("", "test", "demo"), Ok(false));
        assert_eq!(section(&two, "test", "demo"), Ok(true));
        assert_eq!(section(&two, "prod", "prod"), Ok(true));
        assert!(section("", "prod", "prod").unwrap_err().contains("nobody is security-officer"));
        let off = format!("required = false\n{two}");
        assert!(section(&off, "prod", "prod").unwrap_err().contains("required = false"));
        let bare = "required = true";
        assert!(section(bare, "test", "demo").unwrap_err().contains("nobody is"));
        assert!(section("persons = []", "test", "demo").unwrap_err().contains("unknown field"));
    }

    /// PRO-19, ISS-22: every section, client and file is a part; the node and comments are none.
    #[test]
    fn a_change_of_the_configuration_is_a_change_of_its_part() {
        let (same, _folder) = changed("# ", "#  ");
        let before = of(&same);
        let changes = |from: &str, to: &str| {
            let (config, _folder) = changed(from, to);
            of(&config).since(&before).to_string()
        };
        assert_eq!(changes("[deployment]", "# Another comment.\n[deployment]"), "nothing");
        assert_eq!(changes("node        = \"ca1\"", "node        = \"ca2\""), "nothing");
        let told = changes("= \"portal\"", "= \"renamed\"");
        assert_eq!(told, "added: client/renamed; changed: client; removed: client/portal");
        assert_eq!(changes("alone = 500", "alone = 7"), "changed: revocation");
        assert!(before.text().contains("\nprofiles/function-ec.toml "), "{}", before.text());
        assert!(before.text().contains("\nprofiles/routines/"), "{}", before.text());
        assert!(before.text().contains("\nprogram/roles "));
    }

    /// CER-10: of a configuration that was not activated no new client is believed, and no wider word of an old one.
    #[test]
    fn what_was_not_activated_is_not_believed() {
        let (mut config, _folder) = changed("# ", "#  ");
        let activated = of(&config);
        held(&mut config, &activated, Some(activated.clone()));
        assert_eq!(config.holding, Holding::Activated(activated.hash()));
        let clients = config.clients.len();

        let stranger = format!(
            "[[client]]\nname = \"stranger\"\nspki-sha256 = \"{}\"\nrevoke = true\n\n[revocation]\nalone = 100000\n# ",
            "c".repeat(64)
        );
        let (mut config, _folder) = changed("[revocation]\nalone = 500", &stranger);
        assert_eq!(config.clients.len(), clients + 1);
        let seen = of(&config);
        held(&mut config, &seen, Some(activated));
        assert_eq!(config.clients.len(), clients);
        assert!(config.clients.iter().all(|client| client.name != "stranger"));
        assert_eq!(config.revocation.alone, RevocationSection::default().alone);
        let Holding::NotActivated { changes, .. } = &config.holding else { panic!() };
        assert_eq!(changes.added, ["client/stranger"]);
        assert_eq!(changes.changed, ["client", "revocation"]);
    }

    /// Promise 4: after an upgrade, or a restore from before the first activation, those who may revoke are let in, and nobody revokes more alone
    /// than where nothing is said.
    #[test]
    fn where_none_was_ever_activated_those_who_revoke_are_let_in() {
        let (mut config, _folder) =
            changed("[revocation]\nalone = 500", "[revocation]\nalone = 100000");
        let (clients, seen) = (config.clients.len(), of(&config));
        held(&mut config, &seen, None);
        assert!(clients > 0 && config.clients.len() == clients);
        assert_eq!(config.revocation.alone, RevocationSection::default().alone);
        assert!(matches!(config.holding, Holding::NotActivated { .. }));

        let (mut config, _folder) = changed("per-hour = 50000", "per-hour = 900000");
        let seen = of(&config);
        held(&mut config, &seen, None);
        assert_eq!(config.reading.per_hour, ReadingSection::default().per_hour);
    }
}
