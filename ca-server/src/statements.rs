//! `[actor-statements]`: whose statements about calls are taken, and which clients' calls need one (API-01, API-05).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::actor::Demand;
use ca::actor::statement::ProviderTerms;
use ca::deployment::{Deployment, Pki};
use ca::profile::ProfileSet;
use serde::Deserialize;
use x509::jws::JwsAlgorithm;
use x509::key::PublicKey;
use x509::pem::{self, Label};

use crate::config::{ClientSection, ConfigFile};
use crate::start::Told;

/// The shortest and the longest time for which a statement may count.
const AGES: std::ops::RangeInclusive<u64> = 10..=3600;
/// The longest time since somebody proved to an identity provider who he is.
const LONGEST_SESSION: u64 = 86_400;

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ActorStatementsSection {
    /// Whether calls are taken without one, of clients that say nothing of it themselves: deployment test/demo alone.
    #[serde(default)]
    direct: bool,
    /// Seconds for which a statement counts after its signature, 10 to 3600.
    #[serde(default = "default_age")]
    age: u64,
    /// Identity providers that sign for administrators, beside these themselves.
    #[serde(default, rename = "provider")]
    pub(crate) providers: Vec<ProviderSection>,
}

impl Default for ActorStatementsSection {
    fn default() -> Self {
        Self { direct: false, age: default_age(), providers: Vec::new() }
    }
}

const fn default_age() -> u64 {
    300
}

/// An identity provider's key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ProviderSection {
    /// Names the key: `kid` of the header.
    kid: String,
    /// Its public key, PEM (`BEGIN PUBLIC KEY`).
    pub(crate) key: PathBuf,
    /// `iss` of its statements.
    issuer: String,
    /// `acr` of administrators whom it has identified at trust level 3.
    level: String,
    /// Seconds for which that counts.
    #[serde(default = "default_session")]
    session: u64,
}

const fn default_session() -> u64 {
    8 * 3600
}

/// What a client says of its own calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientStatements {
    /// All of them but its own business.
    EveryCall,
    /// Those that change something.
    Acts,
    /// None.
    None,
}

impl ClientStatements {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EveryCall => "every-call",
            Self::Acts => "acts",
            Self::None => "none",
        }
    }
}

/// What the statements of calls are held against.
#[derive(Clone, Debug)]
pub(crate) struct ActorStatements {
    /// Whether persons' certificates are issued to calls without one.
    pub(crate) direct: DirectCalls,
    /// How long a statement counts after its signature.
    pub(crate) age: Duration,
    /// Keys of identity providers, by their `kid`.
    pub(crate) providers: BTreeMap<String, Provider>,
}

/// Whether anything is done for persons on a client's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectCalls {
    /// The demo's setting.
    Taken,
    /// Nothing is.
    Refused,
}

/// An identity provider's key and what it is trusted for.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) key: PublicKey,
    pub(crate) terms: ProviderTerms,
}

