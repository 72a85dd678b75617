//! `bench identities`: pages of effective members of a large group, whose users are spread over levels of nested groups.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use postern_tests::Stage;
use postern_tests::api::Api;
use postern_tests::control_plane::ControlPlane;
use serde_json::{Value, json};

use super::figures::{Figures, percentile_ms};
use crate::line;

/// Members that are added in one request.
const TOGETHER: usize = 1_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many users the group has, with all groups within it.
    #[arg(long, default_value_t = 50_000)]
    users: usize,
    /// How many levels the groups have: each is a member of the one above, and has its share of the users.
    #[arg(long, default_value_t = 5)]
    levels: usize,
    /// How often each page is read.
    #[arg(long, default_value_t = 100)]
    reads: usize,
}

/// Makes users and groups by the API, and reads the list.
pub(crate) async fn run(arguments: &Arguments) -> Result<Figures> {
    let binaries = line::build(line::MEASURED)?;
    let stage = Stage::new()?;
    let control_plane = ControlPlane::start(&stage, line::options(&binaries, None)).await?;
    let api = control_plane.organization("Large").await?;
    let mut figures =
        Figures::new(format!("a group with {} users through {} levels", arguments.users, arguments.levels));
    let root = fill(&api, arguments).await?;
    let path = format!("/api/v1/groups/{root}/members?effective=true&limit=100");
    figures.row("first page", &measured(&api, &path, arguments.reads).await?);
    let (mut last, mut pages) = (path.clone(), Vec::new());
    loop {
        let began = Instant::now();
        let found = api.get(&last).await?;
        pages.push(began.elapsed());
        match found["next_cursor"].as_str() {
            Some(next) => last = format!("{path}&cursor={next}"),
            None => break,
        }
    }
    pages.sort_unstable();
    figures.row(format!("all {} pages", pages.len()), &percentiles(&pages));
    figures.row("last page", &measured(&api, &last, arguments.reads).await?);
    let one = "/api/v1/users/user00000/groups?effective=true";
    figures.row("groups of a user", &measured(&api, one, arguments.reads).await?);
    Ok(figures)
}

/// The topmost of nested groups, each with its share of the users.
async fn fill(api: &Api, arguments: &Arguments) -> Result<String> {
    let mut nested: Option<String> = None;
    let share = arguments.users / arguments.levels.max(1);
    for level in 0..arguments.levels {
        let group = id(&api.post("/api/v1/groups", json!({ "display_name": format!("level {level}") })).await?)?;
        let mut members: Vec<String> = nested.take().into_iter().collect();
        for number in level * share..(level + 1) * share {
            let user = json!({ "user_name": format!("user{number:05}") });
            members.push(id(&api.post("/api/v1/users", user).await?)?);
        }
        for some in members.chunks(TOGETHER) {
            api.post(&format!("/api/v1/groups/{group}/members"), json!({ "add": some })).await?;
        }
        nested = Some(group);
    }
    nested.context("there are no levels")
}

fn id(made: &Value) -> Result<String> {
    Ok(made["id"].as_str().context("the answer has no id")?.to_owned())
}

async fn measured(api: &Api, path: &str, reads: usize) -> Result<[(&'static str, f64); 2]> {
    let mut taken = Vec::new();
    for _ in 0..reads {
        let began = Instant::now();
        api.get(path).await?;
        taken.push(began.elapsed());
    }
    taken.sort_unstable();
    Ok(percentiles(&taken))
}

fn percentiles(sorted: &[Duration]) -> [(&'static str, f64); 2] {
    [("p50_ms", percentile_ms(sorted, 0.5)), ("p99_ms", percentile_ms(sorted, 0.99))]
}
