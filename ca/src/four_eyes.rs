//! Four eyes: what one person asks for and another one approves before it is done (CER-10).
//!
//! The one who asks names the exact call: method, path and the octets of its body. Another person approves that, by its hash, and the call is
//! then made by who asked, once, with the name of the approval. Which calls need it is data: [`RULES`] names what can be put under four eyes
//! and what is so unless an operator says otherwise; [`FourEyes`] is what a deployment demands. What revokes is in no row: nobody's
//! revocation waits for a second person, but where one asks for very much at once, which jobs have their own approval for.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::operation::Operation;
use crate::order::ActorId;
use crate::refusal::Refusal;
use crate::role::{ActsAs, Protected, Role};

/// Which calls of an operation a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// All of them.
    Always,
    /// Those by which somebody is protected no more, and those whose body says nothing that can be read.
    ProtectionEnds,
}

/// One row of what can be put under four eyes.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it is about.
    pub operation: Operation,
    /// Which calls of it.
    when: When,
    /// Whether it holds in environment prod where the configuration does not say which do.
    pub usual: bool,
}

/// What can be put under four eyes. docs/decisions/0063 says why which are usual.
pub const RULES: &[Rule] = &[
    rule("end-protection", Operation::SetProtection, When::ProtectionEnds, true),
    rule("set-protection", Operation::SetProtection, When::Always, false),
    rule("release-certificate", Operation::ReleaseCertificate, When::Always, true),
    rule("resume-limit", Operation::ResumeLimit, When::Always, true),
    rule("end-organisation", Operation::EndOrganisation, When::Always, true),
    rule("add-organisation", Operation::AddOrganisation, When::Always, false),
    rule("change-organisation", Operation::ChangeOrganisation, When::Always, false),
    rule("register-carriers", Operation::RegisterCarriers, When::Always, false),
    rule("move-carrier", Operation::MoveCarrier, When::Always, false),
];

const fn rule(name: &'static str, operation: Operation, when: When, usual: bool) -> Rule {
    Rule { name, operation, when, usual }
}

impl Rule {
    fn holds(&self, operation: Operation, body: &[u8]) -> bool {
        self.operation == operation
            && match self.when {
                When::Always => true,
                When::ProtectionEnds => {
                    let class = serde_json::from_slice::<Value>(body).ok();
                    let class = class.as_ref().and_then(|body| body.get("class"));
                    class.and_then(Value::as_str).is_none_or(|class| class == "none")
                }
            }
    }
}

/// Whether an operation can be put under four eyes at all.
#[must_use]
pub fn can_be_asked_for(operation: Operation) -> bool {
    RULES.iter().any(|rule| rule.operation == operation)
}

/// What a deployment demands four eyes for, and how long a request counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FourEyes {
    demanded: BTreeSet<&'static str>,
    lifetime: Duration,
}

/// For how long a request counts unless a configuration says otherwise: until the same time tomorrow.
pub const USUAL_LIFETIME: Duration = Duration::from_secs(86_400);

impl FourEyes {
    /// Takes the names of rules.
    ///
    /// # Errors
    ///
    /// The first that is none.
    pub fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
        lifetime: Duration,
    ) -> Result<Self, &'a str> {
        let known = |name: &'a str| {
            let found = RULES.iter().find(|rule| rule.name == name);
            found.map(|rule| rule.name).ok_or(name)
        };
        let demanded = names.into_iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { demanded, lifetime })
    }

    /// What holds in environment prod where nothing is said.
    #[must_use]
    pub fn usual(lifetime: Duration) -> Self {
        let demanded = RULES.iter().filter(|rule| rule.usual).map(|rule| rule.name).collect();
        Self { demanded, lifetime }
    }

    /// Nothing, as elsewhere.
    #[must_use]
    pub fn none(lifetime: Duration) -> Self {
        Self { demanded: BTreeSet::new(), lifetime }
    }

    /// For how long a request counts.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The names of the rules, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.demanded.iter().copied()
    }

    /// The rule by which this call needs an approval.
    #[must_use]
    pub fn demands(&self, operation: Operation, body: &[u8]) -> Option<&'static str> {
        let holds = |rule: &&Rule| self.demanded.contains(rule.name) && rule.holds(operation, body);
        RULES.iter().find(holds).map(|rule| rule.name)
    }
}

