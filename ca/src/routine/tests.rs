use super::*;

const FILE: &str = r#"
name = "visit-of-tests"
version = 1
title = { sv = "Besök", en = "Visit" }
source = "made for tests"
from = 2024-01-25
ordered-by = ["id-administrator"]
proofing = ["swedish-passport"]
carriers = ["ordinary-card"]
levels = ["loa3"]
identities = ["personnummer"]
minimum-age = 18
receipt = "before-issuing"
receipt-forms = ["electronic"]
approvals = 1
separate = [["order", "approval"], ["order", "holder"]]
[deadlines]
activation = "5 working-days"
claim = "14 days"
unused = "100 days"
name-change = "3 months"
"#;

const DIRECT: &str = r#"
name = "direct-of-tests"
version = 1
title = { sv = "Utan beställning", en = "Without an order" }
source = "made for tests"
from = 2024-01-25
environments = ["test"]
order = "absent"
levels = ["loa3"]
receipt = "none"
"#;

#[test]
fn every_shipped_routine_is_read_and_named_as_its_file() {
    for (path, text) in crate::testing::BOOK {
        if let Some(file) = path.strip_prefix("routines/") {
            let routine = Routine::parse(text.as_bytes()).unwrap();

            assert_eq!(format!("{}.toml", routine.name), file);
        }
    }
}

#[test]
fn reads_what_a_file_says() {
    let routine = Routine::parse(FILE.as_bytes()).unwrap();

    let terms: Vec<_> = routine.terms.iter().map(|term| (term.kind, term.deadline)).collect();
    let expected = [
        (TermKind::Activation, Deadline::WorkingDays(5)),
        (TermKind::Claim, Deadline::Days(14)),
        (TermKind::Unused, Deadline::Days(100)),
        (TermKind::NameChange, Deadline::Months(3)),
    ];
    assert_eq!(terms, expected);
    assert_eq!(routine.separate, [(Duty::Order, Duty::Approval), (Duty::Order, Duty::Holder)]);
    assert!(routine.is_for(Environment::Prod));
    let direct = Routine::parse(DIRECT.as_bytes()).unwrap();
    assert!(direct.is_for(Environment::Test) && !direct.is_for(Environment::Qa));
}

/// ISS-15: the shipped routines for ordinary cards say what their sources say; what is done once a span is over
/// is an act on carriers, or an event that the CA or an administrator can say has happened.
#[test]
fn the_shipped_deadlines_are_those_of_their_sources() {
    for name in ["office-visit", "office-visit-2"] {
        let path = format!("routines/{name}.toml");
        let (_, text) = crate::testing::BOOK.iter().find(|(file, _)| *file == path).unwrap();
        let terms: Vec<String> = Routine::parse(text.as_bytes())
            .unwrap()
            .terms
            .iter()
            .map(|term| format!("{} {} {}", term.kind.name(), term.deadline, term.kind.then()))
            .collect();

        let expected = [
            "activation 5 working-days let-lapse",
            "claim 14 days unclaimed",
            "unused 100 days not-activated",
            "name-change 3 months name-changed",
        ];
        assert_eq!(terms, expected, "{name}");
    }
    let lapse = crate::life::CarrierAct::LetLapse;
    assert_eq!(crate::life::Named::word(lapse).name, TermKind::Activation.then());
}

