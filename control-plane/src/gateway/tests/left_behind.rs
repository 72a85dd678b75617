//! Accounts that users leave behind: deleted when their days are over, on a clock that the test turns, or given back.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_engine::identity::profile::ProfileChange;
use postern_engine::provisioning::settings::{Assignment, LeavingThen, Settings, Switches};
use postern_engine::services::{Actor, Services};
use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_proto::v1::operate::Change;
use postern_runtime::clock::{Clock as _, ManualClock};
use postern_store::{IdentityId, Mark, OperationFilter, OperationState, PageRequest, TargetAccount, UserId};

use super::company::Line;
use super::{raw_outcome, soon, v1};
use crate::api::tests::ClosedGate;

const DAY: Duration = Duration::from_hours(24);

/// A directory with one entry, and a control plane that provisions to it.
struct World {
    line: Line,
    clock: ManualClock,
    entry: Option<(String, bool)>,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::new(Timestamp::now());
        let world = Self { line: Line::start_at(&clock).await, clock, entry: None };
        let settings = Settings {
            switches: Switches {
                create_users: true,
                edit_users: true,
                delete_users: true,
                enable_disable_users: true,
                ..Switches::default()
            },
            assignment: Assignment::Condition { expression: "attributes.department == 'Sales'".to_owned() },
            leaving_then: LeavingThen {
                move_to: Some("ou=Former".to_owned()),
                delete_after_days: Some(2),
                ..LeavingThen::default()
            },
            ..Settings::default()
        };
        let (services, actor) = (world.services(), world.actor());
        services.change_provisioning(&actor).unwrap().save("corp", settings, false, None).await.unwrap();
        world
    }

    fn services(&self) -> Services {
        Services::new(self.line.site.store().clone(), self.line.site.clock(), Arc::<ClosedGate>::default())
    }

    fn actor(&self) -> Actor {
        Actor::machine(self.line.site.organization)
    }

    async fn anna(&mut self) -> UserId {
        let change = ProfileChange { user_name: Some("anna".to_owned()), ..in_department("Sales") };
        let user = self.services().change_users(&self.actor()).unwrap().create(change).await.unwrap();
        assert_eq!(self.carried_out().await, "create");
        user.row.id
    }

    async fn department(&self, name: &str) {
        let (services, actor) = (self.services(), self.actor());
        services.change_users(&actor).unwrap().change("anna", in_department(name), None).await.unwrap();
    }

    /// Turns the clock until the next operation comes, and carries it out.
    async fn carried_out(&mut self) -> &'static str {
        let Self { line, clock, entry } = self;
        let next = async {
            loop {
                if let FromControl::Command(command) = line.session.next().await.expect("the session is over") {
                    return command;
                }
            }
        };
        let turning = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                clock.advance(Duration::from_secs(1));
            }
        };
        let command = tokio::select! {
            command = soon(next) => command,
            () = turning => unreachable!(),
        };
        let Some(v1::command::Kind::Operate(operate)) = &command.kind else { panic!("{command:?}") };
        let (action, now) = match operate.change.as_ref().unwrap() {
            Change::Create(_) => ("create", Some(("uid=anna,ou=people,dc=x".to_owned(), true))),
            Change::Disable(_) => ("disable", entry.clone().map(|(dn, _)| (dn, false))),
            Change::Enable(_) => ("enable", entry.clone().map(|(dn, _)| (dn, true))),
            Change::Move(to) if to.to_own_container => {
                ("move back", entry.clone().map(|(_, on)| ("uid=anna,ou=people,dc=x".to_owned(), on)))
            }
            Change::Move(to) => {
                ("move", entry.clone().map(|(_, on)| (format!("uid=anna,{},ou=people,dc=x", to.container), on)))
            }
            Change::Delete(_) => ("delete", None),
            other => panic!("{other:?}"),
        };
        entry.clone_from(&now);
        let result = v1::OperateResult { entry: now.map(written).unwrap_or_default(), ..Default::default() };
        line.session.send(raw_outcome(&command, v1::outcome::Result::Operate(result))).await;
        action
    }

    async fn account(&self, user: UserId) -> Option<TargetAccount> {
        let store = self.line.site.store();
        let directory = store.find_directory(self.line.site.organization, "corp").await.unwrap().unwrap().id;
        let found = store.accounts_in(self.line.site.organization, directory.into(), &[IdentityId::User(user)]).await;
        found.unwrap().into_iter().next()
    }

    /// Waits until nothing is under way, and returns the mark of a user.
    async fn at_rest(&self, user: UserId) -> Option<Mark> {
        let (store, organization) = (self.line.site.store(), self.line.site.organization);
        let directory = store.find_directory(organization, "corp").await.unwrap().unwrap().id;
        let open = OperationFilter { state: Some(OperationState::Sent), ..OperationFilter::default() };
        let rest = async {
            loop {
                let open = store.list_operations(organization, &open, &PageRequest::first(10)).await.unwrap();
                let due = store.due_marks(organization, directory.into(), self.clock.now(), 10).await.unwrap();
                if open.items.is_empty() && due.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.clock.advance(Duration::from_secs(1));
            }
        };
        soon(rest).await;
        store.get_mark(organization, directory.into(), IdentityId::User(user)).await.unwrap()
    }
}

