//! Pages as text: Swedish, with English beside it, readable without styles, scripts or a mouse.

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("style.css");

/// Text that stands for itself in HTML, in attributes too.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

/// Swedish words and the English ones beside them.
#[must_use]
pub fn both(swedish: &str, english: &str) -> String {
    format!("{} <span lang=\"en\">{}</span>", escape(swedish), escape(english))
}

/// A whole page. `aside` stands above the content: who is logged in, where else to go.
#[must_use]
pub fn page(title: (&str, &str), aside: &str, content: &str) -> String {
    let (swedish, english) = title;
    format!(
        "<!doctype html>\n<html lang=\"sv\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{plain}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Till innehållet <span lang=\"en\">Skip to content</span></a>\n\
         <header>{aside}</header>\n<main id=\"main\">\n<h1>{heading}</h1>\n{content}\n</main>\n</body>\n</html>\n",
        plain = escape(swedish),
        heading = both(swedish, english),
    )
}

/// A heading of a part of a page.
#[must_use]
pub fn part(swedish: &str, english: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{content}\n</section>\n", both(swedish, english))
}

/// A line of text to fill in.
#[must_use]
pub fn field(name: &str, label: (&str, &str), value: &str, more: &str) -> String {
    let (swedish, english) = label;
    let (name, value) = (escape(name), escape(value));
    format!(
        "<p><label>{}<br><input name=\"{name}\" value=\"{value}\" autocomplete=\"off\" {more}></label></p>\n",
        both(swedish, english)
    )
}

/// A choice of one: value, Swedish, English.
#[must_use]
pub fn choice(name: &str, label: (&str, &str), options: &[(&str, &str, &str)]) -> String {
    let (swedish, english) = label;
    let options: String = options
        .iter()
        .map(|(value, swedish, english)| {
            let (value, swedish, english) = (escape(value), escape(swedish), escape(english));
            let shown = if english.is_empty() { swedish } else { format!("{swedish} / {english}") };
            format!("<option value=\"{value}\">{shown}</option>")
        })
        .collect();
    format!(
        "<p><label>{}<br><select name=\"{}\">{options}</select></label></p>\n",
        both(swedish, english),
        escape(name)
    )
}

/// A field that is sent along unseen.
#[must_use]
pub fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
}

/// A form that is posted to `to`.
#[must_use]
pub fn form(to: &str, fields: &str, button: (&str, &str)) -> String {
    let (swedish, english) = button;
    format!(
        "<form method=\"post\" action=\"{}\">\n{fields}<p><button>{}</button></p>\n</form>\n",
        escape(to),
        both(swedish, english)
    )
}

/// Rows of a table; cells are HTML.
#[must_use]
pub fn table(caption: (&str, &str), heads: &[(&str, &str)], rows: &[Vec<String>]) -> String {
    let (swedish, english) = caption;
    if rows.is_empty() {
        return format!("<p>{}</p>\n", both("Inget att visa.", "Nothing to show."));
    }
    let heads: String = heads
        .iter()
        .map(|(swedish, english)| format!("<th scope=\"col\">{}</th>", both(swedish, english)))
        .collect();
    let rows: String = rows
        .iter()
        .map(|row| {
            let cells: String = row.iter().map(|cell| format!("<td>{cell}</td>")).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    format!(
        "<table>\n<caption>{}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n",
        both(swedish, english)
    )
}

/// Names and what they are; values are HTML.
#[must_use]
pub fn facts(rows: &[((&str, &str), String)]) -> String {
    let rows: String = rows
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|((swedish, english), value)| {
            format!("<dt>{}</dt><dd>{value}</dd>\n", both(swedish, english))
        })
        .collect();
    format!("<dl>\n{rows}</dl>\n")
}

/// A link.
#[must_use]
pub fn anchor(to: &str, text: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escape(to), escape(text))
}

/// A message that is read out at once.
#[must_use]
pub fn alert(content: &str) -> String {
    format!("<div role=\"alert\">{content}</div>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of people come from outside.
    #[test]
    fn what_is_shown_is_text_wherever_it_stands() {
        let hostile = "<script>\"'&";
        for shown in [
            both(hostile, hostile),
            field("n", ("a", "b"), hostile, ""),
            field(hostile, (hostile, hostile), "", ""),
            choice("n", ("a", "b"), &[(hostile, hostile, hostile)]),
            hidden(hostile, hostile),
            anchor(hostile, hostile),
            form(hostile, "", (hostile, hostile)),
            page((hostile, hostile), "", ""),
            part(hostile, hostile, ""),
        ] {
            assert!(!shown.contains("<script>") && !shown.contains("'&"), "{shown}");
            assert!(shown.contains("&lt;script&gt;&quot;&#39;&amp;"), "{shown}");
        }
    }

    #[test]
    fn a_page_says_its_language_and_has_one_heading() {
        let text = page(("Sök", "Search"), "", "<p>x</p>");

        assert!(text.contains("<html lang=\"sv\">") && text.contains("<span lang=\"en\">Search"));
        assert_eq!(text.matches("<h1>").count(), 1);
        assert!(!text.contains("<script"));
    }
}
