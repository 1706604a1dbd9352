//! Which deployment this is, and the names that carry it (promise 8).
//!
//! A deployment is (environment, pki, instance). The pairs of environment and PKI come from a
//! compiled table, so that no configuration can invent one; the instance tells two deployments of
//! one pair apart. It stands in token labels, log origins, management certificates, the database
//! and every exchange file; where two of them meet, [`Deployment::must_equal`] names both values.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where a deployment runs. Rules for test identities and software keys hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Environment {
    /// Test identities only; software note keys are allowed.
    Test,
    /// Quality assurance, whose PKI is called *test*; test identities only.
    Qa,
    /// Production: real identities, no software keys.
    Prod,
}

impl Environment {
    /// The word used everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Qa => "qa",
            Self::Prod => "prod",
        }
    }

    /// Whether only test identities may get certificates (DAT-08): everywhere but in production.
    #[must_use]
    pub const fn allows_only_test_identities(self) -> bool {
        !matches!(self, Self::Prod)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One row of the compiled table: a PKI in its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pki {
    /// test/demo, code `td`: what the quickstart makes.
    Demo,
    /// test/systemtest, code `ts`.
    Systemtest,
    /// qa/test, code `qt`: the PKI called *test* runs in environment *qa*.
    Test,
    /// prod/prod, code `pp`.
    Prod,
}

impl Pki {
    /// The whole table.
    pub const ALL: [Self; 4] = [Self::Demo, Self::Systemtest, Self::Test, Self::Prod];

    /// The PKI's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Systemtest => "systemtest",
            Self::Test => "test",
            Self::Prod => "prod",
        }
    }

    /// The environment that it runs in.
    #[must_use]
    pub const fn environment(self) -> Environment {
        match self {
            Self::Demo | Self::Systemtest => Environment::Test,
            Self::Test => Environment::Qa,
            Self::Prod => Environment::Prod,
        }
    }

    /// The two letters in token labels.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Demo => "td",
            Self::Systemtest => "ts",
            Self::Test => "qt",
            Self::Prod => "pp",
        }
    }
}

impl fmt::Display for Pki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells deployments of one pair apart: 4 characters a-z0-9.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance([u8; 4]);

impl Instance {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

    /// Draws an instance: each character from 8 random octets, so that the bias of the remainder
    /// is below 2^-58. `random` must come from the operating system's generator.
    #[must_use]
    pub fn from_random(random: [u64; 4]) -> Self {
        let letter = |n: u64| {
            usize::try_from(n % 36)
                .ok()
                .and_then(|i| Self::ALPHABET.get(i))
                .copied()
                .unwrap_or(b'a')
        };
        Self(random.map(letter))
    }

    /// The four characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({self})")
    }
}

impl FromStr for Instance {
    type Err = DeploymentError;

    fn from_str(text: &str) -> Result<Self, DeploymentError> {
        <[u8; 4]>::try_from(text.as_bytes())
            .ok()
            .filter(|octets| octets.iter().all(|octet| Self::ALPHABET.contains(octet)))
            .map(Self)
            .ok_or_else(|| DeploymentError::Instance { found: text.to_owned() })
    }
}

/// A name in token labels and management certificates: 1 to 21 characters a-z0-9 and hyphens,
/// beginning and ending with a letter or digit. 21 is what is left of a token label's 32 octets
/// after `sg-<code>-<instance>-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleName(String);

impl RoleName {
    /// The most characters.
    pub const MAX: usize = 21;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoleName {
    type Err = DeploymentError;

    fn from_str(text: &str) -> Result<Self, DeploymentError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
        let fine = text.len() <= Self::MAX
            && text.chars().all(allowed)
            && edge(text.chars().next())
            && edge(text.chars().next_back());
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(DeploymentError::Role { found: text.to_owned() })
        }
    }
}

/// Whose management certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManagementRole {
    /// The CA of the management plane.
    Authority,
    /// A caller of the API.
    Client,
    /// The API's own TLS server.
    Server,
}

/// (environment, pki, instance). Two deployments share no key, no log, no certificate, no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Deployment {
    pki: Pki,
    instance: Instance,
}

impl Deployment {
    /// Takes a row of the table and an instance.
    #[must_use]
    pub const fn new(pki: Pki, instance: Instance) -> Self {
        Self { pki, instance }
    }

