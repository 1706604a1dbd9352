//! The page of one step: who must be there, what is done, what is compared.

use crate::plan::{BackupWay, IssuerUrls, Operation, Plan, Step};

use super::{Item, Language, Page, PageKind};

pub(super) fn page(plan: &Plan, step: &Step, number: usize, count: usize) -> Page {
    let l = plan.language;
    let word = l.pick("Steg", "Step");
    let title = format!("{word} {number}/{count}: {} ({})", headline(&step.operation, l), step.id);
    let mut items = vec![Item::Fact(
        l.pick("I rummet", "In the room").to_owned(),
        step.requires
            .iter()
            .map(|one| format!("{} × {}", one.people, one.role.title(l)))
            .collect::<Vec<_>>()
            .join(", "),
    )];
    if step.operation.is_irreversible() {
        items.push(Item::Text(
            l.pick("Det här steget kan inte göras ogjort.", "This step cannot be undone.")
                .to_owned(),
        ));
    }
    items.extend(facts(plan, &step.operation, l));
    let signatures = l.pick("Signaturer av nyckeln", "Signatures of the key");
    items.push(Item::Fact(signatures.to_owned(), step.signatures.to_string()));
    items.extend(
        comparisons(&step.operation, l).into_iter().map(|text| Item::Tick(text.to_owned())),
    );
    items.push(Item::Write(
        l.pick("Vittnets tid och signum", "Time and mark of the witness").to_owned(),
    ));
    Page { kind: PageKind::Step, title, items }
}

const fn headline(operation: &Operation, l: Language) -> &'static str {
    let (swedish, english) = match operation {
        Operation::Declare { .. } => ("Intyga", "Declare"),
        Operation::PrepareToken { .. } => ("Initiera HSM", "Prepare token"),
        Operation::GenerateKey { .. } => ("Skapa nyckel", "Generate key"),
        Operation::Backup { .. } => ("Säkerhetskopiera nyckel", "Back up key"),
        Operation::Certificate { .. } => ("Signera certifikat", "Sign certificate"),
        Operation::Request { .. } => ("Skapa certifikatbegäran", "Make certification request"),
        Operation::Crl { .. } => ("Signera CRL", "Sign CRL"),
        Operation::Delegate { .. } => ("Signera OCSP-delegat", "Sign OCSP delegate"),
        Operation::Enrol { .. } => ("Skriv in svarare", "Enrol responder"),
        Operation::Destroy { .. } => ("Förstör nyckel", "Destroy key"),
    };
    match l {
        Language::Swedish => swedish,
        Language::English => english,
    }
}

