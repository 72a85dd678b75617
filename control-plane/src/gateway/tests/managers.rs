//! Who manages a user, and what the values of accounts mean.

use std::sync::Arc;

use postern_engine::identity::trial;
use postern_engine::services::managers::Manager;
use postern_engine::services::{Actor, Services};
use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_store::JobState;
use serde_json::json;

use super::chunks::Chunk;
use super::company::Line;
use crate::api::tests::ClosedGate;

/// Three people: the first two name a manager, each in another way of writing.
fn chain(of_anna: &str, of_ben: &str) -> Vec<Chunk> {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    for (uid, manager) in [("anna", of_anna), ("ben", of_ben), ("carl", "")] {
        let mut entry = writer.entry(Kind::User, &format!("id-{uid}"), &format!("uid={uid},ou=people,dc=x"), Some(uid));
        entry.attribute("uid", [uid.as_bytes()]);
        entry.attribute("displayName", [format!("The {uid}").as_bytes()]);
        entry.attribute("pwdLastSet", [b"116444736010000000".as_slice()]);
        entry.attribute("userAccountControl", [b"514".as_slice()]);
        if !manager.is_empty() {
            entry.attribute("manager", [manager.as_bytes()]);
        }
        entry.switch(Switch::On);
        entry.finish();
    }
    let digest = writer.digest();
    vec![Chunk { users: 3, groups: 0, digest, payload: writer.finish() }]
}

impl Line {
    async fn manager(&self, services: &Services, user: &str) -> Option<Manager> {
        let actor = Actor::machine(self.site.organization);
        services.users(&actor).unwrap().get(user).await.unwrap().manager
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_is_the_user_whose_entry_is_named() {
    let mut line = Line::start().await;
    let services = Services::new(line.site.store().clone(), line.site.clock(), Arc::<ClosedGate>::default());
    let chunks = chain("UID=Ben, OU=people,dc=x", "uid=gone,ou=people,dc=x");
    let job = line.site.import(&line.agent, &mut line.session, &chunks).await;
    line.site.wait_for(job, JobState::Succeeded).await;
    let of_anna = line.manager(&services, "anna").await.unwrap();
    assert_eq!((of_anna.directory.as_str(), of_anna.dn.as_str()), ("corp", "UID=Ben, OU=people,dc=x"));
    assert_eq!(of_anna.user.unwrap().user_name, "ben");
    let of_ben = line.manager(&services, "ben").await.unwrap();
    assert_eq!((of_ben.dn.as_str(), of_ben.user), ("uid=gone,ou=people,dc=x", None), "an entry that is nobody's");
    assert!(line.manager(&services, "carl").await.is_none());

    let job = line.site.import(&line.agent, &mut line.session, &chain("uid=carl,ou=people,dc=x", "")).await;
    line.site.wait_for(job, JobState::Succeeded).await;
    assert_eq!(line.manager(&services, "anna").await.unwrap().user.unwrap().user_name, "carl");
    assert!(line.manager(&services, "ben").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_an_account_have_a_meaning_beside_what_the_directory_wrote() {
    let mut line = Line::start().await;
    let job = line.site.import(&line.agent, &mut line.session, &chain("uid=ben,ou=people,dc=x", "")).await;
    line.site.wait_for(job, JobState::Succeeded).await;
    let services = Services::new(line.site.store().clone(), line.site.clock(), Arc::<ClosedGate>::default());
    let actor = Actor::machine(line.site.organization);
    let account = services.accounts(&actor).unwrap().get("anna").await.unwrap();
    let meanings = trial::meanings(&account);
    let of = |name: &str| {
        let input = meanings.iter().find(|input| input.name == name).unwrap();
        (input.kind.clone(), input.raw.clone(), json!(input.values))
    };
    let raw = vec!["116444736010000000".to_owned()];
    assert_eq!(of("pwdLastSet"), ("a FILETIME".to_owned(), raw, json!(["1970-01-01T00:00:01Z"])));
    let raw = vec!["uid=ben,ou=people,dc=x".to_owned()];
    assert_eq!(of("manager"), ("a DN".to_owned(), raw.clone(), json!(raw)));
    assert_eq!(of("flags.disabled"), ("a flag".to_owned(), Vec::new(), json!([true])));
}
