//! The life of users and groups of the organization in a real Active Directory (Samba), from the hub through the agent.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{Agent, DirectorySettings, Settings, SitePolicySettings, WriteSettings};
use postern_tests::api::Api;
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::ldif::Entry;
use postern_tests::samba::Samba;
use postern_tests::site::DIRECTORY;
use postern_tests::{Stage, compare, scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::rests;

const PASSWORD: &str = "Sealed-Marmot-4711";
/// What accounts are compared by at the end.
const COMPARED: [&str; 6] = ["sAMAccountName", "userPrincipalName", "givenName", "sn", "mail", "userAccountControl"];

struct Domain {
    samba: Samba,
    control_plane: ControlPlane,
    api: Api,
    _agent: Agent,
}

/// Where the hub's people and groups are.
fn hub() -> String {
    format!("OU=hub,{}", Samba::staff_dn())
}

/// A domain with two containers that the agent may write to, and a directory without settings.
async fn start(stage: &Stage) -> Result<Domain> {
    let samba = Samba::start(stage).await?;
    let unit = |dn: String| format!("dn: {dn}\nobjectClass: organizationalUnit\n\n");
    samba.apply([hub(), format!("OU=Sales,{}", hub()), format!("OU=Support,{}", hub())].map(unit).concat()).await?;
    // Somebody is there already: an import without anybody fails.
    let resident = "objectClass: user\nsAMAccountName: resident\nuserAccountControl: 514\nsn: Resident\n";
    samba.apply(format!("dn: CN=resident,{}\n{resident}", hub())).await?;
    let options = Options::for_tests()?;
    let binaries = options.binaries.clone();
    let control_plane = ControlPlane::start(stage, options).await?;
    let api = control_plane.organization("Corp").await?;
    let mut ad = DirectorySettings::samba(DIRECTORY, &samba, stage.path())?;
    ad.users.base_dns = vec![hub()];
    ad.users.attributes.extend(["cn", "title", "accountExpires"].map(str::to_owned));
    ad.groups.base_dns = vec![hub()];
    ad.write =
        Some(WriteSettings { user_container: Some(hub()), group_container: Some(hub()), ..WriteSettings::default() });
    ad.policy = Some(SitePolicySettings::default());
    let settings = Settings { directories: vec![ad], ..Settings::default() };
    let mut agent = Agent::configured(stage, &binaries, &settings)?;
    agent.enroll(&api.enrollment_token().await?).await?;
    agent.start(stage)?;
    api.directory(DIRECTORY).await?;
    api.import(DIRECTORY).await?;
    let domain = Domain { samba, control_plane, api, _agent: agent };
    domain.rules(&[]).await?;
    Ok(domain)
}

impl Domain {
    /// The rules to begin with, those for a user principal name and a group's name, and further ones.
    async fn rules(&self, further: &[(&str, &str)]) -> Result<()> {
        let users = [
            ("sAMAccountName", "user_name"),
            ("userPrincipalName", "user_name + '@corp.example'"),
            ("cn", "any_of(display_name, user_name)"),
            ("givenName", "given_name"),
            ("sn", "family_name"),
            ("mail", "email"),
            ("title", "attributes.title"),
        ];
        let rule = |of: &str, (target, expression): &(&str, &str)| json!({"of": of, "target": target, "expression": expression});
        let users = users.iter().chain(further).map(|it| rule("users", it));
        let groups = [("cn", "display_name"), ("sAMAccountName", "display_name")];
        let rules: Vec<Value> = users.chain(groups.iter().map(|it| rule("groups", it))).collect();
        self.api.put(&format!("/api/v1/directories/{DIRECTORY}/outbound-mapping"), &json!({ "rules": rules })).await?;
        Ok(())
    }

    async fn provision(&self, groups: &[&str]) -> Result<()> {
        let settings = json!({
            "switches": {
                "create_users": true, "edit_users": true, "delete_users": true, "enable_disable_users": true,
                "sync_passwords": true, "create_groups": true, "edit_groups": true, "delete_groups": true,
                "sync_members": true,
            },
            "assignment": { "kind": "all" },
            "groups": groups,
            "leaving": "delete",
            "user_container": "'ou=' + attributes.department",
        });
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
        self.api.put(&path, &json!({ "settings": settings })).await.map(|_| ())
    }

    async fn create(&self, name: &str) -> Result<String> {
        let body = json!({"user_name": name, "given_name": "Anna", "family_name": "Bell",
            "email": format!("{name}@corp.example"), "attributes": {"department": "Sales"}});
        let user = self.api.post("/api/v1/users", body).await?;
        Ok(user["id"].as_str().context("no id")?.to_owned())
    }

    /// The operations of somebody, the first one first.
    async fn operations(&self, id: &str) -> Result<Vec<Value>> {
        let report = self.api.get(&format!("/api/v1/reports/provisioning?user={id}")).await?;
        Ok(report["items"].as_array().cloned().unwrap_or_default().into_iter().rev().collect())
    }

    /// Waits until that many operations of somebody have succeeded, and returns what they did. Nothing else may fail than to
    /// enable an account that has no password yet.
    async fn done(&self, id: &str, count: usize) -> Result<Vec<String>> {
        let what = format!("{count} operations have succeeded");
        let all = wait::until(&what, wait::SOON, async || {
            let all = self.operations(id).await?;
            let ended = all.iter().all(|operation| !operation["ended_at"].is_null());
            let succeeded = all.iter().filter(|operation| operation["state"] == "succeeded").count();
            Ok((ended && succeeded >= count).then_some(all))
        })
        .await?;
        let (succeeded, others): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|it| it["state"] == "succeeded");
        let too_early = |it: &Value| it["action"] == "enable" && it["answer"].to_string().contains("no password yet");
        ensure!(others.iter().all(too_early), "{others:#?}");
        Ok(succeeded.iter().filter_map(|operation| operation["action"].as_str().map(str::to_owned)).collect())
    }

    async fn entry(&self, login: &str) -> Result<Option<Entry>> {
        let names = ["*", "objectGUID"];
        Ok(self.samba.entries(&format!("(sAMAccountName={login})"), &names).await?.into_iter().next())
    }

    /// Fails if the hub has an account that is enabled and whose password was never set.
    async fn nobody_is_enabled_without_a_password(&self) -> Result<()> {
        // [MS-ADTS] 2.2.16: bit 2 is a disabled account.
        let filter = "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(pwdLastSet=0))";
        let found = self.samba.entries(filter, &["cn"]).await?;
        let found: Vec<&String> = found.iter().map(|entry| &entry.dn).filter(|dn| dn.contains("OU=hub")).collect();
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    }

    async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        let set = self.control_plane.command_line(&self.api);
        let set = set.args(["users", "set-password", user, "--target", DIRECTORY]);
        set.input(format!("{password}\n")).success().await.map(drop)
    }

    async fn binds(&self, user: &str) -> Result<bool> {
        self.samba.can_bind(&format!("{user}@corp.example"), PASSWORD).await
    }

    /// What the control plane knows of users is what the domain has.
    async fn compare(&self, logins: &[&str]) -> Result<()> {
        let mut entries = Vec::new();
        for login in logins.iter().chain(&["resident"]) {
            let mut entry = self.entry(login).await?.context("no entry")?;
            let guid: [u8; 16] = entry.values("objectGUID").first().context("no id")?.as_slice().try_into()?;
            let guid = uuid::Uuid::from_bytes_le(guid).to_string();
            entry.attributes.insert("external".to_owned(), vec![guid.into_bytes()]);
            entries.push(entry);
        }
        let accounts = self.api.accounts(DIRECTORY, "user").await?;
        compare::same_accounts(&entries, &accounts, "external", &COMPARED)
    }
}

