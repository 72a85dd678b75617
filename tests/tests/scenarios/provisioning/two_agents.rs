//! Two agents serve one directory. One is killed while operations and passwords are under way: the other one carries on, and
//! the server's own log shows each effect once.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::Agent;
use postern_tests::binaries::Binaries;
use postern_tests::process::Process;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{Stage, scenario, wait};
use serde_json::json;

use crate::provisioning::common::{all, equal, in_state, nothing_under_way, provision, rests, start, user};
use crate::provisioning::faults::{PATIENCE, USERS, arrived, crowd};

/// Whose passwords are set.
const NAMES: [&str; 4] = ["anna", "bert", "cora", "dora"];

async fn second_agent(stage: &Stage, site: &Site) -> Result<Agent> {
    let mut second = Agent::configured(stage, &Binaries::beside_this_program()?, &site.settings)?;
    second.enroll(&site.api.enrollment_token_for(&[DIRECTORY]).await?).await?;
    second.start(stage)?;
    wait::until_true("passwords can be sealed to both", wait::SOON, || async {
        let keys = site.api.get(&format!("/api/v1/directories/{DIRECTORY}/password-keys")).await?;
        Ok(keys["keys"].as_array().is_some_and(|keys| keys.len() == 2))
    })
    .await?;
    Ok(second)
}

/// How often the server has made each entry, by its name.
fn made(site: &Site) -> BTreeMap<String, u32> {
    let log = site.slapd.process().map(Process::log).unwrap_or_default();
    let place = |line: &str| line.split(' ').skip_while(|word| !word.starts_with("conn=")).take(2).collect::<String>();
    let mut asked = BTreeMap::new();
    let mut made = BTreeMap::new();
    for line in log.lines() {
        if let Some((_, dn)) = line.split_once(" ADD dn=\"") {
            asked.insert(place(line), dn.trim_end_matches('"').to_owned());
        } else if line.contains(" RESULT tag=105 err=0 ")
            && let Some(dn) = asked.remove(&place(line))
        {
            *made.entry(dn).or_default() += 1;
        }
    }
    made
}

#[test]
fn one_of_two_agents_is_killed_and_each_change_and_password_arrives_once() -> Result<()> {
    scenario(async |stage| {
        let mut site = start(stage).await?;
        let second = second_agent(stage, &site).await?;
        // Beside the site, which is asked while one of them dies.
        let idle = Agent::configured(stage, &Binaries::beside_this_program()?, &site.settings)?;
        let mut agents = [std::mem::replace(&mut site.agent, idle), second];
        let mut settings = all();
        settings["switches"]["sync_passwords"] = json!(true);
        settings["thresholds"] = json!({ "creates": { "number": 1_000 } });
        provision(&site, settings).await?;
        let mut ids = Vec::new();
        for name in NAMES {
            ids.push(user(&site, name).await?);
        }
        wait::until_true("they have accounts", wait::SOON, async || {
            let found = site.slapd.entries("(|(uid=anna)(uid=bert)(uid=cora)(uid=dora))").await?;
            Ok(found.len() == NAMES.len() && in_state(&site, "sent").await?.is_empty())
        })
        .await?;
        // The line to the directory stops in the middle of it all.
        site.ldap_line.plan([(30_000, Fault::Hold)]);
        crowd(&site, "two").await?;
        let password = |name: &str| {
            let line = site.control_plane.command_line(&site.api);
            line.args(["users", "set-password", name, "--target", DIRECTORY]).input(format!("Sealed-{name}-4711\n"))
        };
        let passwords = async {
            let [anna, bert, cora, dora] = NAMES.map(|name| password(name).success());
            tokio::try_join!(anna, bert, cora, dora)
        };
        let death = async {
            site.ldap_line.struck().await?;
            // The one that has the operations dies.
            let sent = in_state(&site, "sent").await?;
            let has =
                |agent: &&mut Agent| sent.iter().any(|it| it["id"].as_str().is_some_and(|id| agent.log().contains(id)));
            agents.iter_mut().find(has).context("neither agent has an operation")?.kill().await?;
            site.ldap_line.resume();
            anyhow::Ok(())
        };
        let (outcome, killed) = tokio::join!(passwords, death);
        killed?;
        outcome?;
        wait::until_true("all have arrived", PATIENCE, async || Ok(arrived(&site, "two").await? == USERS)).await?;
        nothing_under_way(&site).await?;
        ensure!(in_state(&site, "failed").await?.is_empty(), "{:?}", in_state(&site, "failed").await?);
        let twice: Vec<_> = made(&site).into_iter().filter(|(_, count)| *count > 1).collect();
        // The log has no result of a request whose connection broke.
        ensure!(made(&site).len() > USERS / 2 && twice.is_empty(), "{twice:?}");
        for (name, id) in NAMES.iter().zip(&ids) {
            let dn = format!("uid={name},ou=people,{SUFFIX}");
            ensure!(site.slapd.binds(&dn, &format!("Sealed-{name}-4711")).await?, "{name}");
            let path = format!("/api/v1/reports/provisioning?user={id}&action=set_password");
            let rows = site.api.get(&path).await?;
            ensure!(rows["items"].as_array().context("no report")?.len() == 1, "{rows:#}");
        }
        rests(&site.api).await?;
        equal(&site).await
    })
}
