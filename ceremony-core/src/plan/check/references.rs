//! What the names in the steps stand for: a name that means the wrong kind of thing is found on paper, not in the room.

use std::collections::BTreeSet;

use x509::key::KeyType;

use crate::plan::fault::Fault;
use crate::plan::kind::Kind;
use crate::plan::step::{BackupWay, Operation, OperationName, Step};
use crate::plan::{Content, Input, InputContent, Plan, PlannedToken, Word};

pub(super) fn faults(plan: &Plan) -> Vec<Fault> {
    let mut seen = Seen { plan, before: Vec::new(), used: BTreeSet::new(), faults: Vec::new() };
    for token in &plan.tokens {
        let wanted = "an input that holds a device profile";
        if seen.input(&token.device_profile, InputContent::DeviceProfile).is_none() {
            let (what, name) = (wanted, token.device_profile.clone());
            seen.faults.push(Fault::Unknown { what, name });
        }
    }
    for step in &plan.steps {
        seen.step(step);
        seen.before.push(step);
    }
    seen.backups();
    seen.unused();
    seen.faults
}

struct Seen<'a> {
    plan: &'a Plan,
    /// The steps before this one.
    before: Vec<&'a Step>,
    /// Inputs that something uses.
    used: BTreeSet<&'a Word>,
    faults: Vec<Fault>,
}

