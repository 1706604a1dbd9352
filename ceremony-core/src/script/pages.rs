//! The pages around the steps: what is checked before the first one, and what is done after the last.

use crate::plan::{Audit, Content, InputContent, Pins, Plan, Role, Zone};
use crate::refusal::Refusal;

use super::{Item, Language, Page, PageKind};

pub(super) fn before(plan: &Plan) -> Vec<Page> {
    let mut pages = vec![cover(plan), people(plan), room(plan), clock(plan)];
    pages.push(tokens(plan));
    if !plan.inputs.is_empty() {
        pages.push(inputs(plan));
    }
    pages.push(presence(plan));
    pages
}

pub(super) fn after(plan: &Plan) -> Vec<Page> {
    vec![outputs(plan), closing(plan), signatures(plan), refusals(plan.language)]
}

fn frame(title: &str, items: Vec<Item>) -> Page {
    Page { kind: PageKind::Frame, title: title.to_owned(), items }
}

fn fact(name: &str, value: impl ToString) -> Item {
    Item::Fact(name.to_owned(), value.to_string())
}

fn text(text: &str) -> Item {
    Item::Text(text.to_owned())
}

fn tick(text: &str) -> Item {
    Item::Tick(text.to_owned())
}

fn write(text: &str) -> Item {
    Item::Write(text.to_owned())
}

fn heading(text: &str) -> Item {
    Item::Heading(text.to_owned())
}

fn cover(plan: &Plan) -> Page {
    let l = plan.language;
    let auditor = match plan.auditor {
        Audit::Present => l.pick("i rummet", "in the room"),
        Audit::Recording => {
            l.pick("granskar inspelningen i efterhand", "reviews the recording afterwards")
        }
        Audit::None => l.pick("deltar inte", "takes no part"),
    };
    let items = vec![
        fact(l.pick("Ceremoni", "Ceremony"), format!("{} {}", plan.kind.code(), plan.kind.title(l))),
        fact(l.pick("Plan", "Plan"), &plan.id),
        fact(l.pick("Driftsättning", "Deployment"), plan.deployment),
        fact(
            l.pick("Tidsfönster (UTC)", "Window (UTC)"),
            format!("{} – {}", plan.window.not_before, plan.window.not_after),
        ),
        fact(l.pick("Utfärdardeklaration", "Practice statement"), &plan.cps_section),
        fact(l.pick("Extern revisor", "External auditor"), auditor),
        fact(l.pick("Antal steg", "Number of steps"), plan.steps.len()),
        heading(l.pick("Planens SHA-256", "SHA-256 of the plan")),
        Item::Mono(plan.hash.lines_of_groups()),
        Item::Mono(plan.hash.lines_of_words()),
        text(l.pick(
            "Detta manus är framställt ur planen. Stämmer ett ord ovan inte med papperet från den andra maskinen hålls ingen ceremoni.",
            "This script was made from the plan. If a word above differs from the paper of the second machine no ceremony is held.",
        )),
        tick(l.pick(
            "Vittnet har läst orden högt ur ett papper som skrivits ut från en annan maskin, och alla har bockat av dem.",
            "The witness has read the words aloud from a paper that was printed from another machine, and all have ticked them off.",
        )),
    ];
    frame(plan.title.as_str(), items)
}

fn people(plan: &Plan) -> Page {
    let l = plan.language;
    let mut items = vec![text(l.pick(
        "Två personer jämför varje deltagares legitimation med listan och antecknar dess typ och de fyra sista tecknen här. Anteckningen stannar på papper.",
        "Two people compare each participant's identity document with the list and note its type and last four characters here. The note stays on paper.",
    ))];
    for person in &plan.people.persons {
        let duties = plan.people.duties.iter().filter(|duty| duty.person == person.id);
        let duties: Vec<String> = duties
            .map(|duty| {
                let title = duty.role.title(l);
                match (&duty.share, &duty.deputy_for) {
                    (Some(share), _) => format!("{title} {share}"),
                    (None, Some(first)) => {
                        format!("{title} ({} {first})", l.pick("ersättare för", "deputy for"))
                    }
                    (None, None) => title.to_owned(),
                }
            })
            .collect();
        items.push(heading(person.name.as_str()));
        items.push(fact(l.pick("Roller", "Roles"), duties.join(", ")));
        items.push(fact(
            l.pick("Arbetsgivare", "Employer"),
            format!("{}, {}", person.employer, person.unit),
        ));
        let keys: Vec<String> = person.keys.iter().map(|key| key.groups()).collect();
        items.push(fact(l.pick("Nyckel (SHA-256)", "Key (SHA-256)"), keys.join("; ")));
        items.push(write(
            l.pick("Legitimation, fyra sista tecken", "Document, last four characters"),
        ));
    }
    frame(l.pick("Deltagare", "Participants"), items)
}

