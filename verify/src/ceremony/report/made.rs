//! Keys, tokens, how keys were made, and what they signed.

use ceremony_core::plan::{BackupWay, Content, Operation, Pins, Step};
use ceremony_core::script::Language;
use ceremony_core::transcript::{Kind, Record, Whole};
use x509::key::KeyType;

use super::html::Document;
use super::{Report, times};
use crate::ceremony::artefacts::Field;
use crate::ceremony::judge::Held;
use crate::ceremony::tokens::{Seen, seen};

impl Report<'_> {
    pub(super) fn keys(self, document: &mut Document) {
        document.section(self.pick("Nycklar", "Keys"));
        let Held { plan, made, whole, .. } = self.held;
        if made.keys.is_empty() {
            document.paragraph(self.pick(
                "Ingen nyckel skapades vid denna ceremoni.",
                "No key was made at this ceremony.",
            ));
        }
        for key in &made.keys {
            let step = plan.steps.iter().find(|step| step.id.as_str() == key.step);
            let Some(Step {
                operation: Operation::GenerateKey { key: of, backup, attributes, .. },
                ..
            }) = step
            else {
                continue;
            };
            let rows = attributes.rows();
            let attributes = rows.map(|(name, value)| format!("{name}={value}")).join(", ");
            let made = if key.adopted {
                self.pick(
                    "vid denna ceremoni; en senare körning fann den och berättade om den",
                    "at this ceremony; a later run found it and told of it",
                )
            } else {
                self.pick(
                    "vid denna ceremoni, inte i förväg",
                    "at this ceremony, not pre-generated",
                )
            };
            document.facts(&[
                (self.pick("Steg", "Step"), key.step.clone()),
                (
                    self.pick("Unik identitet (nyckel-id)", "Unique identity (key id)"),
                    key.cka_id.clone(),
                ),
                (self.pick("Algoritm och storlek", "Algorithm and size"), algorithm(*of)),
                (
                    self.pick("SHA-256 av den publika nyckeln", "SHA-256 of the public key"),
                    format!("{} (SubjectPublicKeyInfo)", key.spki_sha256),
                ),
                (self.pick("HSM", "HSM"), key.token.clone()),
                (
                    self.pick("Skapad (UTC)", "Made (UTC)"),
                    told_at(whole, &key.step, &key.spki_sha256).unwrap_or_default(),
                ),
                (self.pick("Hur", "How"), made.to_owned()),
                (
                    self.pick(
                        "Andra kopian, enligt planen; inte sedd av något program",
                        "Second copy, by the plan; not seen by any program",
                    ),
                    self.backup(*backup).to_owned(),
                ),
                (
                    self.pick(
                        "Attribut, lästa tillbaka som planerade",
                        "Attributes, read back as planned",
                    ),
                    attributes,
                ),
            ]);
        }
        self.destroyed(document);
    }

    /// What ended, and what people say of all other copies.
    fn destroyed(self, document: &mut Document) {
        let Held { plan, made, whole, .. } = self.held;
        if made.destroyed.is_empty() {
            return;
        }
        document.paragraph(self.pick(
            "Dessa nycklar förstördes vid denna ceremoni:",
            "These keys were destroyed at this ceremony:",
        ));
        for key in &made.destroyed {
            let step = plan.steps.iter().find(|step| step.id.as_str() == key.step);
            let Some(Step {
                operation: Operation::Destroy { legal_basis, copies, final_crl, .. },
                ..
            }) = step
            else {
                continue;
            };
            let mut facts = vec![
                (self.pick("Steg", "Step"), key.step.clone()),
                (
                    self.pick("SHA-256 av den publika nyckeln", "SHA-256 of the public key"),
                    format!("{} (SubjectPublicKeyInfo)", key.spki_sha256),
                ),
                (self.pick("HSM", "HSM"), key.token.clone()),
                (
                    self.pick("Förstörd (UTC)", "Destroyed (UTC)"),
                    told_at(whole, &key.step, &key.spki_sha256).unwrap_or_default(),
                ),
                (
                    self.pick("Hur", "How"),
                    self.pick(
                        "HSM:en initierades på nytt; därefter fanns inget objekt i den, och nyckeln signerade inte",
                        "the token was initialised anew; afterwards it held no object, and the key did not sign",
                    )
                    .to_owned(),
                ),
                (
                    self.pick("Grund, enligt planen", "Legal basis, by the plan"),
                    legal_basis.to_string(),
                ),
                (
                    self.pick("Sista CRL", "Last CRL"),
                    final_crl.as_ref().and_then(|name| plan.input(name)).map_or_else(
                        || {
                            self.pick(
                                "ingen är given: enligt planen är nyckeln inte en CA:s",
                                "none is given: by the plan the key is no CA's",
                            )
                            .to_owned()
                        },
                        |input| format!("{}, SHA-256 {}", input.file, input.sha256),
                    ),
                ),
            ];
            let word = self.pick(
                "Annan kopia, som människor intygar; inte sedd av något program",
                "Other copy, as people state; not seen by any program",
            );
            facts.extend(copies.iter().map(|copy| (word, copy.to_string())));
            document.facts(&facts);
        }
    }

    fn backup(self, way: BackupWay) -> &'static str {
        match (way, self.language) {
            (BackupWay::Device, Language::Swedish) => "med HSM-tillverkarens egna medel",
            (BackupWay::Device, Language::English) => "by the means of the device's maker",
            (BackupWay::Wrapped, Language::Swedish) => "krypterad till en andra HSM",
            (BackupWay::Wrapped, Language::English) => "wrapped to a second token",
            (BackupWay::None, Language::Swedish) => "ingen",
            (BackupWay::None, Language::English) => "none",
        }
    }

    pub(super) fn tokens(self, document: &mut Document) {
        document.section(self.pick("HSM:er", "Hardware security modules"));
        let Held { plan, whole, .. } = self.held;
        for token in &plan.tokens {
            let expect = match token.expect {
                Content::Blank => self.pick("inte initierad", "not initialised").to_owned(),
                Content::Empty => self.pick("tom", "empty").to_owned(),
                Content::Inventory(hash) => {
                    format!("{} {hash}", self.pick("inventeringen", "the inventory"))
                }
            };
            let pins = match token.pins {
                Pins::Device => self.pick("HSM:ens eget kvorum", "the device's own quorum"),
                Pins::Shares => self.pick("delar hos delinnehavarna", "shares with the custodians"),
            };
            let mut facts =
                vec![(self.pick("Namn i planen", "Name in the plan"), token.name.to_string())];
            let of = seen(plan, &whole.records, token).next();
            if let Some(Seen { name, .. }) = of {
                let word = self.pick("Unik identitet, som sedd", "Unique identity, as seen");
                facts.push((word, name.to_owned()));
            }
            let serial = token.serial.as_ref().map(|serial| format!(" (serial {serial})"));
            facts.push((
                self.pick("Unik identitet, enligt planen", "Unique identity, by the plan"),
                format!("{}{}", token.label, serial.unwrap_or_default()),
            ));
            facts.extend([
                (self.pick("Modell, enligt planen", "Model, by the plan"), token.model.to_string()),
                (
                    self.pick("Fast programvara, enligt planen", "Firmware, by the plan"),
                    token.firmware.to_string(),
                ),
                (
                    self.pick(
                        "PKCS#11-modul, SHA-256, enligt planen",
                        "PKCS#11 module, SHA-256, by the plan",
                    ),
                    token.module_sha256.to_string(),
                ),
                (self.pick("Innehåll före, enligt planen", "Content before, by the plan"), expect),
            ]);
            if let Some(content) = of.and_then(|seen| seen.content) {
                let word =
                    self.pick("Innehåll före, SHA-256 som sett", "Content before, SHA-256 as seen");
                facts.push((word, content.to_owned()));
            }
            facts.push((
                self.pick(
                    "PIN, enligt planen; inte sett av något program",
                    "PIN, by the plan; not seen by any program",
                ),
                pins.to_owned(),
            ));
            document.facts(&facts);
        }
    }

    pub(super) fn generation(self, document: &mut Document) {
        document.section(self.pick(
            "Hur nycklar skapades: algoritm och inställningar",
            "How keys were made: algorithm and settings",
        ));
        let steps = &self.held.plan.steps;
        let rows: Vec<_> = steps
            .iter()
            .filter_map(|step| match &step.operation {
                Operation::GenerateKey { key, .. } => Some((step, *key)),
                _ => None,
            })
            .map(|(step, key)| {
                let (mechanism, parameters) = generation(key);
                vec![
                    step.id.to_string(),
                    mechanism.to_owned(),
                    parameters,
                    self.pick(
                        "i HSM:en, med dess egen slumptalsgenerator",
                        "in the token, by its own random generator",
                    )
                    .to_owned(),
                ]
            })
            .collect();
        if rows.is_empty() {
            document.paragraph(self.pick(
                "Ingen nyckel skapades vid denna ceremoni.",
                "No key was made at this ceremony.",
            ));
        }
        let heads = [
            self.pick("Steg", "Step"),
            self.pick("Algoritm", "Algorithm"),
            self.pick("Parametrar", "Parameters"),
            self.pick("Läge och slumptal", "Mode and randomness"),
        ];
        document.table(&heads, &rows);
        document.paragraph(self.pick(
            "Serienummer kommer från ceremonidatorns operativsystem. HSM:ens slumptalsgenerator ses inte av programmet; om den är certifierad säger dess certifikat.",
            "Serial numbers come from the operating system of the ceremony's machine. The program does not see the token's generator; whether it is certified, its certificate says.",
        ));
    }

    pub(super) fn made(self, document: &mut Document) {
        document.section(self.pick("Vad som signerades", "What was signed"));
        for one in &self.held.artefacts {
            let mut facts = vec![
                (self.pick("Fil", "File"), one.file.clone()),
                (self.pick("Steg", "Step"), one.step.clone()),
                ("SHA-256", one.sha256.clone()),
                (
                    self.pick("Signerad med nyckel", "Signed with key"),
                    format!("{} ({})", one.key, one.algorithm),
                ),
            ];
            facts.extend(one.says.iter().map(|(field, said)| (self.field(*field), said.clone())));
            document.facts(&facts);
        }
    }

    fn field(self, field: Field) -> &'static str {
        self.language.pick(
            match field {
                Field::Kind => "Slag",
                Field::Subject => "Subjekt",
                Field::Issuer => "Utfärdare",
                Field::Serial => "Serienummer (hex)",
                Field::NotBefore => "Giltig från",
                Field::NotAfter => "Giltig till",
                Field::Key => "Publik nyckel",
                Field::Number => "CRL-nummer (hex)",
                Field::ThisUpdate => "Utgiven",
                Field::NextUpdate => "Nästa senast",
                Field::Entries => "Spärrade certifikat",
            },
            match field {
                Field::Kind => "Kind",
                Field::Subject => "Subject",
                Field::Issuer => "Issuer",
                Field::Serial => "Serial number (hex)",
                Field::NotBefore => "Valid from",
                Field::NotAfter => "Valid to",
                Field::Key => "Public key",
                Field::Number => "CRL number (hex)",
                Field::ThisUpdate => "This update",
                Field::NextUpdate => "Next update",
                Field::Entries => "Revoked certificates",
            },
        )
    }

    pub(super) fn rehearsal(self, document: &mut Document) {
        document
            .section(self.pick("Skillnader mot repetitionen", "Differences from the rehearsal"));
        let Held { whole, rehearsal, shape, approvals, .. } = self.held;
        document.paragraph(self.pick(
            "Repetition och ceremoni har samma form: samma steg, kontroller, signaturer och värden som planen ger, i samma ordning. Annorlunda är detta:",
            "Rehearsal and ceremony have one shape: the same steps, checks, signatures and values that the plan gives, in the same order. What differs:",
        ));
        let of = |whole: &Whole| {
            let [from, to] = times(whole);
            let tokens = whole.records.iter().filter(|record| record.kind == Kind::Intent);
            let mut tokens: Vec<&str> = tokens.filter_map(|record| record.text("token")).collect();
            tokens.dedup();
            [format!("{from} – {to}"), tokens.join(", "), whole.records.len().to_string()]
        };
        let names = [
            self.pick("Tid (UTC)", "Time (UTC)"),
            self.pick("HSM", "HSM"),
            self.pick("Rader i protokollet", "Lines of the transcript"),
        ];
        let mut rows: Vec<Vec<String>> = names
            .into_iter()
            .zip(of(rehearsal))
            .zip(of(whole))
            .map(|((name, before), on_the_day)| vec![name.to_owned(), before, on_the_day])
            .collect();
        rows.push(vec![
            self.pick("Människors nycklar", "People's keys").to_owned(),
            self.pick(
                "enligt förfarandet sådana som kastas; inte sett av något program",
                "by the procedure such as are thrown away; not seen by any program",
            )
            .to_owned(),
            self.pick("deras egna, ur planen", "their own, of the plan").to_owned(),
        ]);
        document.table(
            &["", self.pick("Repetition", "Rehearsal"), self.pick("Ceremoni", "Ceremony")],
            &rows,
        );
        document.facts(&[(self.pick("Formens hash", "Hash of the shape"), shape.to_string())]);
        let rows: Vec<_> = approvals
            .iter()
            .map(|one| vec![self.person(&one.person), one.time.clone(), one.key.to_string()])
            .collect();
        let heads = [
            self.pick("Plan och form godkända av", "Plan and shape approved by"),
            self.pick("Tid (UTC)", "Time (UTC)"),
            self.pick("med nyckel (SHA-256)", "with key (SHA-256)"),
        ];
        document.table(&heads, &rows);
        document.paragraph(self.pick(
            "Att repetitionen ägde rum visar ingen fil: de som godkände formen svarar för den.",
            "No file shows that the rehearsal took place: those who approved its shape answer for it.",
        ));
    }
}

