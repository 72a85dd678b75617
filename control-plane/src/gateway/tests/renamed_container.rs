//! Who has left a container that was renamed since the last import.

use postern_proto::v1;
use postern_proto::v1::Sight;
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain};
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_store::JobState;
use serde_json::Value;

use super::agent::{Session, Site, TestAgent, raw_outcome};
use super::chunks::{Written, written};
use super::imports::{connected, import_problem};
use super::matching::named;
use super::second_look::missing;
use super::soon;

/// Imports these entries. Those that did not come are answered by their DNs; returns the DNs and the result.
async fn import(
    site: &Site,
    (agent, session): &mut (TestAgent, Session),
    entries: &[(&str, &str)],
    sight: impl Fn(&str) -> Sight,
) -> (Vec<String>, Value) {
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let entries: Vec<Written<'_>> = entries.iter().map(|(name, dn)| Written { dn, ..named(name, name) }).collect();
    let mut asked = Vec::new();
    let look = |again: &LookAgain| {
        asked.extend(again.entries.iter().map(|entry| entry.last_dn.clone()));
        Some(again.entries.iter().map(|entry| sight(&entry.last_dn)).collect())
    };
    let accepted = agent.deliver_seeing(&command, &written(&entries), |_| {}, look).await.unwrap();
    assert!(matches!(accepted, Ack::SummaryAccepted(_)), "{accepted:?}");
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
    (asked, site.wait_for(job, JobState::Succeeded).await.result.unwrap())
}

const BEFORE: [(&str, &str); 5] = [
    ("anna", "cn=Anna,OU=Berlin,dc=x"),
    ("bert", "cn=Bert,OU=Berlin,dc=x"),
    ("cleo", "cn=Cleo,OU=Team,OU=Berlin,dc=x"),
    ("dora", "cn=Dora,OU=Paris,dc=x"),
    ("emil", "cn=Emil,OU=Paris,dc=x"),
];

/// The old container is not found, as deleted and hidden ones are.
fn old_is_not_found(dn: &str) -> Sight {
    if dn.contains("OU=Berlin,") { Sight::ContainerNotFound } else { Sight::Absent }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_a_container_that_was_renamed_since_is_missing() {
    let site = Site::start().await;
    let mut line = connected(&site).await;
    import(&site, &mut line, &BEFORE, |dn| panic!("asked for {dn}")).await;
    // Somebody is new in the renamed container.
    let after = [
        ("bert", "cn=Bert,OU=Berlin-Mitte,dc=x"),
        ("cleo", "cn=Cleo,OU=Team,OU=Berlin-Mitte,dc=x"),
        ("dora", "cn=Dora,OU=Paris,dc=x"),
        ("emil", "cn=Emil,OU=Paris,dc=x"),
        ("fred", "cn=Fred,OU=Berlin-Mitte,dc=x"),
    ];
    let (asked, result) = import(&site, &mut line, &after, old_is_not_found).await;
    assert_eq!(asked, ["cn=Anna,OU=Berlin,dc=x", "cn=Anna,OU=Berlin-Mitte,dc=x"]);
    assert_eq!((&result["missing"], &result["not_visible"]), (&1.into(), &0.into()), "{result}");
    assert_eq!((missing(&site).await, import_problem(&site).await), (1, None));
    let anna = site.store().find_user(site.organization, "anna").await.unwrap().unwrap();
    assert!(!anna.active, "{anna:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_only_seems_to_be_renamed_is_named_and_nobody_in_it_is_missing() {
    let rest = [BEFORE[3], BEFORE[4]];
    let one_moved = [("bert", "cn=Bert,OU=Mitte,dc=x")];
    let both_moved = [one_moved[0], ("cleo", "cn=Cleo,OU=Team,OU=Mitte,dc=x")];
    // One is no proof; the new container had somebody before; it does not show who is in it.
    for (before, moved, answer, asks) in [
        (vec![], &one_moved[..], Sight::Absent, 2),
        (vec![("gus", "cn=Gus,OU=Mitte,dc=x")], &both_moved[..], Sight::Absent, 1),
        (vec![], &both_moved[..], Sight::HiddenChildren, 2),
    ] {
        let site = Site::start().await;
        let mut line = connected(&site).await;
        import(&site, &mut line, &[&BEFORE[..], &before].concat(), |dn| panic!("asked for {dn}")).await;
        let entries = [&rest[..], &before, moved].concat();
        let sight = |dn: &str| if dn.contains("OU=Berlin,") { Sight::ContainerNotFound } else { answer };
        let (asked, result) = import(&site, &mut line, &entries, sight).await;
        assert_eq!(asked.len(), asks, "{asked:?}");
        assert_eq!((&result["missing"], missing(&site).await), (&0.into(), 0), "{result}");
        let sample = &result["not_visible_samples"][0];
        assert_eq!(
            (&sample["reason"], &sample["container"]),
            (&"container_not_found".into(), &"OU=Berlin,dc=x".into())
        );
        assert_eq!(sample["renamed_to"], "OU=Mitte,dc=x", "{result}");
        let problem = import_problem(&site).await.unwrap();
        assert!(problem.contains("OU=Berlin,dc=x seems to be renamed to OU=Mitte,dc=x"), "{problem}");
        assert!(problem.contains("--gone OU=Berlin,dc=x"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_people_went_to_several_places_or_are_still_there_was_not_renamed() {
    for moved in [
        [("bert", "cn=Bert,OU=Mitte,dc=x"), ("cleo", "cn=Cleo,OU=Team,OU=Nord,dc=x")],
        [("bert", "cn=Bert,OU=Mitte,dc=x"), BEFORE[2]],
    ] {
        let site = Site::start().await;
        let mut line = connected(&site).await;
        import(&site, &mut line, &BEFORE, |dn| panic!("asked for {dn}")).await;
        let entries = [&moved[..], &BEFORE[3..]].concat();
        let (asked, result) = import(&site, &mut line, &entries, old_is_not_found).await;
        assert_eq!(asked, ["cn=Anna,OU=Berlin,dc=x"]);
        assert_eq!((&result["missing"], missing(&site).await), (&0.into(), 0), "{result}");
        assert_eq!(result["not_visible_samples"][0]["renamed_to"], Value::Null, "{result}");
    }
}