impl ActorStatements {
    /// Takes the section and reads the keys that it names.
    ///
    /// # Errors
    ///
    /// Names the value that cannot be, or the file.
    pub(crate) fn read(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<Self> {
        let section = &config.actor_statements;
        ensure!(
            !section.direct || deployment.pki() == Pki::Demo,
            Told::config(format!(
                "[actor-statements] direct = true stands in {deployment}; only test/demo takes calls that nobody has signed for"
            ))
        );
        ensure!(
            AGES.contains(&section.age),
            Told::config(format!(
                "[actor-statements] age = {}, allowed are {} to {} seconds",
                section.age,
                AGES.start(),
                AGES.end()
            ))
        );
        let mut providers = BTreeMap::new();
        for one in &section.providers {
            let told = |what: &str| {
                Told::config(format!("[[actor-statements.provider]] kid = {:?} {what}", one.kid))
            };
            let provider = provider(one).with_context(|| told("cannot be used"))?;
            ensure!(one.session <= LONGEST_SESSION, told("has a session of more than 86400 s"));
            ensure!(
                providers.insert(one.kid.clone(), provider).is_none(),
                told("stands there twice")
            );
        }
        let direct = if section.direct { DirectCalls::Taken } else { DirectCalls::Refused };
        Ok(Self { direct, age: Duration::from_secs(section.age), providers })
    }
}

fn provider(section: &ProviderSection) -> anyhow::Result<Provider> {
    let path = &section.key;
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let der =
        pem::decode_one(&text, Label::PublicKey).with_context(|| path.display().to_string())?;
    let key = PublicKey::from_spki_der(&der).with_context(|| path.display().to_string())?;
    ensure!(
        JwsAlgorithm::default_for(key.key_type()).is_some(),
        "{}: a key of type {}, which signs neither ES256, PS256 nor RS256",
        path.display(),
        key.key_type()
    );
    Ok(Provider {
        key,
        terms: ProviderTerms {
            issuer: section.issuer.clone(),
            level: section.level.clone(),
            session: Duration::from_secs(section.session),
        },
    })
}

/// Which of a client's calls need a statement.
pub(crate) fn demand(config: &ConfigFile, client: &ClientSection) -> Demand {
    match client.statements {
        Some(ClientStatements::EveryCall) => Demand::EveryCall,
        Some(ClientStatements::Acts) => Demand::Acts,
        Some(ClientStatements::None) => Demand::None,
        None if config.actor_statements.direct => Demand::None,
        None => Demand::EveryCall,
    }
}

/// Clients that may order for persons by their own word, where the deployment takes no such calls.
///
/// # Errors
///
/// Names the first of them, and its profile.
pub(crate) fn judge(config: &ConfigFile, profiles: &ProfileSet) -> anyhow::Result<()> {
    if config.actor_statements.direct {
        return Ok(());
    }
    for client in &config.clients {
        let of_persons = client.profiles.iter().find(|name| {
            profiles.by_name(name.as_str()).is_some_and(|profile| profile.kind().is_person())
        });
        if let Some(profile) = of_persons.filter(|_| demand(config, client) == Demand::None) {
            return Err(Told::config(format!(
                "client {} has statements = \"none\" and may order {profile}: what is issued to persons somebody signs for",
                client.name
            ))
            .into());
        }
    }
    Ok(())
}

/// No client that may revoke without a statement, and no identity provider that could sign one: until an administrator has an eID of this deployment, nobody
/// revokes. `serve` tells of it and starts: eIDs that it has issued may sign.
pub(crate) fn nobody_revokes(config: &ConfigFile) -> Option<anyhow::Error> {
    let mut revoking = config.clients.iter().filter(|client| client.revoke).peekable();
    let bound = revoking.peek().is_some()
        && revoking.all(|client| demand(config, client) != Demand::None)
        && config.actor_statements.providers.is_empty();
    bound.then(|| {
        anyhow::Error::new(Told::new(
            "statements-unsignable",
            "every client that may revoke needs the statement of an administrator, and no identity provider is named that signs one: nobody revokes but with an eID of this deployment",
            "give an operator's client that orders for nobody statements = \"none\", or name an [[actor-statements.provider]]",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &str = "[actor-statements]";

    /// The annotated example with this section, and these words of its first client.
    fn config(section: &str, client: &str) -> Result<ConfigFile, toml::de::Error> {
        let text = include_str!("../../environments/demo/ca.toml");
        let (before, after) = text.split_once(SECTION).unwrap();
        let (_, after) = after.split_once("\n[api]").unwrap();
        let after =
            after.replacen("name        = \"portal\"", &format!("name = \"portal\"\n{client}"), 1);
        toml::from_str(&format!("{before}{SECTION}\n{section}\n[api]{after}"))
    }

    fn read(section: &str, deployment: (&str, &str)) -> anyhow::Result<ActorStatements> {
        let deployment = Deployment::from_parts(deployment.0, deployment.1, "a1b2").unwrap();
        ActorStatements::read(&config(section, "")?, deployment)
    }

    fn provider(key: &std::path::Path, more: &str) -> String {
        format!(
            "[[actor-statements.provider]]\nkid = \"idp-1\"\nkey = {key:?}\nissuer = \"https://idp.example.org\"\nlevel = \"loa3\"\n{more}"
        )
    }

    /// API-05: deployment test/demo alone may take a client's own word, and none does unless it is written.
    #[test]
    fn direct_calls_are_the_demos_alone_and_never_by_default() {
        let demo = ("test", "demo");
        assert_eq!(read("", demo).unwrap().direct, DirectCalls::Refused);
        assert_eq!(read("direct = true", demo).unwrap().direct, DirectCalls::Taken);
        for other in [("test", "systemtest"), ("qa", "test"), ("prod", "prod")] {
            let refused = read("direct = true", other).unwrap_err().to_string();
            assert!(refused.contains("only test/demo"), "{refused}");
            assert_eq!(read("direct = false", other).unwrap().direct, DirectCalls::Refused);
        }
    }

    #[test]
    fn every_call_needs_a_statement_unless_the_client_says_otherwise() {
        for (section, client, expected) in [
            ("", "", Demand::EveryCall),
            ("", "statements = \"acts\"", Demand::Acts),
            ("", "statements = \"none\"", Demand::None),
            ("direct = true", "", Demand::None),
            ("direct = true", "statements = \"every-call\"", Demand::EveryCall),
        ] {
            let config = config(section, client).unwrap();
            let portal = config.clients.iter().find(|one| one.name == "portal").unwrap();
            assert_eq!(demand(&config, portal), expected, "{section} {client}");
        }
        assert!(config("", "statements = \"some\"").is_err());
    }

    /// A client without statements orders for nobody.
    #[test]
    fn refuses_a_client_that_orders_for_persons_by_its_own_word() {
        let book = crate::book::read(
            &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles"),
        );
        let book = book.unwrap();
        let judged = |section, client| judge(&config(section, client).unwrap(), book.profiles());

        let refused = judged("", "statements = \"none\"").unwrap_err().to_string();

        assert!(refused.contains("portal") && refused.contains("person-hsaid-3"), "{refused}");
        judged("", "statements = \"acts\"").unwrap();
        judged("direct = true", "statements = \"none\"").unwrap();
    }

    /// Promise 4: who upgrades hears that nobody can revoke any more, and the demo hears nothing.
    #[test]
    fn tells_when_nobody_could_revoke() {
        let told = |section: &str, client: &str| {
            nobody_revokes(&config(section, client).unwrap()).map(|error| error.to_string())
        };
        assert!(told("", "").is_some_and(|text| text.contains("nobody revokes")));
        assert!(told("", "statements = \"acts\"").is_some());
        assert_eq!(told("", "statements = \"none\""), None, "this one revokes");
        assert_eq!(told("direct = true", ""), None);
        assert_eq!(told(&provider(std::path::Path::new("idp.pem"), ""), ""), None);
    }

    #[test]
    fn refuses_values_that_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("idp.pem");
        let demo = ("test", "demo");
        let refused = |section: &str| format!("{:#}", read(section, demo).unwrap_err());
        for age in ["9", "3601"] {
            assert!(refused(&format!("age = {age}")).contains("10 to 3600"), "{age}");
        }
        assert!(refused(&provider(&key, "")).contains("idp.pem"));
        std::fs::write(&key, "no key").unwrap();
        assert!(refused(&provider(&key, "")).contains("idp-1"));
        let spki = crate::service::testing::Key::new().public.spki_der().to_vec();
        std::fs::write(&key, pem::encode(Label::PublicKey, &spki)).unwrap();
        let long = provider(&key, "session = 86401");
        assert!(refused(&long).contains("86400"), "{}", refused(&long));
        let twice = format!("{0}\n{0}", provider(&key, ""));
        assert!(refused(&twice).contains("twice"), "{}", refused(&twice));
        let read = read(&provider(&key, ""), demo).unwrap();
        assert_eq!(read.providers["idp-1"].terms.session, Duration::from_secs(28_800));
    }
}
