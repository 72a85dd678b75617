//! No organization sees or changes what is another's.

use crate::support::world::{World, account_of, all, at, enrollment, external_id, hash};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, AnnouncedDirectory, ApiTokenId, Comparison, DirectoryChange, EnrollmentTokenId, Error, Flavour,
    GroupId, GroupRow, JobFilter, JobId, NewAccount, NewApiToken, Role, Store, Unseen, UserRow, Wake, fold,
};

conformance! {
    no_read_finds_what_is_anothers,
    no_write_finds_what_is_anothers,
    an_import_that_is_given_foreign_ids_changes_nothing_of_theirs,
}

/// Two organizations, and all data of the second, which the first must not see.
struct Neighbours {
    mine: World,
    theirs: World,
    token: ApiTokenId,
    enrollment_token: EnrollmentTokenId,
    job: JobId,
    person: (UserRow, NewAccount),
    team: (GroupRow, NewAccount),
    rival: NewAccount,
}

async fn neighbours(store: &Store) -> Neighbours {
    let (mine, theirs) = (World::new(store, "mine").await, World::new(store, "theirs").await);
    let foreign = theirs.directory.id;
    let new = NewApiToken { name: "t".to_owned(), hash: hash("t"), role: Role::Owner, expires_at: None };
    let token = store.create_api_token(theirs.org(), new, at(0)).await.unwrap().id;
    let enrollment_token = store.create_enrollment_token(theirs.org(), enrollment("e"), at(0)).await.unwrap().id;
    let job = theirs.create("import").await.id;
    let (person, team) = (theirs.person("anna"), theirs.team("staff"));
    theirs.import(std::slice::from_ref(&person), std::slice::from_ref(&team)).await;
    let mut tx = store.begin_intake(theirs.org(), foreign, at(0)).await.unwrap();
    tx.replace_members(vec![(team.0.id, vec![person.1.dn_key.clone(), "nobody".to_owned()])]).await.unwrap();
    tx.record_chunks(job, 1, vec![postern_store::StagedChunk::default()]).await.unwrap();
    let mut rival = account_of(AccountKind::User, "rival", None);
    rival.conflict = Some(fold("anna"));
    tx.insert_accounts(vec![rival.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    Neighbours { mine, theirs, token, enrollment_token, job, person, team, rival }
}

async fn no_read_finds_what_is_anothers(database: TestDatabase) {
    let store = &database.store;
    let Neighbours { mine, theirs, token, enrollment_token, job, person, team, .. } = neighbours(store).await;
    let (me, foreign) = (mine.org(), theirs.directory.id);
    assert_eq!(store.get_api_token(me, token).await.unwrap(), None);
    assert_eq!(store.list_api_tokens(me, &all()).await.unwrap().items, []);
    assert_eq!(store.get_enrollment_token(me, enrollment_token).await.unwrap(), None);
    assert_eq!(store.get_agent(me, theirs.agent.id).await.unwrap(), None);
    assert_eq!(store.list_agents(me, &all()).await.unwrap().items, std::slice::from_ref(&mine.agent));
    assert_eq!(store.get_directory(me, foreign).await.unwrap(), None);
    assert_eq!(store.list_directories(me, &all()).await.unwrap().items, std::slice::from_ref(&mine.directory));
    assert_eq!(store.get_job(me, job).await.unwrap(), None);
    assert_eq!(store.list_jobs(me, &JobFilter::default(), &all()).await.unwrap().items, []);
    assert_eq!(store.staged(me, job, 1).await.unwrap().chunks, 0);
    assert_eq!(store.staged_keys(me, job, 1, 0, 10).await.unwrap(), []);
    assert_eq!(store.get_account(me, person.1.id).await.unwrap(), None);
    assert_eq!(store.list_accounts(me, foreign, AccountKind::User, &all()).await.unwrap().items, []);
    let entries = [(person.1.external_key.clone(), person.1.hash)];
    let compared = store.compare_accounts(me, foreign, AccountKind::User, &entries).await.unwrap();
    assert_eq!(compared, [Comparison::New]);
    let unseen = store.unseen_accounts(me, foreign, AccountKind::User, |_| false).await.unwrap();
    assert_eq!(unseen, Unseen::default());
    assert_eq!(store.heirs(me, foreign, job, person.1.id, 10).await.unwrap(), []);
    assert_eq!(store.joined_accounts(me, foreign, 10).await.unwrap().0, 0);
    assert_eq!(store.accounts_without_login(me, foreign, 10).await.unwrap().0, 0);
    assert_eq!(store.unsettled_groups(me, foreign, person.1.id, 10).await.unwrap(), []);
    assert_eq!(store.list_conflicts(me, foreign, &all()).await.unwrap().items, []);
    assert_eq!(store.unresolved_members(me, foreign, 10).await.unwrap(), []);
    assert_eq!(store.get_user(me, person.0.id).await.unwrap(), None);
    assert_eq!(store.find_user(me, "anna").await.unwrap(), None);
    assert_eq!(store.list_users(me, Some("a"), &all()).await.unwrap().items, []);
    assert_eq!(store.count_users(me).await.unwrap(), 0);
    assert_eq!(store.accounts_of(me, person.0.id.as_uuid()).await.unwrap(), []);
    assert_eq!(store.groups_of(me, person.0.id.as_uuid(), &all()).await.unwrap().items, []);
    assert_eq!(store.get_group(me, team.0.id).await.unwrap(), None);
    assert_eq!(store.list_groups(me, None, &all()).await.unwrap().items, []);
    assert_eq!(store.count_groups(me).await.unwrap(), 0);
    assert_eq!(store.list_group_members(me, team.0.id, &all()).await.unwrap().items, []);
}

async fn no_write_finds_what_is_anothers(database: TestDatabase) {
    let store = &database.store;
    let Neighbours { mine, theirs, token, enrollment_token, job, .. } = neighbours(store).await;
    let (me, foreign) = (mine.org(), theirs.directory.id);
    let mut wakes = store.listen().await.unwrap();
    let not_found = |error: Error| assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    not_found(store.revoke_api_token(me, token, at(1)).await.unwrap_err());
    not_found(store.revoke_enrollment_token(me, enrollment_token, at(1)).await.unwrap_err());
    not_found(store.revoke_agent(me, theirs.agent.id, at(1)).await.unwrap_err());
    not_found(store.update_directory(me, foreign, DirectoryChange::default()).await.unwrap_err());
    not_found(store.delete_directory(me, foreign, at(1)).await.unwrap_err());
    not_found(store.request_cancel(me, job, at(1)).await.unwrap_err());
    not_found(store.approve_job(me, job, "eve", at(1)).await.unwrap_err());
    not_found(store.reject_job(me, job, "eve", None, at(1)).await.unwrap_err());
    not_found(store.begin_intake(me, foreign, at(1)).await.unwrap_err());
    let mut new = mine.job("import");
    new.directory = foreign;
    not_found(store.create_job(new, at(1)).await.unwrap_err());
    store.drop_staged(me, job).await.unwrap();
    assert!(
        store
            .announce_directories(
                me,
                theirs.agent.id,
                &[AnnouncedDirectory { name: "x".to_owned(), flavour: Flavour::Generic }],
                at(1)
            )
            .await
            .is_err()
    );
    assert_eq!(store.staged(theirs.org(), job, 1).await.unwrap().chunks, 1);
    // None of this woke anybody: the first wake-up is for a job of the own organization.
    mine.create("import").await;
    assert_eq!(wakes.recv().await.unwrap(), Wake::JobReady(mine.directory.id));
    assert_eq!(store.get_agent(theirs.org(), theirs.agent.id).await.unwrap().unwrap().revoked_at, None);
    assert_eq!(store.get_job(theirs.org(), job).await.unwrap().unwrap().state, postern_store::JobState::Queued);
    assert_eq!(store.get_directory(theirs.org(), foreign).await.unwrap(), Some(theirs.directory));
}

async fn an_import_that_is_given_foreign_ids_changes_nothing_of_theirs(database: TestDatabase) {
    let store = &database.store;
    let Neighbours { mine, theirs, job, person, team, rival, .. } = neighbours(store).await;
    let me = mine.org();
    let mut tx = store.begin_intake(me, mine.directory.id, at(1)).await.unwrap();
    let mut stolen = person.clone();
    stolen.0.user_name = String::from("stolen");
    stolen.1.dn = String::from("stolen");
    tx.identities().update_users(vec![stolen.0]).await.unwrap();
    tx.update_accounts(vec![stolen.1]).await.unwrap();
    tx.mark_missing(job, &[person.1.id]).await.unwrap();
    assert_eq!(tx.identities().link_accounts(&[(rival.id, GroupId::new().as_uuid())]).await.unwrap(), 0);
    assert_eq!(tx.link_nameless(&[(rival.id, GroupId::new().as_uuid())]).await.unwrap(), 0);
    let decided = tx.decide_conflict(rival.id, "anna", person.0.id).await;
    assert!(matches!(decided, Err(Error::NotFound { .. })), "{decided:?}");
    assert_eq!(tx.held_users(&[person.0.id]).await.unwrap(), []);
    assert_eq!(tx.take_over(&[person.0.id]).await.unwrap(), 0);
    assert_eq!(tx.mark_joined(&[person.1.id, rival.id]).await.unwrap(), 0);
    tx.identities().give_up_names(&[person.0.id]).await.unwrap();
    tx.identities().update_profiles(vec![UserRow { email: None, ..person.0.clone() }]).await.unwrap();
    assert_eq!(tx.group_names_here(vec!["staff".to_owned()]).await.unwrap(), [] as [&str; 0]);
    assert_eq!(tx.groups_that_left(job, vec!["staff".to_owned()]).await.unwrap(), []);
    let foreign_group = tx.replace_members(vec![(team.0.id, Vec::new())]).await;
    assert!(matches!(foreign_group, Err(Error::NotFound { .. })));
    assert_eq!(tx.users_by_name(&["anna".to_owned()], None).await.unwrap(), []);
    tx.commit().await.unwrap();
    assert_eq!(store.get_user(theirs.org(), person.0.id).await.unwrap(), Some(person.0.clone()));
    let kept = store.get_account(theirs.org(), person.1.id).await.unwrap().unwrap();
    assert_eq!((kept.dn, kept.missing_since), (person.1.dn.clone(), None));
    assert_eq!(store.staged(theirs.org(), job, 1).await.unwrap().chunks, 1);
    let members = store.list_group_members(theirs.org(), team.0.id, &all()).await.unwrap().items;
    assert_eq!(members.iter().filter(|member| member.identity.is_some()).count(), 1);
    assert_eq!(kept.external_key.to_text(), external_id("anna"));
}
