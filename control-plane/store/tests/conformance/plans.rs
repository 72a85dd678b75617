//! Plans: made by one process, applied once, and forgotten.

use crate::support::world::{World, all, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    IdentityId, Operation, OperationFilter, OperationId, OperationState, Plan, PlanId, PlanState, PlannedOperation,
    Provisioning, UserId,
};
use serde_json::json;
use uuid::Uuid;

conformance! {
    a_plan_is_made_by_one_process_and_begins_anew_with_another,
    a_plan_is_applied_once_and_in_place_of_what_was_held,
    what_is_refused_is_planned_again,
    old_plans_expire_and_are_forgotten,
    the_stamp_is_that_of_settings_and_not_of_a_pause,
}

fn plan(world: &World) -> Plan {
    Plan {
        id: PlanId::new(),
        organization: world.org(),
        target: world.directory.id.into(),
        state: PlanState::Making,
        selection: json!({ "kind": "all" }),
        stamp: None,
        summary: json!({}),
        problem: None,
        created_at: at(1),
        created_by: "owner".to_owned(),
        made_at: None,
        expires_at: at(1_000),
        decided_at: None,
        decided_by: None,
    }
}

fn planned(seq: u32, user: UserId, place: u32, action: &str) -> PlannedOperation {
    PlannedOperation {
        seq,
        identity: IdentityId::User(user),
        name: "anna".to_owned(),
        account: None,
        place,
        action: action.to_owned(),
        content: Some(json!({ "secret": seq })),
        changes: json!({ "after": { "mail": ["a"] } }),
        outcome: None,
    }
}

/// A plan that is ready, with these operations.
async fn ready(world: &World, operations: Vec<PlannedOperation>) -> Plan {
    let mut plan = plan(world);
    world.store.ask_plan(&plan).await.unwrap();
    assert_eq!(world.store.claim_plan(at(10), at(2)).await.unwrap().as_ref(), Some(&plan));
    assert!(world.store.add_to_plan(&plan, operations, (at(10), at(20))).await.unwrap());
    plan.state = PlanState::Ready;
    plan.stamp = Some("stamp".to_owned());
    plan.summary = json!({ "operations": 1 });
    assert!(world.store.finish_plan(&plan, at(20), at(3)).await.unwrap());
    plan.made_at = Some(at(3));
    plan
}

async fn a_plan_is_made_by_one_process_and_begins_anew_with_another(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let user = UserId::new();
    let asked = plan(&world);
    store.ask_plan(&asked).await.unwrap();
    assert_eq!(store.get_plan(other.org(), asked.id).await.unwrap(), None);
    assert_eq!(store.get_plan(world.org(), asked.id).await.unwrap().as_ref(), Some(&asked));
    assert_eq!(store.count_plans_being_made(world.org(), asked.target).await.unwrap(), 1);
    assert!(store.claim_plan(at(10), at(2)).await.unwrap().is_some());
    assert_eq!(store.claim_plan(at(10), at(3)).await.unwrap(), None, "somebody makes it");
    assert!(store.add_to_plan(&asked, vec![planned(0, user, 0, "create")], (at(10), at(12))).await.unwrap());
    // The process dies, and another one begins anew.
    assert!(store.claim_plan(at(30), at(12)).await.unwrap().is_some());
    assert!(!store.add_to_plan(&asked, vec![planned(1, user, 0, "create")], (at(12), at(14))).await.unwrap());
    assert!(!store.finish_plan(&asked, at(12), at(13)).await.unwrap(), "the first one has lost it");
    let found = store.plan_operations(world.org(), asked.id, &all()).await.unwrap();
    assert_eq!(found.items, []);
    assert!(store.add_to_plan(&asked, vec![planned(0, user, 0, "delete")], (at(30), at(31))).await.unwrap());
    let found = store.plan_operations(world.org(), asked.id, &all()).await.unwrap();
    assert_eq!(found.items, [planned(0, user, 0, "delete")]);
    assert_eq!(store.plan_operations(other.org(), asked.id, &all()).await.unwrap().items, []);
    assert!(!store.discard_plan(other.org(), asked.id, "x", at(14)).await.unwrap());
    assert!(store.discard_plan(world.org(), asked.id, "owner", at(14)).await.unwrap());
    assert!(!store.add_to_plan(&asked, Vec::new(), (at(31), at(32))).await.unwrap(), "it is discarded");
    let over = store.get_plan(world.org(), asked.id).await.unwrap().unwrap();
    assert_eq!((over.state, over.decided_by.as_deref()), (PlanState::Discarded, Some("owner")));
    let found = store.plan_operations(world.org(), asked.id, &all()).await.unwrap();
    assert_eq!(found.items[0].content, None, "what would have been sent is gone");
    assert_eq!(store.list_plans(world.org(), asked.target, &all()).await.unwrap().items, [over]);
    assert_eq!(store.list_plans(other.org(), asked.target, &all()).await.unwrap().items, []);
}