/// Algorithm and size, for people.
fn algorithm(key: KeyType) -> String {
    match key {
        KeyType::EcP256 => "ECDSA, P-256, 256 bit".to_owned(),
        KeyType::EcP384 => "ECDSA, P-384, 384 bit".to_owned(),
        KeyType::Ed25519 => "Ed25519, 256 bit".to_owned(),
        KeyType::Rsa { bits } => format!("RSA, {bits} bit"),
    }
}

/// The mechanism by which a token makes such a key, and its parameters.
fn generation(key: KeyType) -> (&'static str, String) {
    match key {
        KeyType::EcP256 => (
            "PKCS #11, EC key pair generation",
            "P-256 (secp256r1, 1.2.840.10045.3.1.7)".to_owned(),
        ),
        KeyType::EcP384 => {
            ("PKCS #11, EC key pair generation", "P-384 (secp384r1, 1.3.132.0.34)".to_owned())
        }
        KeyType::Ed25519 => {
            ("PKCS #11, EC Edwards key pair generation", "Ed25519 (1.3.101.112)".to_owned())
        }
        KeyType::Rsa { bits } => {
            ("PKCS #11, RSA PKCS #1 key pair generation", format!("{bits} bit, e = 65537"))
        }
    }
}

/// When the key was told of, in the step that made or destroyed it.
fn told_at(whole: &Whole, step: &str, spki_sha256: &str) -> Option<String> {
    let is_it = |record: &&Record| {
        record.kind == Kind::Result
            && record.step == step
            && record.text("spki_sha256") == Some(spki_sha256)
    };
    whole.records.iter().find(is_it).map(|record| record.time.to_string())
}
