//! The agent or the control plane dies between any two steps of each operation: at the points that `runtime/src/failpoint.rs`
//! knows. The next process brings the operation to its end, and the server's own log shows each effect once.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use postern_tests::agent::{SitePolicySettings, WriteSettings};
use postern_tests::effects::{Counts, Effects, Kind};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, control_plane, scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{equal, in_state, nothing_under_way, rests};
use crate::provisioning::faults::PATIENCE;
use crate::provisioning::passwords::{ask, seal};

/// Where the control plane dies, in the order of an operation.
const CONTROL_PLANE: [&str; 6] = [
    "provisioning.decided",
    "provisioning.stored",
    "provisioning.sent",
    "provisioning.answered",
    "provisioning.written",
    "provisioning.acknowledged",
];
/// Where the agent dies. `directory.…` stands around each request to the directory.
const AGENT: [&str; 5] =
    ["operation.received", "directory.sending", "directory.answered", "operation.done", "operation.ended"];
/// Where it dies, too, if the directory needs a second request.
const SECOND_REQUEST: [&str; 2] = ["directory.sending 1", "directory.answered 1"];
/// A password that was set and not noted as set is set once more, to the same one: it cannot be read back.
const NOT_NOTED: [&str; 2] = ["directory.answered", "operation.done"];

/// A group of the directory, whose members the server does not keep up to date, and one of the organization.
const CLUB: &str = "club";
const TEAM: &str = "team";
const PASSWORD: &str = "Points-Marmot-4711";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    Update,
    Move,
    Disable,
    Enable,
    Delete,
    Password,
    Members,
}

use Operation::{Create, Delete, Disable, Enable, Members, Move, Password, Update};

impl Operation {
    fn points(self) -> Vec<&'static str> {
        let second = SECOND_REQUEST.iter().filter(|_| matches!(self, Move | Delete | Members));
        CONTROL_PLANE.iter().chain(&AGENT).chain(second).copied().collect()
    }

    /// The user of the round with this number.
    fn user(self, number: usize) -> String {
        format!("{self:?}{number:02}").to_lowercase()
    }

    /// What the directory does for it.
    fn wanted(self, user: &str, point: &str) -> Counts {
        let one = |kind| (user.to_owned(), kind);
        let club = ((CLUB.to_owned(), Kind::Modify), 1);
        match self {
            Create => [(one(Kind::Add), 1)].into(),
            Update | Disable | Enable => [(one(Kind::Modify), 1)].into(),
            Move => [(one(Kind::Move), 1), club].into(),
            Delete => [(one(Kind::Delete), 1), club].into(),
            Password => [(one(Kind::Password), 1 + u32::from(NOT_NOTED.contains(&point)))].into(),
            Members => [((TEAM.to_owned(), Kind::Modify), 2)].into(),
        }
    }
}

/// A site of its own, in which processes die at a point.
struct Lane {
    site: Site,
    /// Names the point.
    file: PathBuf,
    settings: Value,
    team: String,
}

impl Lane {
    async fn start(stage: &Stage) -> Result<Self> {
        let file = stage.folder("point")?.join("point");
        let mut options = control_plane::Options::for_tests()?;
        options.settings.push(("POSTERN_FAIL_AT".to_owned(), file.display().to_string()));
        let unit = |it: &str| format!("dn: ou={it},ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: {it}\n\n");
        let units = ["here", "there"].map(unit);
        let admin = Slapd::admin_dn();
        let club =
            format!("dn: cn={CLUB},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: {CLUB}\nmember: {admin}\n\n");
        let extra_ldif = units.concat() + &club;
        // Without overlays: whoever moves or deletes an entry has to care for the groups.
        let directory = slapd::Options { statements: true, extra_ldif, ..slapd::Options::people(3) };
        let mut site = Site::start_configured(stage, directory, options, |directory| {
            directory.bind_dn = Some(admin.clone());
            directory.write = Some(WriteSettings {
                user_container: Some(format!("ou=people,{SUFFIX}")),
                group_container: Some(format!("ou=groups,{SUFFIX}")),
                disable: Some("employeeType=disabled".to_owned()),
                placeholder_member: Some(admin),
            });
            directory.policy = Some(SitePolicySettings::default());
            // The administrator may write. If the file cannot be written, the import below fails.
            drop(directory.set_password(slapd::ADMIN_PASSWORD));
        })
        .await?;
        site.agent.set_env("POSTERN_FAIL_AT", &file);
        site.agent.restart(stage).await?;
        site.api.import(DIRECTORY).await?;
        let team = site.api.post("/api/v1/groups", json!({ "display_name": TEAM })).await?;
        let team = team["id"].as_str().context("no id")?.to_owned();
        let lane = Self { site, file, settings: settings(&team), team };
        lane.pause(false).await?;
        lane.make("keeper").await?;
        lane.site.api.put(&lane.member("keeper"), &json!({})).await?;
        wait::until_true("the team is there", PATIENCE, async || lane.lists(TEAM, "uid=keeper,").await).await?;
        lane.is_over_soon().await?;
        Ok(lane)
    }