#[test]
fn a_user_of_the_hub_lives_in_samba_and_is_never_enabled_without_a_password() -> Result<()> {
    scenario(async |stage| {
        let domain = start(stage).await?;
        let group = domain.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        domain.provision(&[&group]).await?;
        let anna = domain.create("anna").await?;
        ensure!(domain.done(&anna, 1).await? == ["create"]);
        let entry = domain.entry("anna").await?.context("no entry")?;
        ensure!(entry.dn == format!("CN=anna,OU=Sales,{}", hub()), "{}", entry.dn);
        ensure!(entry.text("userPrincipalName") == "anna@corp.example" && entry.text("userAccountControl") == "514");
        domain.nobody_is_enabled_without_a_password().await?;
        waits_for_a_password(&domain, &anna).await?;
        // The first password, and only then she is enabled.
        domain.set_password("anna", PASSWORD).await?;
        ensure!(domain.done(&anna, 3).await? == ["create", "set_password", "enable"]);
        ensure!(domain.binds("anna").await?);
        let path = format!("/api/v1/users/{anna}");
        domain.api.patch(&path, json!({"email": "bell@corp.example"})).await?;
        ensure!(domain.done(&anna, 4).await?.last().is_some_and(|action| action == "update"));
        domain.api.patch(&path, json!({"attributes": {"department": "Support"}})).await?;
        ensure!(domain.done(&anna, 5).await?.last().is_some_and(|action| action == "move"));
        let entry = domain.entry("anna").await?.context("no entry")?;
        ensure!(entry.dn == format!("CN=anna,OU=Support,{}", hub()) && entry.text("mail") == "bell@corp.example");
        domain.api.post(&format!("{path}/disable"), json!({})).await?;
        domain.done(&anna, 6).await?;
        ensure!(!domain.binds("anna").await?, "she is disabled");
        domain.api.post(&format!("{path}/enable"), json!({})).await?;
        domain.done(&anna, 7).await?;
        ensure!(domain.binds("anna").await?, "she is enabled");
        domain.compare(&["anna"]).await?;
        members(&domain, &group, &anna).await?;
        rests(&domain.api).await?;
        // Gone, and a new person of that name gets a new entry, disabled and without a password.
        let guid = |entry: &Entry| entry.values("objectGUID").to_vec();
        domain.api.delete(&path).await?;
        domain.done(&anna, 8).await?;
        ensure!(domain.entry("anna").await?.is_none());
        let second = domain.create("anna").await?;
        domain.done(&second, 1).await?;
        let again = domain.entry("anna").await?.context("no entry")?;
        ensure!(again.text("userAccountControl") == "514" && guid(&again) != guid(&entry), "{again:?}");
        domain.nobody_is_enabled_without_a_password().await?;
        domain.compare(&["anna"]).await
    })
}

