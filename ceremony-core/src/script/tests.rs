use super::*;

const PLANS: &[&str] = &[
    include_str!("../../../docs/ceremonies/plans/c1-root-key.toml"),
    include_str!("../../../docs/ceremonies/plans/c1-training.toml"),
    include_str!("../../../docs/ceremonies/plans/c2-issuing-key.toml"),
    include_str!("../../../docs/ceremonies/plans/c3-issuing-certificate.toml"),
    include_str!("../../../docs/ceremonies/plans/c4-responder.toml"),
    include_str!("../../../docs/ceremonies/plans/c4b-root-delegates.toml"),
    include_str!("../../../docs/ceremonies/plans/c5-root-crl.toml"),
    include_str!("../../../docs/ceremonies/plans/c5-root-crl-emergency.toml"),
    include_str!("../../../docs/ceremonies/plans/c5-root-crl-series.toml"),
    include_str!("../../../docs/ceremonies/plans/c6-cross-certificate.toml"),
    include_str!("../../../docs/ceremonies/plans/c7-key-destruction.toml"),
];

fn plans() -> impl Iterator<Item = Plan> {
    PLANS.iter().map(|text| Plan::read(text.as_bytes()).unwrap())
}

/// A3, CER-02: one page for each step, and the same bytes for the same plan.
#[test]
fn a_script_has_a_page_for_each_step_and_is_the_same_every_time() {
    for plan in plans() {
        let (one, two) = (Script::of(&plan), Script::of(&plan));

        assert_eq!(one.steps(), plan.steps.len());
        assert_eq!(one.to_html(), two.to_html());
        assert_eq!(one.to_text(), two.to_text());
        let pages = one.to_html().matches("<section>").count();
        assert_eq!(pages, one.to_text().matches('\u{c}').count() + 1);
        for step in &plan.steps {
            assert!(one.to_text().contains(&format!("({})\n===", step.id)), "{}", step.id);
        }
    }
}

/// What is reviewed on paper is all that the plan says.
#[test]
fn a_script_names_everything_of_its_plan() {
    for plan in plans() {
        let text = Script::of(&plan).to_text();
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut named: Vec<String> =
            plan.people.persons.iter().map(|one| one.name.to_string()).collect();
        named.extend(plan.tokens.iter().map(|token| token.label.to_string()));
        named.extend(plan.inputs.iter().map(|input| input.sha256.groups()));
        named.extend(plan.steps.iter().filter_map(|step| Some(step.operation.out()?.to_string())));
        named.extend([
            plan.hash.groups(),
            plan.hash.words().join(" "),
            plan.program.sha256.groups(),
        ]);
        named.extend([plan.window.not_before.to_string(), plan.window.not_after.to_string()]);
        for name in named {
            assert!(flat.contains(&name), "{}: {name}", plan.id);
        }
    }
}

/// A key of 64 digits is grouped, so nothing is wider than a console.
#[test]
fn a_text_fits_a_console() {
    for plan in plans() {
        for line in Script::of(&plan).to_text().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn a_page_of_html_needs_nothing_else() {
    for plan in plans() {
        let html = Script::of(&plan).to_html();

        for tag in ["<script", "<img", "<link", "url(", "href=", "src=", "@import"] {
            assert!(!html.contains(tag), "{tag}");
        }
        assert!(html.contains(&format!("<html lang=\"{}\">", plan.language.tag())));
        assert_eq!(html.matches("<section>").count(), html.matches("</section>").count());
        assert!(html.matches("class=\"tick\"").count() > plan.steps.len());
    }
}

/// Both languages say the same things in the same places.
#[test]
fn a_script_has_the_same_pages_in_both_languages() {
    for plan in plans() {
        let shape = |language| {
            let plan = Plan { language, ..plan.clone() };
            let kinds = |page: &Page| {
                let of = |item: &Item| std::mem::discriminant(item);
                (page.kind, page.items.iter().map(of).collect::<Vec<_>>())
            };
            Script::of(&plan).pages.iter().map(kinds).collect::<Vec<_>>()
        };
        assert_eq!(shape(Language::Swedish), shape(Language::English));
    }
}
