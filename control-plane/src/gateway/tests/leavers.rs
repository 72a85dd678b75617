//! Who becomes active by an import: only users whose own entry says so, and they are counted. No other edit of an entry
//! activates anybody.

use postern_engine::services::Actor;
use postern_engine::services::change_users::Disabling;
use postern_proto::chunk::Switch;
use postern_proto::v1;
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain};
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_store::JobState;
use serde_json::Value;

use super::agent::{hello, raw_outcome};
use super::chunks::{Written, people_switched, written};
use super::matching::{World, named, user};
use super::soon;

const BEFORE: &[(&str, &str)] = &[("title", "Clerk")];
const AFTER: &[(&str, &str)] = &[("title", "Head")];

fn with(some: &[Written<'static>]) -> Vec<Written<'static>> {
    [some, &[named("cn=8", "xaver"), named("cn=9", "yves")]].concat()
}

fn off(written: Written<'static>) -> Written<'static> {
    Written { enabled: false, ..written }
}

impl World {
    /// Anna is in both directories. In `corp` she was disabled, and then her entry left.
    async fn anna_left_disabled(&mut self) {
        self.import("corp", &with(&[named("cn=1", "anna")])).await;
        self.import("lab", &with(&[user("cn=a", "anna", BEFORE)])).await;
        self.import("corp", &with(&[off(named("cn=1", "anna"))])).await;
        assert!(!self.user("anna").await.active);
        let result = self.import("corp", &with(&[])).await;
        assert_eq!((&result["missing"], self.user("anna").await.active), (&1.into(), false), "{result}");
    }

    /// Imports these into `corp`; of those who did not come, this is what the agent found.
    async fn leaves(&mut self, entries: &[Written<'_>], sight: v1::Sight) -> Value {
        let job = self.site.start_job("corp", "import").await;
        let command = soon(self.session.command()).await;
        let look = |asked: &LookAgain| Some(vec![sight; asked.entries.len()]);
        let accepted = self.agent.deliver_seeing(&command, &written(entries), |_| {}, look).await.unwrap();
        assert!(matches!(accepted, Ack::SummaryAccepted(_)), "{accepted:?}");
        let result = v1::outcome::Result::Import(v1::ImportResult { pages: 1, ..Default::default() });
        self.session.send(raw_outcome(&command, result)).await;
        assert!(matches!(soon(self.session.next()).await, Some(FromControl::OutcomeAck(_))));
        self.site.wait_for(job, JobState::Succeeded).await.result.unwrap()
    }

    /// Imports these and returns how many became active, and whether Anna is active.
    async fn activates(&mut self, directory: &str, entries: &[Written<'_>]) -> (Value, bool) {
        let result = self.import(directory, entries).await;
        (result["became_active"].clone(), self.user("anna").await.active)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_disabled_and_left_stays_inactive_while_another_directory_changes_something_else() {
    let mut world = World::new().await;
    world.anna_left_disabled().await;
    for title in [BEFORE, AFTER] {
        assert_eq!(world.activates("lab", &with(&[user("cn=a", "anna", title)])).await, (0.into(), false));
    }
    assert!(world.user("anna").await.attributes.contains("Head"));
    // Off and on again in the other directory says nothing about the one that she left.
    world.import("lab", &with(&[off(user("cn=a", "anna", AFTER))])).await;
    assert_eq!(world.activates("lab", &with(&[user("cn=a", "anna", AFTER)])).await, (0.into(), false));
    // Her entry comes back, enabled.
    assert_eq!(world.activates("corp", &with(&[named("cn=1", "anna")])).await, (1.into(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_lets_somebody_in_who_left_disabled() {
    let mut world = World::new().await;
    world.anna_left_disabled().await;
    let actor = Actor::machine(world.site.organization);
    world.services().change_users(&actor).unwrap().enable("anna", None).await.unwrap();
    assert!(world.user("anna").await.active);
    world.import("lab", &with(&[user("cn=a", "anna", AFTER)])).await;
    assert!(world.user("anna").await.active);
    // A directory that has her and says off is not overruled.
    world.import("lab", &with(&[off(user("cn=a", "anna", AFTER))])).await;
    world.services().change_users(&actor).unwrap().enable("anna", None).await.unwrap();
    assert!(!world.user("anna").await.active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_activates_its_user_only_where_that_is_counted() {
    let mut world = World::new().await;
    let people = people_switched(&[("cn=a", "anna"), ("cn=b", "bert")], &[], Switch::Unknown);
    world.import_chunks("lab", &people).await;
    assert!(!world.user("anna").await.active, "nobody knows whether she is enabled");
    let corp = with(&[named("cn=1", "anna")]);
    assert_eq!(world.activates("corp", &corp).await, (0.into(), false), "she joined, and nobody was asked");
    assert_eq!(world.activates("corp", &corp).await, (1.into(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_entry_that_is_made_anew_enabled_is_counted_before_it_activates() {
    let mut world = World::new().await;
    world.import("corp", &with(&[named("cn=1", "anna")])).await;
    world.import("corp", &with(&[off(named("cn=1", "anna"))])).await;
    let anna = world.user("anna").await;
    let anew = with(&[named("cn=2", "anna")]);
    assert_eq!(world.activates("corp", &anew).await, (0.into(), false));
    assert_eq!(world.activates("corp", &anew).await, (1.into(), true));
    assert_eq!(world.user("anna").await.id, anna.id);
    // An enabled one stays active without a break.
    assert_eq!(world.activates("corp", &with(&[named("cn=3", "anna")])).await, (0.into(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_comes_back_activates_by_its_next_import_and_counts() {
    let mut world = World::new().await;
    let corp = with(&[named("cn=1", "anna")]);
    world.import("corp", &corp).await;
    world.import_chunks("lab", &people_switched(&[("cn=a", "anna")], &[], Switch::Unknown)).await;
    assert!(world.user("anna").await.active);
    let id = world.directory("corp").await;
    world.site.store().delete_directory(world.site.organization, id, world.site.now()).await.unwrap();
    assert!(!world.user("anna").await.active, "the directory that is left does not know");
    world.session = world.agent.connect(hello(&["corp", "lab"])).await.unwrap();
    soon(world.session.welcome()).await;
    world.order_is_applied().await;
    assert!(!world.user("anna").await.active);
    assert_eq!(world.activates("corp", &corp).await, (1.into(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_disabled_here_and_deleted_comes_back_disabled() {
    let mut world = World::new().await;
    let corp = with(&[named("cn=1", "anna")]);
    world.import("corp", &corp).await;
    let actor = Actor::machine(world.site.organization);
    let disabling = Disabling { reason: Some("fired".to_owned()), ..Disabling::default() };
    world.services().change_users(&actor).unwrap().disable("anna", disabling, None).await.unwrap();
    world.import("corp", &with(&[])).await;
    let before = world.user("anna").await;
    world.services().change_users(&actor).unwrap().delete("anna", None).await.unwrap();
    world.import("corp", &with(&[named("cn=1", "Anna")])).await;
    let back = world.user("anna").await;
    let owned = world.site.store().get_owned_user(world.site.organization, back.id).await.unwrap().unwrap();
    assert!(back.id != before.id && !back.active, "{back:?}");
    assert_eq!(owned.suspension.unwrap().reason.as_deref(), Some("fired"));
    world.services().change_users(&actor).unwrap().enable("anna", None).await.unwrap();
    assert!(world.user("anna").await.active);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_and_moved_away_in_one_step_is_inactive_and_named() {
    for (sight, active) in [(v1::Sight::LeftScope, true), (v1::Sight::LeftScopeDisabled, false)] {
        let mut world = World::new().await;
        world.import("corp", &with(&[named("cn=1", "anna")])).await;
        world.import("lab", &with(&[user("cn=a", "anna", BEFORE)])).await;
        let result = world.leaves(&with(&[]), sight).await;
        let counts = ["missing", "missing_left_scope", "missing_disabled"].map(|key| result[key].as_u64().unwrap());
        assert_eq!(counts, [1, 1, u64::from(!active)], "{result}");
        assert_eq!(world.user("anna").await.active, active);
        if !active {
            assert_eq!(result["missing_disabled_samples"], serde_json::json!(["cn=1"]), "{result}");
        }
        assert_eq!(world.activates("lab", &with(&[user("cn=a", "anna", AFTER)])).await, (0.into(), active));
    }
}