    async fn pause(&self, paused: bool) -> Result<()> {
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
        self.site.api.put(&path, &json!({ "settings": self.settings, "paused": paused })).await.map(drop)
    }

    /// All points of an operation, one after the other.
    async fn walk(&mut self, stage: &Stage, operation: Operation) -> Result<()> {
        let points = operation.points();
        self.people(operation, points.len()).await?;
        for (number, point) in points.into_iter().enumerate() {
            let user = operation.user(number);
            self.round(stage, operation, &user, point).await.with_context(|| format!("{operation:?} at {point}"))?;
        }
        Ok(())
    }

    /// Users that the rounds need.
    async fn people(&self, operation: Operation, count: usize) -> Result<()> {
        if operation == Create {
            return Ok(());
        }
        let api = &self.site.api;
        for number in 0..count {
            let user = operation.user(number);
            self.make(&user).await?;
            if operation == Members {
                self.make(&leaver(&user)).await?;
                api.put(&self.member(&leaver(&user)), &json!({})).await?;
            }
        }
        nothing_under_way(&self.site).await?;
        for number in 0..count {
            let user = operation.user(number);
            wait::until_true("the user is there", PATIENCE, async || Ok(self.entry(&user).await?.is_some())).await?;
            match operation {
                Enable => drop(api.post(&format!("/api/v1/users/{user}/disable"), json!({})).await?),
                Move | Delete => {
                    let (dn, _) = self.entry(&user).await?.context("no entry")?;
                    let club = format!("dn: cn={CLUB},ou=groups,{SUFFIX}\nchangetype: modify\n");
                    self.site.slapd.apply(format!("{club}add: member\nmember: {dn}\n")).await?;
                }
                _ => {}
            }
        }
        for number in 0..count {
            let user = operation.user(number);
            wait::until_true("the user is ready", PATIENCE, async || self.is_ready(operation, &user).await).await?;
        }
        self.is_over_soon().await
    }

    /// Whether nothing has to be done before the operation.
    async fn is_ready(&self, operation: Operation, user: &str) -> Result<bool> {
        match operation {
            Enable => self.is_so(Disable, user).await,
            Members => self.lists(TEAM, &format!("uid={},", leaver(user))).await,
            _ => Ok(true),
        }
    }

    async fn make(&self, user: &str) -> Result<()> {
        let mail = format!("{user}@corp.example");
        let body = json!({"user_name": user, "family_name": user, "email": mail, "attributes": {"department": "here"}});
        self.site.api.post("/api/v1/users", body).await.map(drop)
    }

    async fn round(&mut self, stage: &Stage, operation: Operation, user: &str, point: &str) -> Result<()> {
        let sealed = match operation {
            Password => Some(seal(&self.site, user, PASSWORD).await?),
            _ => None,
        };
        if operation == Members {
            self.pause(true).await?;
            self.site.api.put(&self.member(user), &json!({})).await?;
            self.site.api.delete(&self.member(&leaver(user))).await?;
        }
        let before = self.succeeded().await?;
        let mut effects = Effects::since_now(&self.site.slapd)?;
        std::fs::write(&self.file, point)?;
        let changed = self.change(operation, user, sealed).await;
        let process = if CONTROL_PLANE.contains(&point) {
            // It may have died before it could say that the change is stored.
            self.site.control_plane.process()?
        } else {
            changed?;
            self.site.agent.process()?
        };
        process.wait(PATIENCE).await.context("the point was not reached")?;
        ensure!(!self.file.exists(), "it died of something else");
        if CONTROL_PLANE.contains(&point) {
            self.site.control_plane.run(stage).await?;
        } else {
            self.site.agent.start(stage)?;
        }
        wait::until_true("it has succeeded", PATIENCE, async || Ok(self.succeeded().await? != before)).await?;
        ensure!(self.is_so(operation, user).await?, "the directory is not as wanted");
        self.is_over_soon().await?;
        effects.look(&self.site.slapd)?;
        let wanted = operation.wanted(user, point);
        ensure!(*effects.counts() == wanted, "{effects:#?} instead of {wanted:?}");
        let done = self.succeeded().await?;
        ensure!(done.first() != before.first() && done.get(1) == before.first(), "more than one: {done:?}, {before:?}");
        Ok(())
    }

