//! The reader's pages: the cards in it, the choice of PINs, and what a card is asked.

use portal::form::{Form, link};
use portal::html::{self, alert, anchor, both, escape, facts, field, hidden, page, part, table};
use portal::serving::{Reply, Request, Verb};

use crate::ask::Ask;
use crate::card::{Card, CardError, Cards, Pins};

const PIN: &str = "type=\"password\" inputmode=\"numeric\" pattern=\"[0-9]{6}\" minlength=\"6\" maxlength=\"6\" required";

/// The reader.
pub(crate) struct Reader {
    cards: Cards,
    portal: String,
}

impl Reader {
    pub(crate) fn new(cards: Cards, portal: &str) -> Self {
        Self { cards, portal: portal.trim_end_matches('/').to_owned() }
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.verb, &parts[..]) {
            (Verb::Get, [""]) => self.overview(""),
            (Verb::Get, ["cards", number]) => self.show(number, ""),
            (Verb::Post, ["cards"]) => self.make(&request.form),
            (Verb::Post, ["cards", number, "pins"]) => self.choose(number, &request.form),
            (Verb::Get, ["ask"]) => self.ask(&request.form, ""),
            (Verb::Post, ["ask"]) => self.sign(&request.form),
            _ => Reply::Page {
                status: 404,
                html: page(("Sidan finns inte", "No such page"), &aside(), ""),
            },
        }
    }

    fn overview(&self, message: &str) -> Reply {
        let rows: Vec<_> = self.cards.all().iter().map(row).collect();
        let heads = [("Kort", "Card"), ("Text", "Text"), ("Pinkoder", "PINs")];
        let fields = field(
            "number",
            ("Kortets nummer, 19 siffror", "Number of the card, 19 digits"),
            "",
            "pattern=\"[0-9]{19}\" inputmode=\"numeric\" required",
        ) + &field(
            "label",
            ("Text på kortet", "Text on the card"),
            "",
            "maxlength=\"60\" required",
        );
        let content = message.to_owned()
            + &table(("Kort i läsaren", "Cards in the reader"), &heads, &rows)
            + &part(
                "Nytt kort",
                "New card",
                &html::form("/cards", &fields, ("Sätt i kortet", "Insert the card")),
            );
        Reply::page(page(("Kortläsare", "Card reader"), &aside(), &content))
    }

    fn make(&self, form: &Form) -> Reply {
        let number = form.text("number");
        match self.cards.make(number, form.text("label")) {
            Ok(()) => Reply::see(&format!("/cards/{number}")),
            Err(error) => self.overview(&failed(&error)),
        }
    }

    fn show(&self, number: &str, message: &str) -> Reply {
        let card = match self.cards.card(number) {
            Ok(card) => card,
            Err(error) => return self.overview(&failed(&error)),
        };
        let mut content = message.to_owned()
            + &facts(&[
                (("Nummer", "Number"), escape(&card.number)),
                (("Text", "Text"), escape(&card.label)),
                (("Pinkoder", "PINs"), pins(&card)),
            ]);
        if card.keys.is_none() {
            let mut fields = String::new();
            for (name, swedish, english) in [
                (
                    "authentication",
                    "Pinkod för legitimering, sex siffror",
                    "PIN for authentication, six digits",
                ),
                ("authentication-again", "Samma en gång till", "The same again"),
                (
                    "signature",
                    "Pinkod för underskrift, sex siffror",
                    "PIN for signatures, six digits",
                ),
                ("signature-again", "Samma en gång till", "The same again"),
            ] {
                fields += &field(name, (swedish, english), "", PIN);
            }
            let form = html::form(
                &format!("/cards/{number}/pins"),
                &fields,
                ("Välj pinkoder", "Choose PINs"),
            );
            content += &part("Välj pinkoder", "Choose PINs", &form);
        }
        Reply::page(page(("Kort", "Card"), &aside(), &content))
    }

    fn choose(&self, number: &str, form: &Form) -> Reply {
        let [one, other] = ["authentication", "signature"].map(|name| form.text(name));
        let again = ["authentication-again", "signature-again"].map(|name| form.text(name));
        if [one, other] != again {
            let said = both("Pinkoderna är inte lika.", "The PINs differ.");
            return self.show(number, &alert(&said));
        }
        match Pins::chosen(one, other).and_then(|pins| self.cards.choose(number, &pins)) {
            Ok(()) => Reply::see(&format!("/cards/{number}")),
            Err(error) => self.show(number, &failed(&error)),
        }
    }

    /// Shows what is asked, with the choice of a card and the field for its PIN.
    fn ask(&self, form: &Form, message: &str) -> Reply {
        let (ask, back) = match self.question(form) {
            Ok(found) => found,
            Err(why) => return refused(why),
        };
        let wanted = form.text("card");
        let mut fields = String::new();
        for name in
            ["act", "challenge", "input", "body", "order", "serials", "terms", "addition", "card"]
        {
            if let Some(value) = form.given(name) {
                fields += &hidden(name, &value);
            }
        }
        fields += &hidden("back", &back);
        fields += &field("pin", ("Pinkod för legitimering", "PIN for authentication"), "", PIN);
        if ask.wants_both() {
            fields +=
                &field("pin-signature", ("Pinkod för underskrift", "PIN for signatures"), "", PIN);
        }
        let (heading, shown) = told(&ask);
        let content = message.to_owned()
            + &facts(&[(("Kort", "Card"), escape(wanted))])
            + &shown
            + &html::form("/ask", &fields, ("Skriv under", "Sign"))
            + &format!("<p>{}</p>", anchor(&format!("{}{back}", self.portal), "Avbryt / Cancel"));
        Reply::page(page(heading, &aside(), &content))
    }

    fn sign(&self, form: &Form) -> Reply {
        let (ask, back) = match self.question(form) {
            Ok(found) => found,
            Err(why) => return refused(why),
        };
        let pins = [form.text("pin"), form.text("pin-signature")];
        match ask.answer(&self.cards, form.text("card"), pins) {
            Ok(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| (*name, &value[..])).collect();
                Reply::see(&link(&format!("{}{back}", self.portal), &fields))
            }
            Err(error) => self.ask(form, &failed(&error)),
        }
    }

    /// The question, and the page of the portal where the answer goes.
    fn question(&self, form: &Form) -> Result<(Ask, String), &'static str> {
        let back = form.text("back");
        let is_path = back.starts_with('/')
            && !back.starts_with("//")
            && back.bytes().all(|octet| octet.is_ascii_graphic() && !b"\\?#".contains(&octet));
        if !is_path {
            return Err("the answer would not go to the portal");
        }
        Ok((Ask::read(form, &self.portal)?, back.to_owned()))
    }
}