fn held(world: &World, user: UserId, state: OperationState, approved: bool) -> Operation {
    Operation {
        id: OperationId::new(),
        organization: world.org(),
        target: world.directory.id.into(),
        identity: IdentityId::User(user),
        name: "anna".to_owned(),
        account: None,
        place: 0,
        action: "delete".to_owned(),
        content: Some(json!({})),
        changes: json!({}),
        cause: "user.deleted".to_owned(),
        actor: None,
        state,
        generation: 0,
        created_at: at(1),
        sent_at: None,
        ended_at: None,
        elapsed_ms: None,
        answer: None,
        approved_by: approved.then(|| "owner".to_owned()),
        plan: None,
    }
}

async fn a_plan_is_applied_once_and_in_place_of_what_was_held(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let [anna, bert, cora] = [(); 3].map(|()| UserId::new());
    let operations = vec![planned(0, anna, 0, "move"), planned(1, anna, 1, "update"), planned(2, bert, 0, "disable")];
    let plan = ready(&world, operations).await;
    let (before, approved) =
        (held(&world, anna, OperationState::Held, false), held(&world, bert, OperationState::Waiting, true));
    let stays = held(&world, cora, OperationState::Held, false);
    let mut tx = store.begin_identities(world.org(), at(4)).await.unwrap();
    tx.insert_operations(&[before.clone(), approved.clone(), stays.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let apply = async |world: &World, now: i64| {
        let mut tx = store.begin_identities(world.org(), at(now)).await.unwrap();
        let applied = tx.apply_plan(&plan, "operator").await.unwrap();
        tx.commit().await.unwrap();
        applied
    };
    assert_eq!(apply(&other, 5).await, None);
    assert_eq!(apply(&world, 1_000).await, None, "it has expired by then");
    assert_eq!(apply(&world, 5).await, Some(3));
    assert_eq!(apply(&world, 6).await, None, "only once");
    let target = world.directory.id.into();
    let waiting = store.approved_operations(world.org(), target, 10).await.unwrap();
    let mut places: Vec<_> = waiting.iter().map(|it| (it.plan.unwrap().1, it.place, it.action.as_str())).collect();
    places.sort_unstable();
    assert_eq!(places, [(0, 0, "move"), (1, 1, "update"), (2, 0, "disable")]);
    assert!(waiting.iter().all(|it| it.content.is_some() && it.approved_by.as_deref() == Some("operator")));
    assert!(waiting.iter().all(|it| it.cause == "plan.applied" && it.plan.unwrap().0 == plan.id));
    let state = async |id| store.get_operation(world.org(), id).await.unwrap().unwrap().state;
    assert_eq!((state(before.id).await, state(approved.id).await), (OperationState::Dropped, OperationState::Dropped));
    assert_eq!(state(stays.id).await, OperationState::Held);
    let filter = OperationFilter { plan: Some(plan.id), ..OperationFilter::default() };
    assert_eq!(store.list_operations(world.org(), &filter, &all()).await.unwrap().items.len(), 3);
    assert!(store.list_operations(other.org(), &filter, &all()).await.unwrap().items.is_empty());
    assert_eq!(
        store.recent_operations(world.org(), target, at(0)).await.unwrap(),
        [],
        "what was approved does not count"
    );
}

async fn what_is_refused_is_planned_again(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let (anna, bert) = (UserId::new(), UserId::new());
    let plan = ready(&world, vec![planned(0, anna, 0, "update"), planned(1, bert, 0, "update")]).await;
    let rest = async |organization| store.unfinished_of_plan(organization, plan.id, Uuid::nil(), 10).await.unwrap();
    assert_eq!(rest(world.org()).await, [IdentityId::User(anna), IdentityId::User(bert)], "none is carried out yet");
    assert_eq!(rest(other.org()).await, []);
    let mut tx = store.begin_identities(world.org(), at(5)).await.unwrap();
    tx.apply_plan(&plan, "operator").await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let waiting = store.approved_operations(world.org(), plan.target, 10).await.unwrap();
    let of = |user| waiting.iter().find(|it| it.identity == IdentityId::User(user)).unwrap().id;
    let answer = json!({ "error": { "code": "changed_since_plan" } });
    let mut tx = store.begin_identities(world.org(), at(6)).await.unwrap();
    assert!(tx.send_operation(of(anna), 1).await.unwrap());
    assert_eq!(tx.refuse_operations(&[of(anna), of(bert)], &answer).await.unwrap(), 1, "what was sent is under way");
    let ended =
        postern_store::Ended { id: of(anna), state: OperationState::Succeeded, elapsed_ms: 1, answer: json!({}) };
    assert!(tx.end_operation(&ended).await.unwrap());
    tx.commit().await.unwrap();
    let found = store.plan_operations(world.org(), plan.id, &all()).await.unwrap().items;
    assert_eq!(found[0].outcome, Some((OperationState::Succeeded, Some(json!({})))));
    assert_eq!(found[1].outcome, Some((OperationState::Refused, Some(answer))));
    assert!(found.iter().all(|operation| operation.content.is_none()));
    assert_eq!(rest(world.org()).await, [IdentityId::User(bert)]);
}

async fn old_plans_expire_and_are_forgotten(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let plan = ready(&world, vec![planned(0, UserId::new(), 0, "create")]).await;
    assert_eq!(store.expire_plans(at(999)).await.unwrap(), 0);
    assert_eq!(store.forget_plan(at(9_999)).await.unwrap(), 0, "it could still be applied");
    assert_eq!(store.expire_plans(at(1_000)).await.unwrap(), 1);
    assert_eq!(store.expire_plans(at(1_000)).await.unwrap(), 0);
    assert_eq!(store.get_plan(world.org(), plan.id).await.unwrap().unwrap().state, PlanState::Expired);
    assert_eq!(store.plan_operations(world.org(), plan.id, &all()).await.unwrap().items[0].content, None);
    assert_eq!(store.forget_plan(at(1_000)).await.unwrap(), 0);
    assert_eq!(store.forget_plan(at(1_001)).await.unwrap(), 1);
    assert_eq!(store.get_plan(world.org(), plan.id).await.unwrap(), None);
    assert_eq!(store.plan_operations(world.org(), plan.id, &all()).await.unwrap().items, []);
}

async fn the_stamp_is_that_of_settings_and_not_of_a_pause(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let target = world.directory.id.into();
    let stamp = async || store.plan_stamp(world.org(), target).await.unwrap();
    assert_eq!(stamp().await, None);
    let save = async |known: u32, settings: u32, paused: bool| {
        let new = Provisioning {
            target,
            organization: world.org(),
            settings: json!({ "version": settings }),
            paused,
            revision: known,
            updated_at: at(1),
            updated_by: "owner".to_owned(),
        };
        store.save_provisioning(&new, known).await.unwrap();
    };
    save(0, 1, false).await;
    let first = stamp().await;
    save(1, 1, true).await;
    assert_eq!(stamp().await, first);
    save(2, 2, true).await;
    assert_ne!(stamp().await, first);
    assert_eq!(store.plan_stamp(other.org(), target).await.unwrap(), None);
    let everybody = store.comparable(world.org(), target, Uuid::nil(), 10).await.unwrap();
    assert_eq!(everybody, []);
}
