//! All that is wrong with a folder of profiles, at once, for whoever writes them.
//!
//! A program that starts stops at the first fault ([`Profile::parse`], [`ProfileSet::new`]). Here
//! reading goes on behind it: each file is judged to its end, and then all of them together.
//!
//! [`ProfileSet::new`]: super::ProfileSet::new

mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;

use x509::oid::ObjectIdentifier;

use super::{Profile, ProfileError, ProfileName, rules};

/// A file of a profile: where it lies, and its octets.
#[derive(Clone, Copy, Debug)]
pub struct ProfileSource<'a> {
    /// Its path, as faults name it.
    pub path: &'a str,
    /// What it holds.
    pub octets: &'a [u8],
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, counted from 1, where one line is to blame.
    pub line: Option<usize>,
    /// The rule: its stable name. `format` where the file cannot be read.
    pub rule: String,
    /// What the rule says and what was seen.
    pub says: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}", self.rule, self.says)
    }
}

/// Reads and judges profiles. Those that could be read are returned also when they break rules.
#[must_use]
pub fn check(files: &[ProfileSource<'_>]) -> (Vec<Profile>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut read = Vec::new();
    for file in files {
        let found = read_file(file, &mut faults);
        read.extend(found.map(|profile| (file.path, profile)));
    }
    names_once(&read, &mut faults);
    policies_apart(&read, &mut faults);
    faults.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    (read.into_iter().map(|(_, profile)| profile).collect(), faults)
}

fn read_file(file: &ProfileSource<'_>, faults: &mut Vec<Fault>) -> Option<Profile> {
    let unread =
        |line, says| Fault { file: file.path.to_owned(), line, rule: "format".to_owned(), says };
    let profile = match Profile::read(file.octets) {
        Ok(profile) => profile,
        Err(ProfileError::Toml(_)) => {
            let text = String::from_utf8_lossy(file.octets);
            let all = recovery::faults(&text);
            faults.extend(all.into_iter().map(|found| unread(Some(found.line), found.says)));
            return None;
        }
        Err(error) => {
            faults.push(unread(None, chain(&error)));
            return None;
        }
    };
    let fault = |rule: &str, says: String| Fault {
        file: file.path.to_owned(),
        line: None,
        rule: rule.to_owned(),
        says,
    };
    faults.extend(
        rules::broken(&profile)
            .map(|rule| fault(rule.id, format!("{} ({})", rule.says, rule.clause))),
    );
    let stem = file.path.rsplit(['/', '\\']).next().unwrap_or_default();
    if stem != format!("{}.toml", profile.name()) {
        let says = format!("profile {} does not lie in {0}.toml", profile.name());
        faults.push(fault("file-name", says));
    }
    Some(profile)
}

/// Two profiles of one name cannot be told apart.
fn names_once(read: &[(&str, Profile)], faults: &mut Vec<Fault>) {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, profile) in read {
        if let Some(other) = first.insert(profile.name().as_str(), path) {
            faults.push(Fault {
                file: (*path).to_owned(),
                line: None,
                rule: "name-once".to_owned(),
                says: format!("profile {} is also in {other}", profile.name()),
            });
        }
    }
}

