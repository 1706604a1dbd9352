//! Logging in, and what there is to do.

use portal::form::link;
use portal::html::{alert, anchor, both, choice, escape, form, page, part, table};
use portal::serving::Reply;

use super::View;
use crate::ca::Trouble;
use crate::desk::{Desk, now};
use crate::ledger::Standing;

/// The page of who is not logged in.
pub(crate) fn welcome(desk: &Desk, message: &str) -> Reply {
    let options: Vec<_> = desk
        .administrators
        .iter()
        .map(|one| (&one.said.hsa_id[..], &one.said.name[..], &one.said.hsa_id[..]))
        .collect();
    let fields = choice("administrator", ("Vem är du?", "Who are you?"), &options);
    let content = message.to_owned()
        + &form("/login", &fields, ("Logga in med kort", "Log in with your card"));
    Reply::page(page(("Kortportal", "Card portal"), "", &content))
}

/// Sends somebody to the reader, to sign what was drawn for him.
pub(crate) fn ask_login(desk: &Desk, hsa_id: &str) -> Reply {
    let Some(who) = desk.administrator(hsa_id) else { return welcome(desk, "") };
    match desk.sessions.challenge(hsa_id, now()) {
        Ok(challenge) => Reply::see(&link(
            &format!("{}/ask", desk.reader),
            &[
                ("act", "login"),
                ("card", &who.said.card),
                ("challenge", &challenge),
                ("back", &format!("/login/{hsa_id}/{challenge}")),
            ],
        )),
        Err(error) => welcome(desk, &alert(&escape(&error.to_string()))),
    }
}

/// Lets somebody in whose card has answered, and whose eID holds.
pub(crate) fn login(desk: &Desk, hsa_id: &str, challenge: &str, signature: &str) -> Reply {
    let refused = |swedish, english| welcome(desk, &alert(&both(swedish, english)));
    let Some(who) = desk.administrator(hsa_id) else {
        return refused("Okänd administratör.", "No such administrator.");
    };
    if !desk.sessions.answers(who, (&desk.origin, challenge, signature), now()) {
        return refused(
            "Inloggningen gäller inte. Försök igen.",
            "The login does not count. Try again.",
        );
    }
    let sha256 = base16ct::lower::encode_string(&who.fingerprint);
    let target = format!("/v1/certificates?sha256={sha256}");
    let found: Result<api::Page<api::Certificate>, Trouble> = desk.ca.see(&target);
    let holds = match found {
        Ok(found) => found.items.iter().any(|one| {
            matches!(one.state, api::CertificateState::Issued | api::CertificateState::Activated)
        }),
        Err(trouble) => return welcome(desk, &super::problem(&trouble.json())),
    };
    if !holds {
        return refused("E-legitimationen gäller inte.", "The eID does not hold.");
    }
    Reply::See { to: "/".to_owned(), cookie: Some(desk.sessions.cookie(hsa_id, now())) }
}

/// Ends a session.
pub(crate) fn logout() -> Reply {
    let cookie = "portal=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0".to_owned();
    Reply::See { to: "/".to_owned(), cookie: Some(cookie) }
}

/// What waits for who is logged in, and for the CA.
pub(crate) fn overview(view: &View<'_>) -> Reply {
    let acts = view.desk.acts();
    let mine = acts.iter().filter(|act| {
        act.begun.by == view.who.said.hsa_id && matches!(act.standing, Standing::ToSign(_))
    });
    let to_sign: Vec<_> = mine.map(super::act::row).collect();
    let sent: Vec<_> = acts
        .iter()
        .filter(|act| matches!(act.standing, Standing::Sent(_)))
        .map(super::act::row)
        .collect();
    let orders: Vec<_> = acts
        .iter()
        .filter(|act| act.begun.kind == "prepare")
        .filter_map(|act| match &act.standing {
            Standing::Done(answer) => answer["id"].as_str(),
            _ => None,
        })
        .map(|order| {
            let ordered = view.desk.ordered(order);
            let subject = ordered.map(|ordered| ordered.subject).unwrap_or_default();
            let name =
                [subject.given_name, subject.surname].map(Option::unwrap_or_default).join(" ");
            vec![anchor(&format!("/orders/{order}"), order), escape(&name)]
        })
        .collect();
    let content = part(
        "Att skriva under",
        "To sign",
        &table(
            ("Anrop som väntar på din underskrift", "Calls that wait for your signature"),
            super::act::HEADS,
            &to_sign,
        ),
    ) + &part(
        "På väg",
        "Under way",
        &table(
            ("Anrop som väntar på svar", "Calls that wait for an answer"),
            super::act::HEADS,
            &sent,
        ),
    ) + &part(
        "Portalens beställningar",
        "Orders of this portal",
        &table(
            ("Senaste först", "Newest first"),
            &[("Beställning", "Order"), ("Innehavare", "Holder")],
            &orders,
        ),
    );
    view.page(("Att göra", "To do"), &content)
}