    /// The last two operations that have succeeded, the latest first.
    async fn succeeded(&self) -> Result<Vec<Value>> {
        let found = in_state(&self.site, "succeeded&limit=2").await?;
        Ok(found.iter().map(|operation| operation["id"].clone()).collect())
    }

    async fn change(&self, operation: Operation, user: &str, sealed: Option<Value>) -> Result<()> {
        let (api, path) = (&self.site.api, format!("/api/v1/users/{user}"));
        match operation {
            Create => self.make(user).await,
            Update => api.patch(&path, json!({ "email": format!("{user}.new@corp.example") })).await.map(drop),
            Move => api.patch(&path, json!({ "attributes": { "department": "there" } })).await.map(drop),
            Disable => api.post(&format!("{path}/disable"), json!({})).await.map(drop),
            Enable => api.post(&format!("{path}/enable"), json!({})).await.map(drop),
            Delete => api.delete(&path).await,
            Password => ask(&self.site, user, &sealed.context("nothing is sealed")?).await.map(drop),
            Members => self.pause(false).await,
        }
    }

    /// Whether the directory is as the operation wants it.
    async fn is_so(&self, operation: Operation, user: &str) -> Result<bool> {
        let Some((dn, entry)) = self.entry(user).await? else {
            return Ok(operation == Delete && !self.lists(CLUB, &format!("uid={user},")).await?);
        };
        Ok(match operation {
            Create => entry.text("mail") == format!("{user}@corp.example"),
            Update => entry.text("mail") == format!("{user}.new@corp.example"),
            Move => dn.contains(",ou=there,") && self.lists(CLUB, &dn).await?,
            Disable => entry.text("employeeType") == "disabled",
            Enable => entry.text("employeeType") != "disabled",
            Delete => false,
            Password => self.site.slapd.binds(&dn, PASSWORD).await?,
            Members => self.lists(TEAM, &dn).await? && !self.lists(TEAM, &format!("uid={},", leaver(user))).await?,
        })
    }

    async fn entry(&self, user: &str) -> Result<Option<(String, postern_tests::ldif::Entry)>> {
        let found = self.site.slapd.entries(&format!("(uid={user})")).await?;
        Ok(found.into_iter().next().map(|entry| (entry.dn.clone(), entry)))
    }

    /// Whether a group lists a member whose DN begins so.
    async fn lists(&self, group: &str, dn: &str) -> Result<bool> {
        let found = self.site.slapd.entries(&format!("(cn={group})")).await?;
        let group = found.first().context("no such group")?;
        Ok(group.values("member").iter().any(|member| String::from_utf8_lossy(member).starts_with(dn)))
    }

    fn member(&self, user: &str) -> String {
        format!("/api/v1/groups/{}/members/{user}", self.team)
    }

    /// Waits until nothing is under way, and nothing has failed.
    async fn is_over_soon(&self) -> Result<()> {
        nothing_under_way(&self.site).await?;
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning/failures");
        let failing = self.site.api.get(&path).await?;
        ensure!(failing["items"] == json!([]), "{failing:#}");
        Ok(())
    }
}

/// Who leaves the team when this user joins it.
fn leaver(user: &str) -> String {
    format!("{user}-before")
}

fn settings(team: &str) -> Value {
    let limit = json!({ "number": 1_000 });
    json!({
        "switches": {
            "create_users": true, "edit_users": true, "delete_users": true, "enable_disable_users": true,
            "create_groups": true, "sync_members": true, "sync_passwords": true,
        },
        "assignment": { "kind": "all" },
        "groups": [team],
        "leaving": "delete",
        "user_container": "'ou=' + attributes.department",
        "thresholds": {
            "creates": limit, "updates": limit, "disables": limit, "deletes": limit, "member_removals": limit,
        },
    })
}

/// Each operation has a site of its own. Most of the time they wait for processes that start.
fn walk(operations: [Operation; 4]) -> Result<()> {
    scenario(async |stage| {
        let walks = operations.map(async |operation| {
            let mut lane = Lane::start(stage).await?;
            lane.walk(stage, operation).await?;
            equal(&lane.site).await?;
            rests(&lane.site.api).await
        });
        try_join_all(walks).await.map(drop)
    })
}

#[test]
fn whoever_dies_between_two_steps_makes_changes_moves_and_deletes_an_entry_once() -> Result<()> {
    walk([Create, Update, Move, Delete])
}

#[test]
fn whoever_dies_between_two_steps_lets_users_in_and_out_and_sets_passwords_and_members_once() -> Result<()> {
    walk([Disable, Enable, Password, Members])
}