fn room(plan: &Plan) -> Page {
    let l = plan.language;
    let mut items = vec![
        tick(l.pick(
            "Rummet är tomt på andra än deltagarna; dörren är stängd; telefoner och klockor med radio är utanför.",
            "Nobody but the participants is in the room; the door is shut; telephones and watches with a radio are outside.",
        )),
        tick(l.pick("Inspelningen går och visar skärm och bord.", "The recording runs and shows screen and table.")),
        tick(l.pick(
            "Plomberna på medier och enheter är hela; numren är antecknade.",
            "The seals of media and devices are whole; their numbers are noted.",
        )),
        write(l.pick("Plombnummer", "Seal numbers")),
        fact(l.pick("Program", "Program"), format!("sigill-ceremony {}", plan.program.version)),
        fact(l.pick("Programmets SHA-256", "SHA-256 of the program"), plan.program.sha256.groups()),
        fact(l.pick("Avbildning", "Image"), &plan.image.build),
        fact(l.pick("Avbildningens SHA-256", "SHA-256 of the image"), plan.image.sha256.groups()),
        tick(l.pick(
            "Avbildningens hash har räknats ut på en annan maskin och är densamma.",
            "The hash of the image was computed on a second machine and is the same.",
        )),
    ];
    if plan.kind.zone() == Zone::Offline {
        items.push(tick(l.pick(
            "Maskinen har inget nätverk: ingen kabel sitter i och radion är urtagen.",
            "The machine has no network: no cable is plugged in and the radio is taken out.",
        )));
    }
    items.push(tick(l.pick(
        "Två tomma medier på skilda enheter ligger framme för protokollet.",
        "Two empty media on different devices are at hand for the transcript.",
    )));
    frame(l.pick("Rum, maskin och medier", "Room, machine and media"), items)
}

fn clock(plan: &Plan) -> Page {
    let l = plan.language;
    frame(
        l.pick("Klocka", "Clock"),
        vec![
            text(l.pick(
                "Vittnet och operatören läser var sin oberoende klocka och skriver tiden i UTC. Mer än 60 sekunders skillnad stoppar ceremonin.",
                "Witness and operator each read an independent clock and write the time in UTC. More than 60 seconds of difference stop the ceremony.",
            )),
            write(l.pick("Vittnets tid", "Time of the witness")),
            write(l.pick("Operatörens tid", "Time of the operator")),
            tick(l.pick("Programmet godtog båda tiderna.", "The program accepted both times.")),
        ],
    )
}

fn tokens(plan: &Plan) -> Page {
    let l = plan.language;
    let mut items = Vec::new();
    for token in &plan.tokens {
        let serial = token
            .serial
            .as_ref()
            .map_or(l.pick("ges i ceremonin", "given in the ceremony"), |serial| serial.as_str());
        let content = match token.expect {
            Content::Blank => l.pick("oinitierad", "not initialised").to_owned(),
            Content::Empty => l.pick("tom", "empty").to_owned(),
            Content::Inventory(hash) => format!("SHA-256 {}", hash.groups()),
        };
        let pins = match token.pins {
            Pins::Device => l.pick("enhetens egna kort", "the device's own cards"),
            Pins::Shares => l.pick("delar hos delinnehavarna", "shares of the custodians"),
        };
        items.push(heading(token.label.as_str()));
        items.push(fact(l.pick("Serienummer", "Serial number"), serial));
        items.push(fact(
            l.pick("Modell, fast programvara", "Model, firmware"),
            format!("{}, {}", token.model, token.firmware),
        ));
        items.push(fact(l.pick("Förväntat innehåll", "Expected content"), content));
        items.push(fact(l.pick("PIN", "PIN"), pins));
        items.push(fact(
            l.pick("Modulens SHA-256", "SHA-256 of the module"),
            token.module_sha256.groups(),
        ));
        items.push(tick(l.pick(
            "Serienumret på enheten är detsamma som här, läst av två.",
            "The serial number on the device is the one here, read by two.",
        )));
    }
    if !plan.own_modules.is_empty() {
        items.push(heading(l.pick("Moduler för egna nycklar", "Modules of people's own tokens")));
    }
    for module in &plan.own_modules {
        items.push(text(module.file.as_str()));
        items.push(Item::Mono(module.sha256.lines_of_groups()));
    }
    frame(l.pick("HSM:er", "Tokens"), items)
}

