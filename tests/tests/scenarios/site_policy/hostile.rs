//! Thousands of forbidden operations: none of them reaches the directory, and each that the policy refuses is in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use postern_agent::command::{CommandId, Key};
use postern_agent::failure::{Code, Failure};
use postern_agent::policy::{Policy, Records, Rules};
use postern_agent::served::write::{AttributeChange, BothChanged, Change, Done, Effect, Operation, Subject};
use postern_directory::{Directory, Phase};
use postern_runtime::clock::SystemClock;
use postern_tests::agent::DirectorySettings;
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::writing::{configured, writer_access, written};
use postern_tests::{Stage, scenario};
use serde_json::Value;
use uuid::Uuid;

use crate::site_policy::chance::Chance;
use crate::site_policy::forbidden::Maker;
use crate::site_policy::tree::{PEOPLE, policy, tree};

/// How many operations are tried, unless [`VARIABLE`] says so.
const TRIES: u32 = 5_000;
/// `cargo xtask bench hostile --tries 100000` sets it.
const VARIABLE: &str = "POSTERN_HOSTILE_TRIES";
const SEED: u64 = 0x5057_0051;

struct Site {
    directory: Directory,
    policy: Policy,
    tried: u128,
}

impl Site {
    async fn start(stage: &Stage, server: &Slapd) -> Result<Self> {
        let rules = writer_access();
        server.set_access(&[&rules[0], &rules[1]]).await?;
        server.apply(tree()).await?;
        let settings = DirectorySettings::slapd("corp", server, stage.path())?;
        let directory = configured(&(toml::to_string(&settings)? + &policy()))?;
        let rules = Arc::new(Rules::new(directory.config()));
        let records = Arc::new(Records::new(stage.path(), SystemClock::shared()));
        let directories = BTreeMap::from([("corp".to_owned(), rules)]);
        Ok(Self { directory, policy: Policy { directories, records: Some(records), ..Policy::default() }, tried: 0 })
    }

    /// As the agent does it for a command.
    async fn operate(&mut self, operation: &Operation) -> Result<Done, Failure> {
        use postern_agent::served::ServedDirectory;
        self.tried += 1;
        let key = Key { id: CommandId(Uuid::from_u128(self.tried)), generation: 1 };
        let veto = self.policy.veto(key, "corp", operation);
        veto.beforehand().map_err(|denied| Failure::new(Code::DeniedBySitePolicy, denied.to_string()))?;
        let done = ServedDirectory::operate(&self.directory, operation, &veto).await;
        veto.ended(&done);
        done
    }
}

/// The beginning of a DN to its external id.
async fn ids(server: &Slapd) -> Result<BTreeMap<String, String>> {
    let mut ids = BTreeMap::new();
    for dn in PEOPLE.iter().map(|uid| format!("uid={uid},")).chain(
        ["uid=bert,ou=staff,ou=people,", "cn=admins,ou=groups,", "cn=inner,ou=groups,", "cn=team,ou=groups,"]
            .map(str::to_owned),
    ) {
        let entry = server.operational(&format!("{dn}{SUFFIX}")).await?;
        ids.insert(dn, entry.text("entryUUID"));
    }
    Ok(ids)
}

/// The agent's own log, with the files that were put aside.
fn log(stage: &Stage) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    let aside = (1..10).rev().map(|number| format!("audit.jsonl.{number}"));
    for name in aside.chain(["audit.jsonl".to_owned()]) {
        let text = match std::fs::read_to_string(stage.path().join(&name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            text => text.context(name)?,
        };
        for line in text.lines() {
            lines.push(serde_json::from_str(line).context("a line of the log")?);
        }
    }
    Ok(lines)
}

fn tries() -> Result<u32> {
    std::env::var(VARIABLE).map_or(Ok(TRIES), |number| number.parse().context(VARIABLE))
}

/// Of which kind an operation is, for the eye.
fn kind(operation: &Operation) -> String {
    let change = format!("{:?}", operation.change);
    let change: String = change.chars().take_while(char::is_ascii_alphanumeric).collect();
    format!("{:?} {change}", operation.phase)
}

#[test]
fn a_hostile_control_plane_gets_nothing_written() -> Result<()> {
    scenario(async |stage| {
        let options = slapd::Options { overlays: true, statements: true, ..slapd::Options::people(3) };
        let server = Slapd::start(stage, options).await?;
        let mut site = Site::start(stage, &server).await?;
        let ids = ids(&server).await?;
        let before = (written(&server).len(), server.entries("(objectClass=*)").await?);
        let id_of = |dn: &str| ids.get(dn).cloned().unwrap_or_default();
        let mut maker = Maker { chance: Chance(SEED), id_of: &id_of };
        let mut denied: BTreeMap<String, u32> = BTreeMap::new();
        let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
        for number in 0..tries()? {
            let operation = maker.next();
            *kinds.entry(kind(&operation)).or_default() += 1;
            match site.operate(&operation).await {
                // Whoever is not there is deleted already.
                Ok(done) if done.effect == Effect::AlreadySo && matches!(operation.change, Change::Delete) => {}
                Ok(done) => anyhow::bail!("number {number} went through: {operation:?}: {done:?}"),
                Err(failure) if failure.code == Code::DeniedBySitePolicy => {
                    ensure!(!failure.message.contains('='), "a value of the configuration leaves: {failure:?}");
                    *denied.entry(failure.message).or_default() += 1;
                }
                Err(failure) => *denied.entry(format!("{:?}", failure.code)).or_default() += 1,
            }
        }
        ensure!(written(&server).len() == before.0, "{:#?}", &written(&server)[before.0..]);
        ensure!(server.entries("(objectClass=*)").await? == before.1, "the directory has changed");
        let rules = ["operations", "writable_containers", "writable_attributes", "protected_dns", "protected_groups"];
        for rule in rules.into_iter().chain(["max_deletes_per_hour"]) {
            ensure!(denied.keys().any(|message| message.ends_with(rule)), "{rule} was never broken: {denied:#?}");
        }
        println!("{} operations: {kinds:#?}\n{denied:#?}", tries()?);
        let refused: u32 = denied.iter().filter(|(key, _)| key.contains("policy")).map(|(_, count)| count).sum();
        let lines = log(stage)?;
        let noted = lines.iter().filter(|line| line["outcome"] == "denied_by_site_policy").count();
        ensure!(noted == usize::try_from(refused)?, "{noted} of {refused} refusals are in the log");
        ensure!(!lines.iter().any(|line| line["outcome"] == "permitted"), "something was permitted");

        // What is allowed goes through: it is not that nothing works.
        let subject = Subject::id(id_of("uid=anna,ou=staff,ou=people,"));
        let wanted = vec!["anna@corp.example".into()];
        let mail = AttributeChange { name: "mail".into(), known: None, wanted, both_changed: BothChanged::SourceWins };
        let allowed = Operation { phase: Phase::Users, subject, change: Change::Update(vec![mail]) };
        site.operate(&allowed).await?;
        ensure!(written(&server).len() > before.0, "what is allowed is not written");
        ensure!(log(stage)?.last().is_some_and(|line| line["outcome"] == "done"), "it is not in the log");
        Ok(())
    })
}