    /// Reads the three parts as configuration files write them.
    ///
    /// # Errors
    ///
    /// [`DeploymentError::UnknownPair`] unless environment and PKI stand in the table together,
    /// [`DeploymentError::Instance`] unless the instance has 4 characters a-z0-9.
    pub fn from_parts(
        environment: &str,
        pki: &str,
        instance: &str,
    ) -> Result<Self, DeploymentError> {
        let pki = Pki::ALL
            .into_iter()
            .find(|row| row.name() == pki && row.environment().name() == environment)
            .ok_or_else(|| DeploymentError::UnknownPair {
                found: format!("{environment}/{pki}"),
            })?;
        Ok(Self { pki, instance: instance.parse()? })
    }

    /// Where it runs.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.pki.environment()
    }

    /// Its PKI.
    #[must_use]
    pub const fn pki(&self) -> Pki {
        self.pki
    }

    /// Its instance.
    #[must_use]
    pub const fn instance(&self) -> Instance {
        self.instance
    }

    /// The label of the token that holds the keys of `role`: `sg-<code>-<instance>-<role>`, at most
    /// 32 octets (PKCS#11 `CK_TOKEN_INFO.label`) because a [`RoleName`] has at most 21.
    #[must_use]
    pub fn token_label(&self, role: &RoleName) -> String {
        format!("sg-{}-{}-{role}", self.pki.code(), self.instance)
    }

    /// The SAN URI of a management certificate:
    /// `urn:sigill:<environment>:<pki>:<instance>:client:<name>`.
    #[must_use]
    pub fn management_uri(&self, role: ManagementRole, name: &RoleName) -> String {
        let role = match role {
            ManagementRole::Authority => "ca",
            ManagementRole::Client => "client",
            ManagementRole::Server => "server",
        };
        let Self { pki, instance } = self;
        format!("urn:sigill:{}:{pki}:{instance}:{role}:{name}", pki.environment())
    }

    /// The API of this deployment, as statements of administrators name it: `urn:sigill:<environment>:<pki>:<instance>:api`.
    #[must_use]
    pub fn audience(&self) -> String {
        let Self { pki, instance } = self;
        format!("urn:sigill:{}:{pki}:{instance}:api", pki.environment())
    }

    /// Reads a management URI back and checks that it is of this deployment.
    ///
    /// # Errors
    ///
    /// [`DeploymentError::Mismatch`] for another deployment's, [`DeploymentError::ManagementUri`]
    /// for anything else.
    pub fn management_name(
        &self,
        role: ManagementRole,
        uri: &str,
    ) -> Result<RoleName, DeploymentError> {
        let refused = || DeploymentError::ManagementUri { found: uri.to_owned() };
        let parts: Vec<&str> = uri.split(':').collect();
        let ["urn", "sigill", environment, pki, instance, _, name] = parts.as_slice() else {
            return Err(refused());
        };
        let found = Self::from_parts(environment, pki, instance).map_err(|_| refused())?;
        self.must_equal(&found, Place::ManagementCertificate)?;
        let name = name.parse().map_err(|_| refused())?;
        if self.management_uri(role, &name) == uri { Ok(name) } else { Err(refused()) }
    }

    /// Refuses a thing that was found at `place` and belongs to another deployment.
    ///
    /// # Errors
    ///
    /// [`DeploymentError::Mismatch`], naming both.
    pub fn must_equal(&self, found: &Self, place: Place) -> Result<(), DeploymentError> {
        if self == found {
            return Ok(());
        }
        Err(DeploymentError::Mismatch { expected: *self, found: *found, place })
    }
}

impl fmt::Display for Deployment {
    /// `<environment>/<pki>/<instance>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.environment(), self.pki, self.instance)
    }
}

impl FromStr for Deployment {
    type Err = DeploymentError;

    /// Reads `<environment>/<pki>/<instance>`.
    fn from_str(text: &str) -> Result<Self, DeploymentError> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(environment), Some(pki), Some(instance), None) => {
                Self::from_parts(environment, pki, instance)
            }
            _ => Err(DeploymentError::UnknownPair { found: text.to_owned() }),
        }
    }
}

/// Where a deployment's name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The program's configuration file.
    Configuration,
    /// The database.
    Database,
    /// A file that crosses between programs or zones.
    ExchangeFile,
    /// A log's origin line.
    LogOrigin,
    /// A management certificate's SAN URI.
    ManagementCertificate,
    /// A token's label.
    TokenLabel,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Database => "database",
            Self::ExchangeFile => "exchange file",
            Self::LogOrigin => "log origin",
            Self::ManagementCertificate => "management certificate",
            Self::TokenLabel => "token label",
        })
    }
}