/// The hash that stands for a call: over the deployment's API, method, path and the SHA-256 of the body as it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallHash([u8; 32]);

impl CallHash {
    /// Of a call to the API that `audience` names ([`crate::deployment::Deployment::audience`]). `path` is as the caller sends it, without a query.
    #[must_use]
    pub fn of(audience: &str, operation: Operation, path: &str, body: &[u8]) -> Self {
        let body: [u8; 32] = Sha256::digest(body).into();
        let body = crate::actor::statement::hexadecimal(&body);
        let (method, template) = (operation.method(), operation.path());
        let text = format!("sigill-approval/1\n{audience}\n{method}\n{template}\n{path}\n{body}\n");
        Self(Sha256::digest(text).into())
    }

    /// Takes the 32 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CallHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::actor::statement::hexadecimal(&self.0))
    }
}

impl fmt::Debug for CallHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one has asked for, as another one decides on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asked.
    pub by: &'a ActorId,
    /// For what.
    pub operation: Operation,
    /// The hash of the call.
    pub hash: CallHash,
    /// Whether protected persons were there for him.
    pub protected: Protected,
}

/// Holds the one who decides against what was asked for: another person, in a role that may do it or approves what operators do, with
/// protected persons where the asker had them, and of the call that he has seen.
///
/// # Errors
///
/// `approval-own`, `approval-role-refused`, `approval-differs`.
pub fn judge_decision(
    asked: &Asked<'_>,
    by: &ActorId,
    acts: ActsAs,
    seen: &str,
) -> Result<(), Refusal> {
    if asked.by.as_str().eq_ignore_ascii_case(by.as_str()) {
        return Err(own());
    }
    let privy = asked.protected == Protected::Unseen || acts.protected() == Protected::Seen;
    if !privy || !acts.may_approve(asked.operation) {
        return Err(Refusal::new(
            "approval-role-refused",
            "CER-10: who approves has a role that may do it himself",
            &acts,
            format!(
                "a role with {} in docs/roles.md, with confidentiality where the asker had it",
                asked.operation.id()
            ),
            "have somebody decide who has such a role",
        ));
    }
    if seen != asked.hash.to_string() {
        return Err(differs(&seen, asked.hash));
    }
    Ok(())
}

/// One person is not two, by whichever client, name or eID he comes.
#[must_use]
pub fn own() -> Refusal {
    Refusal::new(
        "approval-own",
        "CER-10: who asks does not approve",
        &"the person who asked",
        "another person",
        "have another person decide",
    )
}

/// Another call than the approved one.
#[must_use]
pub fn differs(seen: &impl fmt::Display, approved: CallHash) -> Refusal {
    Refusal::new(
        "approval-differs",
        "CER-10: what is approved and done is one call, octet for octet",
        seen,
        format!("the call with the hash {approved}"),
        "send the call as it was asked for, or ask anew",
    )
}

impl Role {
    /// Whether it approves what others ask for: what it may do itself, and as security officer what operators of the CA do.
    #[must_use]
    pub fn may_approve(self, operation: Operation) -> bool {
        self.may(operation) || (self == Self::SecurityOfficer && Self::Operator.may(operation))
    }
}

impl ActsAs {
    /// Whether another one's request for this may be approved so.
    #[must_use]
    pub fn may_approve(self, operation: Operation) -> bool {
        match self {
            Self::Holder => false,
            Self::Administrator(role, protected) => {
                let privy = protected == Protected::Seen || !operation.is_about_protected_persons();
                privy && role.may_approve(operation)
            }
        }
    }
}

#[cfg(test)]
mod tests;
