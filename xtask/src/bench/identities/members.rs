//! Pages of effective members: a directory has a group with nested groups, and the organization has such groups of its own
//! with the same users.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use postern_tests::Stage;
use postern_tests::api::Api;
use postern_tests::binaries::Binaries;
use postern_tests::people::{Person, Population, group_dn, write_group};
use postern_tests::slapd::{Options, SUFFIX, Slapd};
use serde_json::{Value, json};

use super::databases::Database;
use super::readings::{id, measured, percentiles};
use crate::bench::figures::Figures;
use crate::line::{self, Line};

/// Members that are added in one request.
const TOGETHER: usize = 1_000;
/// Longest that the import may take.
const BOUND: Duration = Duration::from_mins(15);

#[derive(clap::Args)]
#[group(id = "members")]
pub(super) struct Arguments {
    /// How many users the group has, with all groups within it.
    #[arg(long, default_value_t = 50_000)]
    users: u32,
    /// How many groups the directory has besides.
    #[arg(long, default_value_t = 5_000)]
    groups: u32,
    /// How many levels the groups have: each is a member of the one above, and has its share of the users.
    #[arg(long, default_value_t = 5)]
    levels: u32,
    /// How often each page is read.
    #[arg(long, default_value_t = 100)]
    reads: usize,
}

impl Arguments {
    /// The users who are direct members of the group of a level.
    fn share(&self, level: u32) -> std::ops::Range<u32> {
        let share = self.users / self.levels.max(1);
        level * share..(level + 1) * share
    }
}

/// A directory with the users, and with the nested groups.
pub(super) async fn directory(stage: &Stage, arguments: &Arguments) -> Result<Slapd> {
    let mut options = Options::people(arguments.users);
    options.population = Population { teams: arguments.groups, ..options.population };
    let mut nested = Vec::new();
    for level in 0..arguments.levels {
        let users = arguments.share(level).map(|number| Person::nth(number).dn(SUFFIX));
        let below = level.checked_sub(1).map(|below| group_dn(&name(below), SUFFIX));
        write_group(&mut nested, &name(level), SUFFIX, users.chain(below))?;
    }
    options.extra_ldif = String::from_utf8(nested)?;
    Slapd::start(stage, options).await
}

fn name(level: u32) -> String {
    format!("level-{level}")
}

/// Imports the directory, makes the organization's own groups, and reads both lists.
pub(super) async fn measure(
    stage: &Stage,
    directory: &Slapd,
    binaries: &Binaries,
    database: Database<'_>,
    arguments: &Arguments,
    figures: &mut Figures,
) -> Result<()> {
    let mut line = Line::start(stage, directory, line::options(binaries, database.url)).await?;
    line.import(BOUND).await?;
    let imported = line.api.group(&name(arguments.levels.saturating_sub(1))).await?.id;
    let own = own_groups(&line.api, arguments).await?;
    for (whose, group) in [("own", own), ("imported", imported)] {
        let what = format!("{}: {whose} groups", database.name);
        read(&line.api, &what, &group, arguments.reads, figures).await?;
    }
    line.stop().await
}

/// The topmost of nested groups of the organization, each with its share of the users.
async fn own_groups(api: &Api, arguments: &Arguments) -> Result<String> {
    let users: Vec<Value> = api.list("/api/v1/users").await?;
    let mut nested: Option<String> = None;
    for level in 0..arguments.levels {
        let group = id(&api.post("/api/v1/groups", json!({ "display_name": format!("own level {level}") })).await?)?;
        let mut members: Vec<String> = nested.take().into_iter().collect();
        for number in arguments.share(level) {
            members.push(id(users.get(number as usize).context("the directory has fewer users")?)?);
        }
        for some in members.chunks(TOGETHER) {
            api.post(&format!("/api/v1/groups/{group}/members"), json!({ "add": some })).await?;
        }
        nested = Some(group);
    }
    nested.context("there are no levels")
}

/// Reads the effective members of a group page by page, and the groups of one of them.
async fn read(api: &Api, what: &str, group: &str, reads: usize, figures: &mut Figures) -> Result<()> {
    let path = format!("/api/v1/groups/{group}/members?effective=true&limit=100");
    figures.row(format!("{what}: first page"), &measured(api, &path, reads).await?);
    let (mut last, mut pages, mut member) = (path.clone(), Vec::new(), None);
    loop {
        let began = Instant::now();
        let found = api.get(&last).await?;
        pages.push(began.elapsed());
        let mut users = found["items"].as_array().into_iter().flatten().filter(|item| item["kind"] == "user");
        member = users.next_back().map(id).transpose()?.or(member);
        match found["next_cursor"].as_str() {
            Some(next) => last = format!("{path}&cursor={next}"),
            None => break,
        }
    }
    figures.row(format!("{what}: all {} pages", pages.len()), &percentiles(pages));
    figures.row(format!("{what}: last page"), &measured(api, &last, reads).await?);
    let mut groups = String::from("/api/v1/users/");
    write!(groups, "{}/groups?effective=true", member.context("the group has no user")?)?;
    figures.row(format!("{what}: groups of a user"), &measured(api, &groups, reads).await?);
    Ok(())
}