/// What the plan says of the step.
fn facts(plan: &Plan, operation: &Operation, l: Language) -> Vec<Item> {
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(token) = operation.token() {
        let label = plan.token(token).map_or(token.as_str(), |token| token.label.as_str());
        rows.push((l.pick("HSM", "Token"), label.to_owned()));
    }
    match operation {
        Operation::Declare { by, text } => {
            rows.push((l.pick("Vem", "Who"), by.title(l).to_owned()));
            rows.push((l.pick("Intygar", "Declares"), text.to_string()));
        }
        Operation::PrepareToken { .. } => {}
        Operation::GenerateKey { key, backup, attributes, .. } => {
            rows.push((l.pick("Nyckeltyp", "Type of key"), key.to_string()));
            let backup = match backup {
                BackupWay::Device => l.pick("enhetens egen väg", "the device's own way"),
                BackupWay::Wrapped => {
                    l.pick("inslagen till en andra HSM", "wrapped to a second token")
                }
                BackupWay::None => l.pick("ingen (testmiljö)", "none (environment test)"),
            };
            rows.push((l.pick("Säkerhetskopia", "Backup"), backup.to_owned()));
            let said = |(name, value): (&str, bool)| format!("{name} = {value}");
            let attributes: Vec<String> = attributes.rows().into_iter().map(said).collect();
            rows.push((l.pick("Attribut", "Attributes"), attributes.join(", ")));
        }
        Operation::Backup { key_of, .. } => {
            rows.push((l.pick("Nyckel från steg", "Key of step"), key_of.to_string()));
        }
        Operation::Certificate {
            key_of,
            issuer,
            profile,
            algorithm,
            common_name,
            organization,
            not_after,
            like,
            urls,
            out,
            ..
        } => {
            rows.push((l.pick("Ämne", "Subject"), format!("O={organization}, CN={common_name}")));
            rows.push((l.pick("Nyckel ur", "Key of"), key_of.to_string()));
            rows.push((l.pick("Utfärdare", "Issuer"), issuer.to_string()));
            rows.push((l.pick("Profil", "Profile"), file(plan, profile)));
            rows.push((
                l.pick("Signaturalgoritm", "Signature algorithm"),
                algorithm.name().to_owned(),
            ));
            rows.push((l.pick("Giltigt till och med", "Valid until"), not_after.to_string()));
            if let Some(like) = like {
                rows.push((l.pick("Lika som", "Like"), file(plan, like)));
            }
            rows.extend(urls.iter().flat_map(|urls| published(urls, l)));
            rows.push((l.pick("Fil", "File"), out.to_string()));
        }
        Operation::Request { key_of, common_name, out } => {
            rows.push((l.pick("Nyckel från steg", "Key of step"), key_of.to_string()));
            rows.push((l.pick("Ämne", "Subject"), format!("CN={common_name}")));
            rows.push((l.pick("Fil", "File"), out.to_string()));
        }
        Operation::Crl {
            issuer,
            algorithm,
            previous,
            number,
            lifetime,
            series,
            revoke,
            overdue_since,
            out,
            ..
        } => {
            rows.push((l.pick("Utfärdare", "Issuer"), issuer.to_string()));
            let first = l.pick("ingen: den första", "none: the first one").to_owned();
            let previous = previous.as_ref().map_or(first, |previous| file(plan, previous));
            rows.push((l.pick("Föregående CRL", "Previous CRL"), previous));
            let number = format!("{} {}, +{}", l.pick("över", "above"), number.floor, number.gap);
            rows.push((l.pick("Nummer", "Number"), number));
            let days = lifetime.as_secs() / 86_400;
            rows.push((l.pick("Gäller (dygn)", "Lasts (days)"), days.to_string()));
            for (one, out) in series.iter().zip(operation.outs()) {
                let said = format!(
                    "{} {}: {} {} {}",
                    out,
                    one.number,
                    one.this_update,
                    l.pick("till", "to"),
                    one.next_update
                );
                rows.push((l.pick("I förväg", "Ahead"), said));
            }
            rows.push((
                l.pick("Signaturalgoritm", "Signature algorithm"),
                algorithm.name().to_owned(),
            ));
            if let Some(since) = overdue_since {
                let said = l.pick("Ingen CRL gällde sedan", "No CRL was in force since");
                rows.push((said, since.to_string()));
            }
            for one in revoke {
                let said = format!("{} ({}, {})", one.serial, one.reason, one.date);
                rows.push((l.pick("Spärras", "Revoked"), said));
            }
            rows.push((l.pick("Fil", "File"), out.to_string()));
        }
        Operation::Delegate {
            request,
            issuer,
            profile,
            crl,
            common_name,
            organization,
            urls,
            out,
            ..
        } => {
            rows.push((l.pick("Begäran", "Request"), file(plan, request)));
            rows.push((l.pick("Ämne", "Subject"), format!("O={organization}, CN={common_name}")));
            rows.push((l.pick("Utfärdare", "Issuer"), issuer.to_string()));
            rows.push((l.pick("Profil", "Profile"), file(plan, profile)));
            let until = l.pick("30 dygn efter CRL:en i steg", "30 days after the CRL of step");
            rows.push((l.pick("Giltig till", "Valid until"), format!("{until} {crl}")));
            rows.extend(published(urls, l));
            rows.push((l.pick("Fil", "File"), out.to_string()));
        }
        Operation::Enrol { key_of, responder, out } => {
            rows.push((l.pick("Svarare", "Responder"), responder.to_string()));
            rows.push((l.pick("Nyckel från steg", "Key of step"), key_of.to_string()));
            rows.push((l.pick("Fil", "File"), out.to_string()));
        }
        Operation::Destroy { key, certificate, final_crl, legal_basis, copies, .. } => {
            rows.push((l.pick("Nyckel (SHA-256)", "Key (SHA-256)"), key.groups()));
            for (name, input) in [
                (l.pick("CA-certifikat", "CA certificate"), certificate),
                (l.pick("Sista CRL", "Last CRL"), final_crl),
            ] {
                rows.extend(input.iter().map(|input| (name, file(plan, input))));
            }
            rows.push((l.pick("Grund", "Legal basis"), legal_basis.to_string()));
            for copy in copies {
                rows.push((l.pick("Annan kopia", "Other copy"), copy.to_string()));
            }
        }
    }
    rows.into_iter().map(|(name, value)| Item::Fact(name.to_owned(), value)).collect()
}