/// Why something is not of this deployment, or of any.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeploymentError {
    /// Not 4 characters a-z0-9.
    #[error("instance {found:?} is not 4 characters a-z0-9")]
    Instance {
        /// What was given.
        found: String,
    },
    /// Not a management URI of the role.
    #[error("{found:?} is not a management URI of the expected role")]
    ManagementUri {
        /// What was given.
        found: String,
    },
    /// It belongs to another deployment (promise 8).
    #[error("{place} belongs to deployment {found}, but this is {expected}")]
    Mismatch {
        /// This deployment.
        expected: Deployment,
        /// The other one.
        found: Deployment,
        /// Where it was found.
        place: Place,
    },
    /// Not a name of a role or client.
    #[error("name {found:?} is not 1 to 21 characters a-z0-9 with hyphens between them")]
    Role {
        /// What was given.
        found: String,
    },
    /// Environment and PKI do not stand in the table together.
    #[error("{found:?} is none of test/demo, test/systemtest, qa/test, prod/prod")]
    UnknownPair {
        /// What was given.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> Deployment {
        "test/demo/ab12".parse().unwrap()
    }

    fn role(name: &str) -> RoleName {
        name.parse().unwrap()
    }

    /// Promise 8: the names that carry a deployment.
    #[test]
    fn stands_in_labels_and_uris() {
        let deployment = demo();

        assert_eq!(deployment.to_string(), "test/demo/ab12");
        assert_eq!(deployment.token_label(&role("issuing")), "sg-td-ab12-issuing");
        assert_eq!(
            deployment.management_uri(ManagementRole::Client, &role("portal")),
            "urn:sigill:test:demo:ab12:client:portal"
        );
        assert_eq!(deployment.audience(), "urn:sigill:test:demo:ab12:api");
    }

    #[test]
    fn the_longest_role_fills_a_token_label_exactly() {
        let longest = "a".repeat(RoleName::MAX);

        assert_eq!(demo().token_label(&role(&longest)).len(), 32);
        assert!(format!("{longest}a").parse::<RoleName>().is_err());
    }

    #[test]
    fn refuses_pairs_outside_the_table() {
        for pair in ["test/test", "qa/demo", "prod/demo", "qa/prod", "dev/demo", "TEST/demo"] {
            assert!(format!("{pair}/ab12").parse::<Deployment>().is_err(), "{pair}");
        }
        assert!("qa/test/ab12".parse::<Deployment>().is_ok());
    }

    #[test]
    fn refuses_instances_and_names_of_another_form() {
        for instance in ["", "abc", "abcde", "AB12", "a-12", "åb1"] {
            assert!(instance.parse::<Instance>().is_err(), "{instance}");
        }
        for name in ["", "-a", "a-", "A", "a b", "a_b", "å"] {
            assert!(name.parse::<RoleName>().is_err(), "{name}");
        }
    }

    /// Promise 8: each part swapped is refused, and both values are named.
    #[test]
    fn refuses_another_deployment_and_names_both() {
        for other in ["test/demo/ab13", "test/systemtest/ab12", "prod/prod/ab12"] {
            let other: Deployment = other.parse().unwrap();

            let error = demo().must_equal(&other, Place::Database).unwrap_err().to_string();

            assert!(error.contains("test/demo/ab12") && error.contains(&other.to_string()));
            assert!(error.contains("database"));
        }
    }

    #[test]
    fn reads_its_own_management_uris_and_refuses_all_others() {
        let deployment = demo();
        let name = |role, uri| deployment.management_name(role, uri);
        let uri = "urn:sigill:test:demo:ab12:client:portal";

        assert_eq!(name(ManagementRole::Client, uri), Ok(role("portal")));
        assert!(name(ManagementRole::Server, uri).is_err());
        assert!(matches!(
            name(ManagementRole::Client, "urn:sigill:test:demo:zz99:client:portal"),
            Err(DeploymentError::Mismatch { .. })
        ));
        assert!(name(ManagementRole::Client, "urn:sigill:test:demo:ab12:client:").is_err());
        assert!(name(ManagementRole::Client, "urn:sigill:test:demo:ab12:client:a:b").is_err());
    }

    #[test]
    fn draws_instances_from_the_whole_alphabet() {
        let drawn = Instance::from_random([0, 25, 26, 35]);

        assert_eq!(drawn.as_str(), "az09");
        assert_eq!(drawn.as_str().parse(), Ok(drawn));
    }
}