fn aside() -> String {
    format!("<nav>{}</nav>", anchor("/", "Kortläsare / Card reader"))
}

fn row(card: &Card) -> Vec<String> {
    vec![anchor(&format!("/cards/{}", card.number), &card.number), escape(&card.label), pins(card)]
}

fn pins(card: &Card) -> String {
    match card.keys.as_ref().map(crate::card::Keys::tries) {
        None => both("ej valda", "not chosen"),
        Some(tries) if tries.contains(&0) => both("låst", "locked"),
        Some(_) => both("valda", "chosen"),
    }
}

fn failed(error: &CardError) -> String {
    alert(&format!(
        "<p>{}: {}</p>",
        both("Det gick inte", "It did not work"),
        escape(&error.to_string())
    ))
}

fn refused(why: &str) -> Reply {
    let content = alert(&format!("<p>{}</p>", escape(why)));
    Reply::Page {
        status: 400,
        html: page(("Frågan besvaras inte", "Not answered"), &aside(), &content),
    }
}

/// What a question is about, in words.
fn told(ask: &Ask) -> ((&'static str, &'static str), String) {
    match ask {
        Ask::Login { portal, .. } => {
            (("Logga in", "Log in"), facts(&[(("Portal", "Portal"), escape(portal))]))
        }
        Ask::Statement { claims, body, .. } => {
            let text = |name: &str| escape(claims[name].as_str().unwrap_or_default());
            let roles = claims["roles"].as_array().into_iter().flatten();
            let roles: Vec<_> = roles.filter_map(serde_json::Value::as_str).map(escape).collect();
            let shown = facts(&[
                (("Anrop", "Call"), format!("{} {}", text("method"), text("target"))),
                (("Roll", "Role"), roles.join(", ")),
                (("Organisation", "Organisation"), text("organisation")),
                (("Mottagare", "Audience"), text("aud")),
                (("Nyckel", "Idempotency key"), text("idempotency_key")),
            ]) + &format!("<pre>{}</pre>", escape(body));
            (("Skriv under ett anrop", "Sign for a call"), shown)
        }
        Ask::Receipt { order, terms, addition, serials } => (
            ("Kvittera e-legitimationen", "Receipt of the eID"),
            facts(&[
                (("Beställning", "Order"), escape(order)),
                (("Villkor", "Terms"), escape(terms)),
                (("Regionalt tillägg", "Regional addition"), escape(addition)),
                (("Certifikat", "Certificates"), escape(serials)),
            ]),
        ),
        Ask::Requests { order } => (
            ("Begär certifikat", "Request certificates"),
            facts(&[(("Beställning", "Order"), escape(order))]),
        ),
    }
}
