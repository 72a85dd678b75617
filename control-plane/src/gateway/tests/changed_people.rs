//! The result of an import names some of the users who changed.

use serde_json::Value;

use super::company::{Line, company, person};

/// The DNs of these samples.
fn dns<'r>(result: &'r Value, samples: &str) -> Vec<&'r str> {
    let samples = result[samples].as_array().map(Vec::as_slice).unwrap_or_default();
    samples.iter().map(|sample| sample["dn"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_became_active_or_inactive_was_renamed_or_made_anew_is_named() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 4).await;
    let mut changed = people.clone();
    changed[0].login = Some("other".to_owned());
    changed[1].locked = true;
    // One leaves, and the entry of another is made anew.
    changed[2] = super::company::Person { login: Some("user02".to_owned()), ..person(50) };
    changed.remove(3);
    let result = line.done(&changed, 4).await;
    let of = |number: usize| format!("uid=user{number:02},ou=people,dc=x");
    for (samples, number) in
        [("renamed_samples", 0), ("became_inactive_samples", 1), ("taken_over_samples", 50), ("deactivated_samples", 3)]
    {
        assert_eq!(dns(&result, samples), [of(number)], "{samples}: {result}");
    }
    assert_eq!(result["became_inactive_samples"][0]["display_name"], "Person 1");
    assert_eq!(dns(&result, "became_active_samples"), Vec::<&str>::new());
    changed[1].locked = false;
    let result = line.done(&changed, 4).await;
    assert_eq!(dns(&result, "became_active_samples"), [of(1)], "{result}");
    let unchanged = line.done(&changed, 4).await;
    for samples in ["became_active_samples", "became_inactive_samples", "renamed_samples", "taken_over_samples"] {
        assert_eq!(unchanged[samples], Value::Null, "{unchanged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_change_twenty_are_named() {
    let mut line = Line::start().await;
    let people = company(60);
    line.done(&people, 4).await;
    let locked = super::company::changed(&people, 30, |person| person.locked = true);
    let job = line.held(&locked, 4, "deactivated", 30).await;
    let result = line.approve(&job).await;
    assert_eq!(
        (&result["became_inactive"], dns(&result, "became_inactive_samples").len()),
        (&30.into(), 20),
        "{result}"
    );
}
