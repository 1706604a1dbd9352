//! What each role answers for, during a ceremony and after it, as the procedure has it.

use ceremony_core::plan::Role;
use ceremony_core::script::Language;

/// During it, and after it.
pub(super) const fn of(role: Role, language: Language) -> [&'static str; 2] {
    let [swedish, english] = match role {
        Role::Administrator => [
            [
                "Läser manuset, för ordet och ser till att varje steg görs i ordning. Rör inget hemligt.",
                "Packar ceremonin, lämnar paketet till revisorn och bevarar det så länge som CPS kräver.",
            ],
            [
                "Reads the script, leads, and sees that every step is done in order. Handles nothing secret.",
                "Packs the ceremony, hands the bundle to the auditor and keeps it as long as the CPS demands.",
            ],
        ],
        Role::Custodian => [
            [
                "Ansvarar för sin egen del av användar-PIN: ingen annan ser eller använder den.",
                "Förvarar sin del återplomberad på sin plats och anmäler förlust eller bruten plombering.",
            ],
            [
                "Answers for the own share of the user PIN: nobody else sees or uses it.",
                "Keeps the share sealed again at its site, and reports its loss or a broken seal.",
            ],
        ],
        Role::SoCustodian => [
            [
                "Ansvarar för sin egen del av SO-PIN: ingen annan ser eller använder den.",
                "Förvarar sin del återplomberad på sin plats och anmäler förlust eller bruten plombering.",
            ],
            [
                "Answers for the own share of the SO PIN: nobody else sees or uses it.",
                "Keeps the share sealed again at its site, and reports its loss or a broken seal.",
            ],
        ],
        Role::Operator => [
            [
                "Sköter tangentbord och HSM:er och säger vad skärm och HSM visar.",
                "Lämnar HSM:erna utloggade, avstängda och inlåsta.",
            ],
            [
                "Has keyboard and tokens, and says what screen and tokens show.",
                "Leaves the tokens logged out, switched off and locked away.",
            ],
        ],
        Role::Witness => [
            [
                "Jämför papper och skärm steg för steg och läser tillbaka hashar.",
                "Bevarar sina anteckningar: planens hash och protokollets sista ord.",
            ],
            [
                "Compares paper and screen step by step and reads hashes back.",
                "Keeps the own notes: the hash of the plan and the last words of the transcript.",
            ],
        ],
        Role::Auditor => [
            [
                "Ser hela ceremonin, oberoende av alla andra som deltar.",
                "Kontrollerar paketet mot sina egna anteckningar och undertecknar rapporten.",
            ],
            [
                "Sees the whole ceremony, independent of everybody else who takes part.",
                "Verifies the bundle against the own notes, and signs the report.",
            ],
        ],
        Role::SafeController => [
            [
                "Öppnar och stänger sitt kassaskåp och läser upp plombnummer.",
                "Ansvarar för att inget tas ur skåpet utan ny ceremoni.",
            ],
            [
                "Opens and closes the own safe, and reads out the numbers of seals.",
                "Answers for nothing being taken out of the safe without another ceremony.",
            ],
        ],
        Role::SecurityOfficer => [
            [
                "Äger förfarandet och avgör vad en avvikelse betyder.",
                "Undertecknar rapporten: ceremonin följde förfarandet.",
            ],
            [
                "Owns the procedure, and decides what an exception means.",
                "Signs the report: the ceremony followed the procedure.",
            ],
        ],
        Role::Approver => [
            [
                "Före dagen: läser planen, jämför dess hash och undertecknar den.",
                "Bevarar planens hash, som paketet kontrolleras mot.",
            ],
            [
                "Before the day: reads the plan, compares its hash and signs it.",
                "Keeps the hash of the plan, against which the bundle is verified.",
            ],
        ],
    };
    match language {
        Language::Swedish => swedish,
        Language::English => english,
    }
}
