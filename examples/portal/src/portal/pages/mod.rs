//! The portal's pages: which request is which, and who may see anything.

mod act;
mod find;
mod home;
mod order;
mod organisation;

use portal::html::{self, alert, anchor, both, escape, form, page};
use portal::serving::{Reply, Request, Verb};
use serde_json::Value;

use crate::ca::Trouble;
use crate::config::Administrator;
use crate::desk::{Desk, now};

/// Answers a request.
pub(crate) fn answer(desk: &Desk, request: &Request) -> Reply {
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    if let (Verb::Post, ["login"]) = (request.verb, &parts[..]) {
        return home::ask_login(desk, request.form.text("administrator"));
    }
    if let (Verb::Get, ["login", hsa_id, challenge]) = (request.verb, &parts[..]) {
        return home::login(desk, hsa_id, challenge, request.form.text("signature"));
    }
    let who = request.cookie("portal").and_then(|cookie| desk.sessions.who(cookie, now()));
    let Some(who) = who.and_then(|hsa_id| desk.administrator(&hsa_id)) else {
        return home::welcome(desk, "");
    };
    let view = View { desk, who };
    let fields = &request.form;
    match (request.verb, &parts[..]) {
        (Verb::Get, [""]) => home::overview(&view),
        (Verb::Post, ["logout"]) => home::logout(),
        (Verb::Get, ["acts"]) => act::history(&view),
        (Verb::Post, ["acts"]) => act::begin(&view, fields),
        (Verb::Get, ["acts", id]) => act::show(&view, id),
        (Verb::Get, ["acts", id, "sign"]) => act::sign(&view, id),
        (Verb::Get, ["acts", id, "signed"]) => act::signed(&view, id, fields),
        (Verb::Post, ["acts", id, "drop"]) => act::give_up(&view, id),
        (Verb::Get, ["orders"]) => order::list(&view, fields),
        (Verb::Get, ["orders", "new"]) => order::new(&view, fields),
        (Verb::Get, ["orders", id]) => order::show(&view, id),
        (Verb::Post, ["orders", id, "card"]) => order::to_card(&view, id, fields),
        (Verb::Get, ["orders", id, "receipt", terms, addition]) => {
            order::receipt(&view, id, (terms, addition), fields)
        }
        (Verb::Get, ["orders", id, "requests"]) => order::requests(&view, id, fields),
        (Verb::Get, ["search"]) => find::search(&view),
        (Verb::Post, ["search"]) => find::found(&view, fields),
        (Verb::Get, ["eids", id]) => find::eid(&view, id),
        (Verb::Get, ["carriers", id]) => find::carrier(&view, id),
        (Verb::Get, ["certificates", id]) => find::certificate(&view, id),
        (Verb::Post, ["diagnosis"]) => find::diagnosis(&view, fields),
        (Verb::Get, ["organisations"]) => organisation::list(&view),
        (Verb::Get, ["organisations", id]) => organisation::show(&view, id),
        (Verb::Get, ["functions"]) => organisation::functions(&view),
        _ => view.refused(404, &both("Sidan finns inte.", "There is no such page.")),
    }
}

/// What a page is made with.
pub(crate) struct View<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) who: &'a Administrator,
}

impl View<'_> {
    /// A page with who is logged in above it.
    pub(crate) fn page(&self, title: (&str, &str), content: &str) -> Reply {
        Reply::page(page(title, &self.aside(), content))
    }

    /// A page that says why there is nothing.
    pub(crate) fn refused(&self, status: u16, why: &str) -> Reply {
        let html = page(("Det gick inte", "It did not work"), &self.aside(), &alert(why));
        Reply::Page { status, html }
    }

    /// The same in the CA's words.
    pub(crate) fn troubled(&self, trouble: &Trouble) -> Reply {
        let status = match trouble {
            Trouble::Away(_) => 502,
            Trouble::Refused(problem) => problem.status,
        };
        let html =
            page(("Det gick inte", "It did not work"), &self.aside(), &problem(&trouble.json()));
        Reply::Page { status, html }
    }

    fn aside(&self) -> String {
        let links: String = [
            ("/", "Att göra / To do"),
            ("/orders/new", "Ny beställning / New order"),
            ("/orders", "Beställningar / Orders"),
            ("/search", "Sök / Search"),
            ("/organisations", "Organisationer / Organisations"),
            ("/functions", "Funktioner / Functions"),
            ("/acts", "Historik / History"),
        ]
        .map(|(to, text)| anchor(to, text))
        .concat();
        let said = &self.who.said;
        format!(
            "<nav>{links}</nav>\n<p>{} ({}), {}</p>\n{}",
            escape(&said.name),
            escape(&said.hsa_id),
            escape(&said.roles.join(", ")),
            form("/logout", "", ("Logga ut", "Log out"))
        )
    }
}

/// Why the CA does not do something, in its own words.
pub(crate) fn problem(problem: &Value) -> String {
    let rows = [
        ("code", ("Kod", "Code")),
        ("detail", ("Vad", "What")),
        ("rule", ("Regel", "Rule")),
        ("seen", ("Sågs", "Seen")),
        ("limit", ("Gräns", "Limit")),
        ("next", ("Gör så här", "Next")),
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, label)| (*label, escape(problem[*name].as_str().unwrap_or_default())))
        .collect();
    alert(&html::facts(&rows))
}