fn in_department(name: &str) -> ProfileChange {
    ProfileChange {
        attributes: [("department".to_owned(), Some(name.into()))].into(),
        family_name: Some(Some("Bell".to_owned())),
        ..ProfileChange::default()
    }
}

fn written((dn, on): (String, bool)) -> bytes::Bytes {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let id = uuid::Uuid::from_u128(7).to_string();
    let mut entry = writer.entry(Kind::User, &id, &dn, Some("anna"));
    entry.attribute("uid", [b"anna".as_slice()]);
    entry.switch(if on { Switch::On } else { Switch::Off });
    entry.finish();
    writer.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_of_a_deleted_user_is_deleted_when_the_days_are_over_even_if_the_user_is_forgotten() {
    let mut world = World::new().await;
    let anna = world.anna().await;
    let (services, actor) = (world.services(), world.actor());
    services.change_users(&actor).unwrap().delete("anna", None).await.unwrap();
    assert_eq!((world.carried_out().await, world.carried_out().await), ("disable", "move"));
    let mark = world.at_rest(anna).await.expect("it waits");
    let left_at = world.account(anna).await.unwrap().left_at.unwrap();
    assert_eq!((mark.not_before, mark.failures), (left_at + 2 * DAY, 0));
    // Nothing is left of the user but the account.
    assert_eq!(world.line.site.store().purge_users(Timestamp::MAX).await.unwrap(), 1);
    assert!(mark.not_before > world.clock.now());
    world.clock.set(mark.not_before - Duration::from_secs(1));
    world.line.session = world.line.agent.connect(super::hello(&["corp"])).await.unwrap();
    soon(world.line.session.welcome()).await;
    assert_eq!(world.carried_out().await, "delete");
    assert!(world.clock.now() >= mark.not_before, "not before the days are over");
    assert_eq!(world.at_rest(anna).await, None);
    assert!(world.account(anna).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_on_the_last_day_has_the_account_as_before() {
    let mut world = World::new().await;
    let anna = world.anna().await;
    world.department("Works").await;
    assert_eq!((world.carried_out().await, world.carried_out().await), ("disable", "move"));
    let first = world.at_rest(anna).await.expect("it waits").not_before;
    world.clock.advance(DAY);
    // Another change meanwhile does not begin the days anew.
    world.department("Board").await;
    assert_eq!(world.at_rest(anna).await.expect("it waits").not_before, first);
    world.line.session = world.line.agent.connect(super::hello(&["corp"])).await.unwrap();
    soon(world.line.session.welcome()).await;
    world.department("Sales").await;
    assert_eq!((world.carried_out().await, world.carried_out().await), ("move back", "enable"));
    assert_eq!(world.at_rest(anna).await, None, "nothing waits any more");
    let account = world.account(anna).await.unwrap();
    assert_eq!((account.left_at, account.account.dn.as_str()), (None, "uid=anna,ou=people,dc=x"));
    // The next time, the days begin anew.
    world.department("Works").await;
    assert_eq!((world.carried_out().await, world.carried_out().await), ("disable", "move"));
    assert!(world.at_rest(anna).await.expect("it waits").not_before > first);
}
