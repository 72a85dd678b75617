//! The recipes of docs/mapping.md: each is compiled, and gives the results that stand below it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::borrow::Cow;
use std::path::Path;

use postern_engine::identity::mapping::expression::Inputs;
use postern_engine::identity::mapping::rules::{Rule, RuleOf, Rules};
use serde_json::{Map, Value};

/// A recipe: its rule, and entries with the results.
struct Recipe {
    title: String,
    rule: Rule,
    entries: Vec<(Map<String, Value>, Value)>,
}

fn recipes() -> Vec<Recipe> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mapping.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, cookbook) = text.split_once("## Cookbook").unwrap();
    cookbook.split("\n### ").skip(1).map(recipe).collect()
}

fn recipe(text: &str) -> Recipe {
    let (title, rest) = text.split_once('\n').unwrap();
    let (_, rest) = rest.split_once("```cel\n").unwrap();
    let (rule, rest) = rest.split_once("\n```").unwrap();
    let (target, expression) = rule.split_once(" ← ").unwrap();
    let (of, target) =
        target.strip_prefix("groups ").map_or((RuleOf::Users, target), |target| (RuleOf::Groups, target));
    let rule = Rule { of, target: target.to_owned(), expression: expression.to_owned() };
    let rows = rest.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `"));
    let json =
        |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{title}: {text}: {error}"));
    let entries = rows.map(|(entry, result)| (json(entry).as_object().unwrap().clone(), json(result))).collect();
    Recipe { title: title.to_owned(), rule, entries }
}

/// What a rule gives for an entry: attributes are lists of texts, `dn` and `login` are texts.
fn given(rules: &Rules, of: RuleOf, entry: &Map<String, Value>) -> Result<Value, String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let values = rules.slots().all().iter().map(|slot| {
        let found = entry.iter().find(|(name, _)| name.eq_ignore_ascii_case(&slot.name));
        let values = found.and_then(|(_, values)| values.as_array());
        values.into_iter().flatten().filter_map(|value| Some(value.as_str()?.as_bytes())).collect()
    });
    let inputs = Inputs {
        slots: rules.slots(),
        values: values.collect(),
        binary: Cow::Borrowed(&[]),
        dn: text("dn"),
        external_id: "id",
        login: text("login"),
        given: &[],
        choice: 0,
    };
    let mut result = Value::Null;
    let failed =
        rules.apply(of, &inputs, |_, given| result = given.map_or(Value::Null, |given| given.into_text().into()));
    failed.0.into_iter().next().map_or(Ok(result), |failed| Err(failed.what))
}

#[test]
fn every_recipe_of_the_cookbook_gives_what_it_says() {
    let recipes = recipes();
    assert!(recipes.len() >= 20, "{}", recipes.len());
    for Recipe { title, rule, entries } in recipes {
        assert!(!entries.is_empty(), "{title}");
        let rules =
            Rules::compile(1, std::slice::from_ref(&rule)).unwrap_or_else(|faults| panic!("{title}: {faults:?}"));
        for (entry, result) in entries {
            assert_eq!(given(&rules, rule.of, &entry), Ok(result), "{title}: {entry:?}");
        }
    }
}