/// The own policy of a profile stands in no other (PRO-10): relying parties know the profile by it.
fn policies_apart(read: &[(&str, Profile)], faults: &mut Vec<Fault>) {
    let owners: BTreeSet<(ObjectIdentifier, &ProfileName)> = read
        .iter()
        .filter(|(_, profile)| profile.kind().is_subscriber())
        .filter_map(|(_, profile)| profile.own_policy().map(|own| (own, profile.name())))
        .collect();
    for (path, profile) in read {
        let others = owners.iter().filter(|(_, owner)| *owner != profile.name());
        for (own, owner) in others {
            if profile.policies().iter().any(|policy| policy.oid == *own) {
                faults.push(Fault {
                    file: (*path).to_owned(),
                    line: None,
                    rule: "policy-once".to_owned(),
                    says: format!(
                        "policy {own} is profile {owner}'s own; a policy belongs to one profile (PRO-10)"
                    ),
                });
            }
        }
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PROFILES, profile_text};

    fn faults_of(files: &[(&str, String)]) -> Vec<String> {
        let sources: Vec<_> = files
            .iter()
            .map(|(path, text)| ProfileSource { path, octets: text.as_bytes() })
            .collect();
        check(&sources).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn finds_nothing_wrong_with_what_is_shipped() {
        let files: Vec<_> = PROFILES.map(|(name, text)| (format!("{name}.toml"), text)).into();
        let sources: Vec<_> = files
            .iter()
            .map(|(path, text)| ProfileSource { path, octets: text.as_bytes() })
            .collect();

        let (profiles, faults) = check(&sources);

        assert_eq!(faults, []);
        assert_eq!(profiles.len(), PROFILES.len());
    }

    /// Unknown keys and words do not hide each other, and each has its line.
    #[test]
    fn names_every_unknown_key_and_word_of_a_file_with_its_line() {
        let text = profile_text("function")
            .replace("[validity]\n", "[validity]\nlifespan = \"1y\"\n")
            .replace("\"client-auth\", \"server-auth\"", "\"client-auth\", \"code-signing\"")
            .replace("past-issuer = \"refuse\"", "past-issuer = \"extend\"")
            .replace("wildcards = \"refused\"", "wildcards = \"refused\"\nwild = \"yes\"");
        let line = |word: &str| text.lines().position(|line| line.contains(word)).unwrap() + 1;

        let faults = faults_of(&[("profiles/function.toml", text.clone())]);

        assert_eq!(faults.len(), 4, "{faults:#?}");
        for (fault, (word, says)) in faults.iter().zip([
            ("lifespan", "unknown field `lifespan`"),
            ("\"extend\"", "unknown variant `extend`"),
            ("wild =", "unknown field `wild`"),
            ("code-signing", "unknown variant `code-signing`"),
        ]) {
            let start = format!("profiles/function.toml:{}: format: {says}", line(word));
            assert!(fault.starts_with(&start), "{fault} but {start}");
        }
    }

    #[test]
    fn names_every_rule_that_a_profile_breaks() {
        let text = profile_text("function")
            .replace("backdate    = \"5m\"", "backdate    = \"2h\"")
            .replace("issue-by    = \"direct\"", "issue-by    = \"internal\"");

        let faults = faults_of(&[("function.toml", text)]);

        assert_eq!(faults.len(), 2, "{faults:#?}");
        assert!(faults[0].starts_with("function.toml: backdate: "), "{}", faults[0]);
        assert!(faults[1].starts_with("function.toml: issue-by: "), "{}", faults[1]);
    }

    /// PRO-10: the own policy of one profile stands nowhere in another, last or not.
    #[test]
    fn names_profiles_that_share_a_name_a_policy_or_lie_in_the_wrong_file() {
        let function = profile_text("function").to_owned();
        let twin = function.clone();
        let own = crate::testing::profile("function").own_policy().unwrap().to_string();
        let thief = profile_text("function-ec").replace("2.23.140.1.2.2", &own);

        let faults = faults_of(&[
            ("function.toml", function),
            ("twin.toml", twin),
            ("function-ec.toml", thief),
        ]);

        let rules: Vec<_> = faults.iter().map(|fault| fault.split(": ").nth(1).unwrap()).collect();
        assert_eq!(rules, ["policy-once", "file-name", "name-once"], "{faults:#?}");
    }

    #[test]
    fn says_what_else_is_no_profile() {
        for (text, says) in
            [("name = ", "string values must be quoted"), ("", "missing field `name`")]
        {
            let faults = faults_of(&[("a.toml", text.to_owned())]);

            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains(says), "{faults:?}");
        }
        let octets: &[u8] = b"\xff";
        let (_, faults) = check(&[ProfileSource { path: "a.toml", octets }]);
        assert_eq!(faults[0].to_string(), "a.toml: format: profile is not UTF-8");
        let odd = profile_text("root").replace("\"root-ca\"", "\"root-cellar\"");
        assert!(faults_of(&[("root.toml", odd)])[0].contains("root-cellar"));
    }
}