/// Where an issuer publishes.
fn published(urls: &IssuerUrls, l: Language) -> [(&'static str, String); 3] {
    let aia = l.pick("Utfärdarens certifikat", "Issuer's certificate");
    [("CRL", urls.crl.to_string()), ("OCSP", urls.ocsp.to_string()), (aia, urls.aia.to_string())]
}

/// The file of an input.
fn file(plan: &Plan, name: &crate::plan::Word) -> String {
    plan.input(name).map_or_else(|| name.to_string(), |input| input.file.to_string())
}

/// What people tick.
fn comparisons(operation: &Operation, l: Language) -> Vec<&'static str> {
    let signed = [
        l.pick(
            "Granskningen hittade inget fel innan nyckeln rördes.",
            "The linter found no fault before the key was touched.",
        ),
        l.pick(
            "Den visade texten är läst och stämmer med planen.",
            "The text that is shown was read and agrees with the plan.",
        ),
        l.pick(
            "Hashen av det som signeras är läst tillbaka i blindo.",
            "The hash of what is signed was read back blindly.",
        ),
        l.pick("Två bibliotek godtog signaturen.", "Two libraries accepted the signature."),
    ];
    match operation {
        Operation::Declare { .. } => {
            vec![l.pick("Intyget är uppläst och givet.", "The declaration was read aloud and given.")]
        }
        Operation::PrepareToken { .. } => vec![
            l.pick("HSM:en var tom.", "The token was empty."),
            l.pick(
                "Varje delinnehavare har ensam tagit sin del, läst tillbaka den och lagt den i en plomberad påse.",
                "Each custodian has taken his share alone, read it back and put it into a sealed bag.",
            ),
            l.pick("Ingen har sett en annans del.", "Nobody has seen another's share."),
        ],
        Operation::GenerateKey { .. } => vec![
            l.pick("Attributen som lästes tillbaka är planens.", "The attributes that were read back are the plan's."),
            l.pick("Nyckeln signerade provet.", "The key signed the challenge."),
            l.pick(
                "Den publika nyckelns hash är läst tillbaka i blindo.",
                "The hash of the public key was read back blindly.",
            ),
        ],
        Operation::Backup { .. } => vec![
            l.pick("Kopian har samma publika nyckel.", "The copy has the same public key."),
            l.pick("Det finns ingen tredje kopia.", "There is no third copy."),
        ],
        Operation::Certificate { .. } | Operation::Delegate { .. } => signed.to_vec(),
        Operation::Crl { .. } => {
            let mut all = signed.to_vec();
            all.insert(
                0,
                l.pick(
                    "Numret är högre än alla tidigare, och inget spärrat saknas.",
                    "The number is above all earlier ones, and nothing revoked is missing.",
                ),
            );
            all
        }
        Operation::Request { .. } => vec![l.pick(
            "Begärans signatur verifierades med den nya nyckeln.",
            "The signature of the request verified with the new key.",
        )],
        Operation::Enrol { .. } => {
            vec![l.pick("Den publika nyckelns hash är läst tillbaka i blindo.", "The hash of the public key was read back blindly.")]
        }
        Operation::Destroy { .. } => vec![
            l.pick("Nyckelns hash är läst tillbaka i blindo.", "The hash of the key was read back blindly."),
            l.pick("Nyckeln hittas inte längre i HSM:en.", "The key is not found in the token any more."),
            l.pick("Ett försök att signera misslyckades.", "An attempt to sign failed."),
        ],
    }
}