fn inputs(plan: &Plan) -> Page {
    let l = plan.language;
    let mut items = vec![text(l.pick(
        "Dessa filer och inga andra finns på inmediet.",
        "These files and no others are on the input medium.",
    ))];
    for input in &plan.inputs {
        let content = match input.content {
            InputContent::Certificate => l.pick("certifikat", "certificate"),
            InputContent::Crl => "CRL",
            InputContent::Request => l.pick("certifikatbegäran", "certification request"),
            InputContent::Profile => l.pick("certifikatprofil", "certificate profile"),
            InputContent::DeviceProfile => {
                l.pick("mätning av enheten", "measurement of the device")
            }
        };
        let from: Vec<&str> = input.from.iter().map(|from| from.as_str()).collect();
        items.push(heading(&format!("{} ({content})", input.file)));
        items.push(Item::Mono(input.sha256.lines_of_groups()));
        if !from.is_empty() {
            items.push(fact(l.pick("Hämtad från", "Taken from"), from.join(", ")));
        }
        items.push(tick(l.pick("Hashen är jämförd.", "The hash was compared.")));
    }
    frame(l.pick("Indata", "Inputs"), items)
}

fn presence(plan: &Plan) -> Page {
    let l = plan.language;
    let mut items = vec![text(l.pick(
        "Programmet visar varje deltagare en fråga som bara hans egen nyckel kan besvara.",
        "The program shows each participant a challenge that only his own key can answer.",
    ))];
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Approver) {
        for person in plan.people.of(role) {
            let name =
                plan.people.person(person).map_or(person.as_str(), |person| person.name.as_str());
            items.push(Item::Tick(format!("{}: {name}", role.title(l))));
        }
    }
    items.push(write(l.pick("Frånvarande, och varför", "Absent, and why")));
    frame(l.pick("Närvaro", "Presence"), items)
}

fn outputs(plan: &Plan) -> Page {
    let l = plan.language;
    let files = plan.steps.iter().filter_map(|step| step.operation.out());
    let mut items: Vec<Item> = files.map(|file| Item::Tick(file.to_string())).collect();
    items.push(tick(l.pick(
        "Allt är kopierat till två medier och läst tillbaka från båda.",
        "All was copied to two media and read back from both.",
    )));
    items.push(tick(l.pick(
        "Kontrollprogrammet på en annan maskin godtog resultatet innan någon gick.",
        "The verifier on another machine accepted the result before anybody left.",
    )));
    frame(l.pick("Resultat", "Outputs"), items)
}

fn closing(plan: &Plan) -> Page {
    let l = plan.language;
    frame(
        l.pick("Avslutning", "Closing"),
        vec![
            tick(l.pick(
                "HSM:erna är utloggade och avstängda.",
                "The tokens are logged out and switched off.",
            )),
            tick(l.pick(
                "Varje del är återplomberad; de nya numren är antecknade.",
                "Each share is sealed again; the new numbers are noted.",
            )),
            write(l.pick("Plombnummer", "Seal numbers")),
            tick(l.pick("Medierna är plomberade och märkta.", "The media are sealed and marked.")),
            write(l.pick("Protokollets fyra första ord", "The first four words of the transcript")),
            write(l.pick("Protokollets fyra sista ord", "The last four words of the transcript")),
            write(l.pick("Avvikelser", "Exceptions")),
        ],
    )
}

fn signatures(plan: &Plan) -> Page {
    let l = plan.language;
    let mut items = vec![text(l.pick(
        "Jag har sett att ceremonin hölls enligt detta manus, med de avvikelser som är antecknade.",
        "I have seen that the ceremony was held by this script, with the exceptions that are noted.",
    ))];
    for role in
        [Role::Administrator, Role::Operator, Role::Witness, Role::Auditor, Role::SecurityOfficer]
    {
        for person in plan.people.of(role) {
            let name =
                plan.people.person(person).map_or(person.as_str(), |person| person.name.as_str());
            items.push(Item::Write(format!("{}, {name}", role.title(l))));
        }
    }
    frame(l.pick("Underskrifter", "Signatures"), items)
}

fn refusals(language: Language) -> Page {
    let mut items = vec![text(language.pick(
        "Det här stoppar ceremonin. Inget av det kan kringgås; den som vill göra annorlunda låter godkänna en ny plan.",
        "This stops the ceremony. None of it can be overridden; whoever wants to do otherwise has a new plan approved.",
    ))];
    for row in Refusal::ALL {
        items.push(fact(row.code(), row.when(language)));
    }
    frame(language.pick("Vad som stoppar", "What stops it"), items)
}
