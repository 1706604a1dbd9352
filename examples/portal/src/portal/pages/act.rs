//! Calls that somebody wants: begun, signed for, answered.

use portal::form::Form;
use portal::html::{anchor, both, escape, facts, form, table};
use portal::serving::Reply;
use x509::time::UnixTime;

use super::{View, problem};
use crate::acts::Kind;
use crate::ledger::{Act, Standing};

/// Heads of a table of calls.
pub(crate) const HEADS: &[(&str, &str)] =
    &[("Vad", "What"), ("Läge", "Standing"), ("Vem", "Who"), ("När", "When"), ("Anrop", "Call")];

/// A row of it.
pub(crate) fn row(act: &Act) -> Vec<String> {
    let begun = &act.begun;
    vec![
        format!("<a href=\"/acts/{}\">{}</a>", escape(&begun.act), name(act)),
        standing(act),
        escape(&begun.by),
        UnixTime::from_secs(begun.at).map(|at| at.to_string()).unwrap_or_default(),
        escape(&begun.target),
    ]
}

fn name(act: &Act) -> String {
    Kind::of(&act.begun.kind).map_or_else(String::new, |kind| both(kind.swedish, kind.english))
}

fn standing(act: &Act) -> String {
    match act.standing {
        Standing::ToSign(_) => both("Att skriva under", "To sign"),
        Standing::Sent(_) => both("Skickat", "Sent"),
        Standing::Done(_) => both("Klart", "Done"),
        Standing::Refused(_) => both("Nekat", "Refused"),
        Standing::Dropped => both("Avbrutet", "Given up"),
    }
}

/// All calls that the portal has made or was to make.
pub(crate) fn history(view: &View<'_>) -> Reply {
    let rows: Vec<_> = view.desk.acts().iter().map(row).collect();
    view.page(("Historik", "History"), &table(("Senaste först", "Newest first"), HEADS, &rows))
}

/// Writes a call down and has it signed for.
pub(crate) fn begin(view: &View<'_>, fields: &Form) -> Reply {
    let Some(kind) = Kind::of(fields.text("kind")) else {
        return view.refused(400, &both("Okänt formulär.", "No such form."));
    };
    match view.desk.begin(view.who, kind, fields) {
        Ok(act) => Reply::see(&format!("/acts/{act}/sign")),
        Err(why) => view.refused(422, &escape(&why)),
    }
}

/// Sends the administrator to his card.
pub(crate) fn sign(view: &View<'_>, id: &str) -> Reply {
    let Some(act) = view.desk.act(id) else { return unknown(view) };
    match view.desk.to_sign(view.who, &act) {
        Ok(Some(link)) => Reply::see(&link),
        Ok(None) => Reply::see(&format!("/acts/{id}")),
        Err(error) => view.refused(500, &escape(&error.to_string())),
    }
}

/// Takes what the card has signed.
pub(crate) fn signed(view: &View<'_>, id: &str, fields: &Form) -> Reply {
    let Some(act) = view.desk.act(id) else { return unknown(view) };
    match view.desk.signed(view.who, &act, fields) {
        Ok(()) => Reply::see(&next(view, id)),
        Err(why) => view.refused(422, &escape(&why)),
    }
}

/// Where it goes on: at what was done, or at the call as long as nothing was.
fn next(view: &View<'_>, id: &str) -> String {
    let here = format!("/acts/{id}");
    let Some(Act { begun, standing: Standing::Done(answer) }) = view.desk.act(id) else {
        return here;
    };
    let made = answer.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
    match (begun.after.is_empty(), made.split('_').next()) {
        (false, _) => begun.after,
        (true, Some("ord")) => format!("/orders/{made}"),
        (true, Some("crt")) => format!("/certificates/{made}"),
        (true, _) => here,
    }
}

/// A call, and what can be done about it.
pub(crate) fn show(view: &View<'_>, id: &str) -> Reply {
    let Some(act) = view.desk.act(id) else { return unknown(view) };
    let begun = &act.begun;
    let mut content = facts(&[
        (("Vad", "What"), name(&act)),
        (("Läge", "Standing"), standing(&act)),
        (("Vem", "Who"), escape(&begun.by)),
        (("Anrop", "Call"), format!("POST {}", escape(&begun.target))),
        (("Nyckel", "Idempotency key"), escape(&begun.key)),
    ]);
    let trouble = match &act.standing {
        Standing::ToSign(why) => why.clone(),
        Standing::Sent(_) => view.desk.trouble(id),
        Standing::Refused(why) => Some(why.clone()),
        Standing::Done(_) | Standing::Dropped => None,
    };
    content += &trouble.as_ref().map(problem).unwrap_or_default();
    match act.standing {
        Standing::ToSign(_) if begun.by == view.who.said.hsa_id => {
            content += &format!(
                "<p><a href=\"/acts/{id}/sign\">{}</a></p>\n",
                both("Skriv under med kortet", "Sign with your card"),
                id = escape(id)
            );
            content += &form(&format!("/acts/{id}/drop"), "", ("Avbryt", "Give up"));
        }
        Standing::Sent(_) => {
            let text = both(
                "Portalen försöker igen tills svaret kommer.",
                "The portal tries again until there is an answer.",
            );
            content += &format!(
                "<p>{text} {}</p>\n",
                anchor(&format!("/acts/{id}"), "Visa igen / Look again")
            );
        }
        _ => {}
    }
    let next = next(view, id);
    if next != format!("/acts/{id}") {
        content += &format!("<p>{}</p>\n", anchor(&next, "Vidare / Go on"));
    }
    content += &format!("<pre>{}</pre>", escape(&begun.body));
    view.page(("Anrop", "Call"), &content)
}

/// Gives a call up that was not signed for.
pub(crate) fn give_up(view: &View<'_>, id: &str) -> Reply {
    let Some(act) = view.desk.act(id) else { return unknown(view) };
    match view.desk.drop_act(view.who, &act) {
        Ok(()) => Reply::see("/"),
        Err(why) => view.refused(409, &escape(&why)),
    }
}

fn unknown(view: &View<'_>) -> Reply {
    view.refused(404, &both("Anropet finns inte.", "There is no such call."))
}
