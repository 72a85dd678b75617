//! Changes go out while processes are killed at random points: after each round both sides are equal, and the server's own
//! log shows each effect once.

mod people;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use self::people::People;
use crate::agent::{SitePolicySettings, WriteSettings};
use crate::control_plane;
use crate::effects::Effects;
use crate::relay::Fault;
use crate::seeded::Seeded;
use crate::site::{DIRECTORY, Site};
use crate::slapd::{self, SUFFIX, Slapd};
use crate::stage::Stage;
use crate::wait;

/// After a kill, until both sides are equal.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes of the line to the control plane, and of the line to the directory, within which a round is cut.
const WITHIN: [u64; 2] = [9_000, 6_000];

/// A site whose directory gets users of the organization, and what should be there.
#[derive(Debug)]
pub struct Campaign {
    site: Site,
    random: Seeded,
    people: People,
}

impl Campaign {
    /// Starts the site. Everything follows from the seed, but for the speed of the machine.
    pub async fn start(stage: &Stage, seed: u64) -> Result<Self> {
        let units = people::UNITS
            .map(|unit| format!("dn: ou={unit},ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: {unit}\n\n"))
            .concat();
        let options =
            slapd::Options { overlays: true, statements: true, extra_ldif: units, ..slapd::Options::people(3) };
        let site = Site::start_configured(stage, options, control_plane::Options::for_tests()?, |directory| {
            directory.bind_dn = Some(Slapd::admin_dn());
            directory.write = Some(WriteSettings {
                user_container: Some(format!("ou=people,{SUFFIX}")),
                group_container: Some(format!("ou=groups,{SUFFIX}")),
                disable: Some("employeeType=disabled".to_owned()),
                placeholder_member: Some(Slapd::admin_dn()),
            });
            directory.policy = Some(SitePolicySettings::default());
            // The administrator may write. If the file cannot be written, the import below fails.
            drop(directory.set_password(slapd::ADMIN_PASSWORD));
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        let group = site.api.post("/api/v1/groups", json!({ "display_name": people::GROUP })).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        site.api
            .put(&format!("/api/v1/directories/{DIRECTORY}/provisioning"), &json!({ "settings": settings(&group) }))
            .await?;
        Ok(Self { site, random: Seeded::new(seed), people: People::of(group) })
    }

    /// Makes some changes, kills a process in their middle, and checks what came of it.
    pub async fn round(&mut self, stage: &Stage) -> Result<()> {
        let mut effects = Effects::since_now(&self.site.slapd)?;
        let (process, which) = (self.random.below(3), usize::from(self.random.below(2) == 1));
        let bytes = 1 + self.random.below(WITHIN[which]);
        let held = if which == 0 { &self.site.line } else { &self.site.ldap_line };
        held.plan([(bytes, Fault::Hold)]);
        let wanted = self.people.change(&self.site.api, &mut self.random).await.context("the changes were refused")?;
        wait::until_true("the line was held, or all is done", PATIENCE, async || {
            Ok(held.faults_to_come() == 0 || self.is_over().await?)
        })
        .await?;
        held.plan([]);
        self.kill(stage, process).await?;
        let settled = wait::until_true("both sides are equal", PATIENCE, async || {
            self.retry().await?;
            Ok(self.is_over().await? && self.people.differ(&self.site.slapd).await?.is_none())
        })
        .await;
        let how = format!("process {process}, line {which}, {bytes} bytes");
        if let Err(error) = settled {
            let difference = self.people.differ(&self.site.slapd).await?;
            return Err(error).with_context(|| format!("{wanted:?}; {how}; {difference:?}"));
        }
        effects.look(&self.site.slapd)?;
        ensure!(effects.are(&wanted), "{effects:#?} instead of {wanted:?}; {how}");
        Ok(())
    }

    /// Kills the agent, the control plane, or both, and starts them again.
    async fn kill(&mut self, stage: &Stage, process: u64) -> Result<()> {
        let (agent, control_plane) = (process != 1, process != 0);
        if agent {
            self.site.agent.kill().await?;
        }
        if control_plane {
            self.site.control_plane.kill().await?;
        }
        for line in [&self.site.line, &self.site.ldap_line] {
            line.cut();
            line.resume();
        }
        if control_plane {
            self.site.control_plane.run(stage).await?;
        }
        if agent {
            self.site.agent.start(stage)?;
        }
        Ok(())
    }

    /// Whether no operation is open and nothing waits to be tried again.
    async fn is_over(&self) -> Result<bool> {
        for state in ["waiting", "sent"] {
            let found = self.site.api.get(&format!("/api/v1/reports/provisioning?state={state}")).await?;
            if found["items"].as_array().is_none_or(|items| !items.is_empty()) {
                return Ok(false);
            }
        }
        Ok(self.failing().await?.is_empty())
    }

    async fn failing(&self) -> Result<Vec<Value>> {
        let found = self.site.api.get(&format!("/api/v1/directories/{DIRECTORY}/provisioning/failures")).await?;
        Ok(found["items"].as_array().cloned().unwrap_or_default())
    }

    /// Tries again at once what has failed, as an administrator would.
    async fn retry(&self) -> Result<()> {
        for failing in self.failing().await? {
            // A group, and whoever was deleted, waits.
            let user = failing["id"].as_str().filter(|_| failing["kind"] == "user" && !failing["name"].is_null());
            if let Some(user) = user {
                let path = format!("/api/v1/users/{user}/provision");
                self.site.api.post(&path, json!({ "target": DIRECTORY })).await?;
            }
        }
        Ok(())
    }
}

fn settings(group: &str) -> Value {
    let limit = json!({ "number": 1_000_000 });
    json!({
        "switches": {
            "create_users": true, "edit_users": true, "delete_users": true, "enable_disable_users": true,
            "create_groups": true, "edit_groups": true, "sync_members": true,
        },
        "assignment": { "kind": "all" },
        "groups": [group],
        "leaving": "delete",
        "user_container": "'ou=' + attributes.department",
        "thresholds": {
            "creates": limit, "updates": limit, "disables": limit, "deletes": limit, "member_removals": limit,
        },
    })
}