/// ISS-17: what becomes of an old card is data, for each thing that can have happened to it.
#[test]
fn the_shipped_routines_say_what_becomes_of_what_is_replaced() {
    for name in ["office-visit", "office-visit-2"] {
        let path = format!("routines/{name}.toml");
        let (_, text) = crate::testing::BOOK.iter().find(|(file, _)| *file == path).unwrap();
        let routine = Routine::parse(text.as_bytes()).unwrap();
        let said: Vec<String> = routine
            .replaces
            .iter()
            .map(|one| format!("{} {}", one.event.rule().name, one.at.name()))
            .collect();

        let expected = [
            "damaged delivery",
            "lost order",
            "name-changed activation",
            "pin-disclosed order",
            "replaced activation",
            "stolen order",
            "updated activation",
        ];
        assert_eq!(said, expected, "{name}");
        assert_eq!(routine.most_carriers, Some(1), "{name}");
    }
    let later =
        format!("{FILE}\n[replaces]\nreplaced = {{ at = \"delivery\", after = \"7 days\" }}\n");
    let read = Routine::parse(later.as_bytes()).unwrap().replaces;
    assert_eq!(
        (read[0].event, read[0].at, read[0].after),
        (BusinessEvent::Replaced, StrikesAt::Delivery, Some(Deadline::Days(7)))
    );
    for wrong in [
        "vanished = { at = \"order\" }",
        "mislaid = { at = \"order\" }",
        "deceased = { at = \"order\" }",
        "key-exposed = { at = \"order\" }",
        "lost = { at = \"approval\" }",
        "lost = { at = \"order\", after = \"7 weeks\" }",
        "lost = { at = \"order\", till = \"7 days\" }",
        "lost = \"order\"",
    ] {
        let file = format!("{FILE}\n[replaces]\n{wrong}\n");
        assert!(Routine::parse(file.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn every_mutant_of_a_routine_is_refused() {
    let mutants = [
        (FILE, "visit-of-tests", "Visit"),
        (FILE, "version = 1", "version = 0"),
        (FILE, "\"Besök\"", "\"\""),
        (FILE, "\"Visit\"", "\" \""),
        (FILE, "made for tests", ""),
        (FILE, "from = 2024-01-25", "from = 2024-01-25\nuntil = 2024-01-24"),
        (FILE, "[\"id-administrator\"]", "[]"),
        (FILE, "id-administrator", "somebody"),
        (FILE, "[\"swedish-passport\"]", "[]"),
        (FILE, "[\"ordinary-card\"]", "[]"),
        (FILE, "[\"loa3\"]", "[]"),
        (FILE, "[\"personnummer\"]", "[]"),
        (FILE, "before-issuing", "none"),
        (FILE, "before-issuing", "perhaps"),
        (FILE, "[\"electronic\"]", "[]"),
        (FILE, "approvals = 1", "approvals = 0"),
        (FILE, "[\"order\", \"holder\"]", "[\"order\", \"order\"]"),
        (FILE, "[\"order\", \"holder\"]", "[\"order\", \"pocket\"]"),
        (FILE, "5 working-days", "5 weeks"),
        (FILE, "14 days", "0 days"),
        (FILE, "14 days", "401 days"),
        (FILE, "3 months", "61 months"),
        (FILE, "claim", "claims"),
        (FILE, "minimum-age", "colour = \"red\"\nminimum-age"),
        (FILE, "levels", "order = \"absent\"\nlevels"),
        (FILE, "levels", "most-carriers = 0\nlevels"),
        (DIRECT, "levels", "most-carriers = 1\nlevels"),
        (
            DIRECT,
            "receipt = \"none\"",
            "receipt = \"none\"\n[registers.person]\nagree = [\"surname\"]\nage = \"7d\"",
        ),
        (FILE, "[deadlines]", "[registers.person]\nagree = [\"email\"]\nage = \"7d\"\n[deadlines]"),
        (DIRECT, "[\"test\"]", "[\"test\", \"qa\"]"),
        (DIRECT, "environments = [\"test\"]\n", ""),
        (DIRECT, "levels", "minimum-age = 18\nlevels"),
        (DIRECT, "levels", "approvals = 1\nlevels"),
        (DIRECT, "order = \"absent\"\n", ""),
    ];
    for (file, from, to) in mutants {
        assert!(file.contains(from), "{from}");
        assert!(Routine::parse(file.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn words_of_orders_are_those_of_files() {
    for (role, word) in OrdererRole::ALL {
        assert_eq!(OrdererRole::from_word(word), Some(role));
        let file = FILE.replace("id-administrator", word);
        assert_eq!(Routine::parse(file.as_bytes()).unwrap().ordered_by, [role]);
    }
    for (form, word) in ReceiptForm::ALL {
        assert_eq!(ReceiptForm::from_word(word), Some(form));
        let file = FILE.replace("\"electronic\"", &format!("\"{word}\""));
        assert_eq!(Routine::parse(file.as_bytes()).unwrap().receipt_forms, [form]);
    }
}