impl<'a> Seen<'a> {
    fn input(&mut self, name: &Word, content: InputContent) -> Option<&'a Input> {
        let found = self
            .plan
            .inputs
            .iter()
            .find(|input| input.name == *name && input.content == content)?;
        self.used.insert(&found.name);
        Some(found)
    }

    fn earlier(&self, name: &Word, operation: OperationName) -> Option<&'a Step> {
        self.before
            .iter()
            .copied()
            .find(|step| step.id == *name && step.operation.name() == operation)
    }

    /// The type of the key that an earlier step made.
    fn key_of(&self, name: &Word) -> Option<KeyType> {
        match self.earlier(name, OperationName::GenerateKey)?.operation {
            Operation::GenerateKey { key, .. } => Some(key),
            _ => None,
        }
    }

    fn wrong(&mut self, step: &Step, key: &'static str, name: &Word, wanted: &'static str) {
        self.faults.push(Fault::Reference {
            step: step.id.clone(),
            key,
            name: name.clone(),
            wanted,
        });
    }

    fn step(&mut self, step: &'a Step) {
        if let Some(token) = step.operation.token()
            && self.plan.token(token).is_none()
        {
            self.faults.push(Fault::Unknown { what: "token", name: token.clone() });
        }
        match &step.operation {
            Operation::Declare { by, .. } => {
                if self.plan.people.of(*by).is_empty() {
                    let (step, role) = (step.id.clone(), *by);
                    self.faults.push(Fault::Unmet { step, role, wanted: 1, seen: 0 });
                }
            }
            Operation::Backup { key_of, token } => self.backup(step, key_of, token),
            Operation::Certificate { key_of, issuer, profile, algorithm, like, .. } => {
                let signs = self.certificate(step, key_of, issuer);
                if let Some(key) = signs.filter(|key| !algorithm.fits(*key)) {
                    let (step, algorithm) = (step.id.clone(), *algorithm);
                    self.faults.push(Fault::Algorithm { step, algorithm, key });
                }
                self.profile(step, profile);
                if let Some(like) = like
                    && self.input(like, InputContent::Certificate).is_none()
                {
                    self.wrong(step, "like", like, "an input that holds a certificate");
                }
            }
            Operation::Request { key_of, .. } | Operation::Enrol { key_of, .. } => {
                if self.key_of(key_of).is_none() {
                    self.wrong(step, "key-of", key_of, "an earlier step that makes a key");
                }
            }
            Operation::Crl { issuer, algorithm, previous, .. } => {
                let signs = self.issuer(step, issuer);
                if let Some(key) = signs.filter(|key| !algorithm.fits(*key)) {
                    let (step, algorithm) = (step.id.clone(), *algorithm);
                    self.faults.push(Fault::Algorithm { step, algorithm, key });
                }
                if let Some(previous) = previous
                    && self.input(previous, InputContent::Crl).is_none()
                {
                    self.wrong(step, "previous", previous, "an input that holds a CRL");
                }
            }
            Operation::Delegate { request, issuer, profile, crl, .. } => {
                if self.input(request, InputContent::Request).is_none() {
                    self.wrong(step, "request", request, "an input that holds a request");
                }
                self.issuer(step, issuer);
                self.profile(step, profile);
                let signed = self.earlier(crl, OperationName::Crl);
                let is_of = |signed: &Step| matches!(&signed.operation, Operation::Crl { issuer: of, .. } if of == issuer);
                if !signed.is_some_and(is_of) {
                    let wanted = "an earlier step that signs a CRL of the same issuer";
                    self.wrong(step, "crl", crl, wanted);
                }
            }
            Operation::Destroy { token, certificate, final_crl, .. } => {
                self.destroy(step, token, [certificate.as_ref(), final_crl.as_ref()]);
            }
            Operation::PrepareToken { .. } | Operation::GenerateKey { .. } => {}
        }
    }

    fn destroy(&mut self, step: &Step, token: &Word, [certificate, final_crl]: [Option<&Word>; 2]) {
        let id = || step.id.clone();
        if certificate.is_some() != final_crl.is_some() {
            self.faults.push(Fault::FinalCrl { step: id() });
        }
        for (key, name, content, wanted) in [
            (
                "certificate",
                certificate,
                InputContent::Certificate,
                "an input that holds a certificate",
            ),
            ("final-crl", final_crl, InputContent::Crl, "an input that holds a CRL"),
        ] {
            if let Some(name) = name
                && self.input(name, content).is_none()
            {
                self.wrong(step, key, name, wanted);
            }
        }
        let ends = |other: &&Step| matches!(&other.operation, Operation::Destroy { token: of, .. } if of == token);
        if self.before.iter().any(ends) {
            self.faults.push(Fault::DestroyedTwice { step: id(), token: token.clone() });
        }
        let holds = |planned: &PlannedToken| matches!(planned.expect, Content::Inventory(_));
        if self.plan.token(token).is_some_and(|planned| !holds(planned)) {
            self.faults.push(Fault::NothingToDestroy { step: id(), token: token.clone() });
        }
    }

    fn profile(&mut self, step: &Step, profile: &Word) {
        if self.input(profile, InputContent::Profile).is_none() {
            self.wrong(step, "profile", profile, "an input that holds a certificate profile");
        }
    }

    /// Judges whose key is certified by whom; tells the type of the key that signs where it is made here.
    fn certificate(&mut self, step: &Step, key_of: &Word, issuer: &Word) -> Option<KeyType> {
        match self.plan.kind {
            Kind::RootKey => {
                let key = self.key_of(key_of);
                if key.is_none() {
                    self.wrong(step, "key-of", key_of, "an earlier step that makes a key");
                } else if key_of != issuer {
                    self.faults.push(Fault::NotItself { step: step.id.clone() });
                }
                key
            }
            kind => {
                // Of a request nothing but its key is taken; of a certificate that a cross-certificate is like, too.
                let from_request = self.input(key_of, InputContent::Request).is_some();
                let from_certificate = kind == Kind::CrossCertificate
                    && self.input(key_of, InputContent::Certificate).is_some();
                if !from_request && !from_certificate {
                    self.wrong(step, "key-of", key_of, "an input that holds a request");
                }
                if self.input(issuer, InputContent::Certificate).is_none() {
                    self.wrong(
                        step,
                        "issuer",
                        issuer,
                        "an input that holds the issuer's certificate",
                    );
                }
                None
            }
        }
    }

    /// Whose CRL or delegate it is; tells the type of its key where it is made here.
    fn issuer(&mut self, step: &Step, issuer: &Word) -> Option<KeyType> {
        if self.input(issuer, InputContent::Certificate).is_some() {
            return None;
        }
        let signed = self.earlier(issuer, OperationName::Certificate);
        let key_of = signed.and_then(|signed| match &signed.operation {
            Operation::Certificate { key_of, .. } => Some(key_of),
            _ => None,
        });
        if key_of.is_none() {
            self.wrong(
                step,
                "issuer",
                issuer,
                "an input or earlier step with the issuer's certificate",
            );
        }
        key_of.and_then(|key_of| self.key_of(key_of))
    }

    fn backup(&mut self, step: &Step, key_of: &Word, token: &Word) {
        let made = self.earlier(key_of, OperationName::GenerateKey);
        match made.map(|made| &made.operation) {
            Some(Operation::GenerateKey { token: first, .. }) if first == token => {
                self.faults.push(Fault::BackupBeside { step: step.id.clone() });
            }
            Some(_) => {}
            None => self.wrong(step, "key-of", key_of, "an earlier step that makes a key"),
        }
    }

    /// Every key that is to have a second copy gets one.
    fn backups(&mut self) {
        for step in &self.plan.steps {
            let Operation::GenerateKey { backup, .. } = step.operation else { continue };
            let made = self.plan.steps.iter().any(|other| {
                matches!(&other.operation, Operation::Backup { key_of, .. } if *key_of == step.id)
            });
            if made == (backup == BackupWay::None) {
                self.faults.push(Fault::BackupLacks { step: step.id.clone() });
            }
        }
    }

    /// What nothing uses was forgotten, in the steps or in the list.
    fn unused(&mut self) {
        let inputs = self.plan.inputs.iter().map(|input| &input.name);
        for name in inputs.filter(|name| !self.used.contains(name)) {
            self.faults.push(Fault::Unused { what: "input", name: name.clone() });
        }
        let used: BTreeSet<&Word> =
            self.plan.steps.iter().filter_map(|step| step.operation.token()).collect();
        for token in self.plan.tokens.iter().filter(|token| !used.contains(&token.name)) {
            self.faults.push(Fault::Unused { what: "token", name: token.name.clone() });
        }
    }
}