/// An account that has no password yet waits for it, and counts as no failure.
async fn waits_for_a_password(domain: &Domain, id: &str) -> Result<()> {
    let refused = async || {
        let all = domain.operations(id).await?;
        Ok(all.last().is_some_and(|last| last["action"] == "enable" && last["state"] == "refused"))
    };
    wait::until_true("it is found to have no password", wait::SOON, refused).await?;
    let failures = domain.api.get(&format!("/api/v1/directories/{DIRECTORY}/provisioning/failures")).await?;
    let failing = failures["items"].as_array().context("no list")?.iter().any(|it| it["id"] == id);
    ensure!(!failing, "{failures:#}");
    Ok(())
}

/// A group of the hub gets a member and loses it.
async fn members(domain: &Domain, group: &str, anna: &str) -> Result<()> {
    let members = async || {
        let found = domain.samba.entries("(sAMAccountName=Pilots)", &["member"]).await?;
        anyhow::Ok(found.first().map(|entry| entry.values("member").len()))
    };
    let path = format!("/api/v1/groups/{group}/members/{anna}");
    wait::until_true("the group is there", wait::SOON, async || Ok(members().await? == Some(0))).await?;
    domain.api.put(&path, &json!({})).await?;
    wait::until_true("she is a member", wait::SOON, async || Ok(members().await? == Some(1))).await?;
    domain.api.delete(&path).await?;
    wait::until_true("she is no member", wait::SOON, async || Ok(members().await? == Some(0))).await?;
    let path = format!("/api/v1/groups/{group}?provisioned=true");
    domain.api.delete(&path).await?;
    wait::until_true("the group is gone", wait::SOON, async || Ok(members().await?.is_none())).await
}

#[test]
fn a_date_of_the_hub_ends_an_account_in_samba_and_is_sent_once() -> Result<()> {
    scenario(async |stage| {
        let domain = start(stage).await?;
        domain.rules(&[("accountExpires", "attributes.contract_end")]).await?;
        domain.provision(&[]).await?;
        let anna = domain.create("anna").await?;
        domain.done(&anna, 1).await?;
        domain.set_password("anna", PASSWORD).await?;
        domain.done(&anna, 3).await?;
        let expires = async || anyhow::Ok(domain.entry("anna").await?.context("no entry")?.text("accountExpires"));
        let path = format!("/api/v1/users/{anna}");
        for (count, (end, kept)) in
            [(json!("2120-06-30"), "163936224000000000"), (Value::Null, "9223372036854775807")].into_iter().enumerate()
        {
            domain.api.patch(&path, json!({"attributes": {"contract_end": end}})).await?;
            domain.done(&anna, 4 + count).await?;
            ensure!(expires().await? == kept, "{end}: {}", expires().await?);
            ensure!(domain.binds("anna").await?, "{end}");
            rests(&domain.api).await?;
        }
        domain.compare(&["anna"]).await?;
        domain.api.patch(&path, json!({"attributes": {"contract_end": "2020-06-30T00:00:00Z"}})).await?;
        domain.done(&anna, 6).await?;
        ensure!(expires().await? == "132379488000000000" && !domain.binds("anna").await?, "the account has ended");
        Ok(())
    })
}

#[test]
fn the_help_desk_unlocks_a_user_and_a_value_that_is_there_twice_is_written_once() -> Result<()> {
    scenario(async |stage| {
        let domain = start(stage).await?;
        let phones = json!({"name": "phones", "type": "string_list"});
        domain.api.post("/api/v1/attributes", phones).await?;
        domain.rules(&[("otherTelephone", "attributes.phones")]).await?;
        domain.provision(&[]).await?;
        let anna = domain.create("anna").await?;
        domain.done(&anna, 1).await?;
        domain.set_password("anna", PASSWORD).await?;
        domain.done(&anna, 3).await?;
        domain.api.patch(&format!("/api/v1/users/{anna}"), json!({"attributes": {"phones": ["5", "5", "6"]}})).await?;
        domain.done(&anna, 4).await?;
        rests(&domain.api).await?;

        let threshold = "dn: DC=corp,DC=example\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n";
        domain.samba.apply(threshold).await?;
        for _ in 0..3 {
            ensure!(!domain.samba.can_bind("anna@corp.example", "Wr0ng!horse").await?);
        }
        ensure!(!domain.binds("anna").await?, "not locked");
        let unlock = domain.control_plane.command_line(&domain.api);
        unlock.args(["users", "unlock", "anna", "--target", DIRECTORY]).success().await?;
        ensure!(domain.binds("anna").await?, "still locked");
        ensure!(domain.done(&anna, 5).await?.last().is_some_and(|last| last == "unlock"));
        rests(&domain.api).await
    })
}
