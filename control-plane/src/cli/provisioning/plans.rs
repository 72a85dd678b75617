//! `postern provisioning plan`, `plans`, `apply` and `discard`: what would be done in a directory, as a diff, and having
//! exactly that done.

use std::time::Duration;

use clap::{Args, Subcommand};
use postern_engine::records::PlanState;
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::super::super::api::page::Listing;
use super::super::super::api::plans::{NewPlan, PlanOperationView, PlanView};
use super::super::client::Client;
use super::super::confirm::Yes;
use super::super::error::Error;
use super::super::list::{Found, ListArgs};
use super::super::name::Name;
use super::super::output_file::download;
use super::super::screen::{Colour, Screen, plain, text_or, time, word};

/// How often to look whether a plan is made.
const LOOK: Duration = Duration::from_millis(250);

const AFTER_PLAN: &str = "\
Nothing is sent. `postern provisioning apply` carries out exactly what the plan shows.

  postern provisioning plan corp
  postern provisioning plan corp --user anna --user bert
  postern provisioning plan corp --again 0198f7c2-…";

/// Commands about plans.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Command {
    /// Show what would be done in a directory, without doing it
    #[command(after_help = AFTER_PLAN)]
    Plan {
        /// Name, display name or id of the directory
        directory: Name,
        #[command(flatten)]
        whom: Whom,
        /// How long the plan can be applied, in hours, 1 to 168 [default: 24]
        #[arg(long, value_name = "HOURS")]
        expires_in: Option<u32>,
        /// Print the operations as CSV
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },
    /// List the plans of a directory, or show one and what became of it
    Plans {
        /// Name, display name or id of the directory
        directory: Name,
        /// Id of a plan, to show it
        plan: Option<Uuid>,
        /// Print its operations as CSV
        #[arg(long, conflicts_with = "json", requires = "plan")]
        csv: bool,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Carry out exactly what a plan shows
    #[command(after_help = "What has changed since the plan was made is not sent; the plan lists it as refused, and \
        `postern provisioning plan --again` plans it again.")]
    Apply {
        /// Name, display name or id of the directory
        directory: Name,
        /// Id of the plan
        plan: Uuid,
        #[command(flatten)]
        yes: Yes,
    },
    /// Discard a plan: it cannot be applied any more
    Discard {
        /// Name, display name or id of the directory
        directory: Name,
        /// Id of the plan
        plan: Uuid,
    },
}

/// Whom a plan is about.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct Whom {
    /// Only this user; several times for several users
    #[arg(long, value_name = "USER")]
    user: Vec<String>,
    /// Only this group; several times for several groups
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Plan again what this plan has not carried out
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["user", "group"])]
    again: Option<Uuid>,
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Plan { directory, whom: Whom { user, group, again }, expires_in, csv } => {
            let new = NewPlan { users: user, groups: group, again, expires_in_hours: expires_in };
            let asked: PlanView = client.post(&format!("directories/{directory}/provisioning/plans"), &new).await?;
            let plan = made(client, &directory, asked).await?;
            if plan.state == PlanState::Failed {
                return Err(Error::Usage(text_or(plan.problem.as_deref(), "the plan could not be made")));
            }
            show(plan, &directory, csv, client, screen).await
        }
        Command::Plans { directory, plan: Some(id), csv, .. } => {
            let plan: PlanView = client.get(&path(&directory, id), &[]).await?;
            show(plan, &directory, csv, client, screen).await
        }
        Command::Plans { directory, plan: None, args, .. } => {
            let path = format!("directories/{directory}/provisioning/plans");
            let found: Found<PlanView> = client.list(&path, &[], args.most()).await?;
            screen.list(&found, &args, &["made", "state", "operations", "by", "can be applied until", "id"], row)
        }
        Command::Apply { directory, plan, yes } => {
            let shown: PlanView = client.get(&path(&directory, plan), &[]).await?;
            yes.or_ask(&format!("{} in {directory}: {}.", operations(&shown), actions(&shown)))?;
            let url = format!("{}/apply", path(&directory, plan));
            let applied: PlanView = client.post(&url, &serde_json::json!({})).await?;
            let text = format!(
                "{} {} sent now. `postern provisioning plans {directory} {plan}` shows what becomes of {}.",
                operations(&applied),
                if applied.summary.operations == 1 { "is" } else { "are" },
                if applied.summary.operations == 1 { "it" } else { "them" },
            );
            screen.done(&plan, "applied", &text)
        }
        Command::Discard { directory, plan } => {
            client.delete(&path(&directory, plan)).await?;
            screen.done(&plan, "discarded", "The plan cannot be applied any more.")
        }
    }
}

fn path(directory: &Name, plan: Uuid) -> String {
    format!("directories/{directory}/provisioning/plans/{plan}")
}

/// Waits until a plan is made.
async fn made(client: &Client, directory: &Name, mut plan: PlanView) -> Result<PlanView, Error> {
    while plan.state == PlanState::Making {
        sleep(LOOK).await;
        plan = client.get(&path(directory, plan.id), &[]).await?;
    }
    Ok(plan)
}

fn row(plan: &PlanView) -> Vec<String> {
    vec![
        time(plan.created_at),
        word(&plan.state),
        plan.summary.operations.to_string(),
        plan.created_by.clone(),
        time(plan.expires_at),
        plan.id.to_string(),
    ]
}

fn operations(plan: &PlanView) -> String {
    match plan.summary.operations {
        1 => "1 operation".to_owned(),
        number => format!("{number} operations"),
    }
}

fn actions(plan: &PlanView) -> String {
    let actions = plan.summary.actions.iter().map(|(action, number)| format!("{number} {}", action.replace('_', " ")));
    let actions = actions.collect::<Vec<_>>().join(", ");
    if actions.is_empty() { "nothing has to be done".to_owned() } else { actions }
}

/// A plan with its operations, for scripts.
#[derive(Serialize)]
struct Whole {
    plan: PlanView,
    operations: Vec<PlanOperationView>,
}

async fn show(plan: PlanView, directory: &Name, csv: bool, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let url = format!("{}/operations", path(directory, plan.id));
    if csv {
        return download(&url, &[("format", "csv".to_owned())], None, client, screen).await;
    }
    if screen.is_json() {
        let found: Found<PlanOperationView> = client.list(&url, &[], None).await?;
        return screen.json(&Whole { plan, operations: found.items });
    }
    let (mut cursor, mut last): (Option<String>, Option<Uuid>) = (None, None);
    loop {
        let mut query = vec![("limit", "1000".to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Listing<PlanOperationView> = client.get(&url, &query).await?;
        for operation in &page.items {
            if last.replace(operation.identity_id) != Some(operation.identity_id) {
                screen.line(plain(&format!("{} {}", operation.kind, operation.name)))?;
            }
            diff(operation, screen)?;
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    summary(&plan, directory, screen)
}

/// What became of a create that found an account.
const ADOPTED: &str = "An account was there already and was taken over as it is; what differs is for the next plan.";

/// An operation: what it is, and a line for each value that goes or comes.
fn diff(operation: &PlanOperationView, screen: &mut Screen) -> Result<(), Error> {
    let outcome = operation.state.map(|state| {
        let answer = operation.answer.as_ref();
        let reason = answer.and_then(|answer| answer["error"]["message"].as_str());
        let adopted = answer.is_some_and(|answer| answer["effect"] == "adopted").then_some(ADOPTED);
        reason.or(adopted).map_or_else(|| format!(": {state}"), |reason| format!(": {state}. {reason}"))
    });
    // Values of users and directories: one that has line ends would look like several.
    screen.line(plain(&format!("  {}{}", operation.action.replace('_', " "), outcome.unwrap_or_default())))?;
    for (sign, colour, side) in [('-', Colour::Red, &operation.before), ('+', Colour::Green, &operation.after)] {
        let other = if sign == '-' { &operation.after } else { &operation.before };
        for (name, value) in side.iter().filter_map(Value::as_object).flatten() {
            // What is on both sides neither goes nor comes.
            let stays = other.as_ref().map(|other| texts(&other[name])).unwrap_or_default();
            for text in texts(value).into_iter().filter(|text| !stays.contains(text)) {
                screen.colored(colour, &one_line(sign, name, &text))?;
            }
        }
    }
    Ok(())
}

/// A value as one line, whatever it has of line ends.
fn one_line(sign: char, name: &str, text: &str) -> String {
    plain(&format!("    {sign} {name}: {text}"))
}

/// The values of an attribute.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

fn summary(plan: &PlanView, directory: &Name, screen: &mut Screen) -> Result<(), Error> {
    let found = &plan.summary;
    screen.line(format!(
        "{}: {}. {} users and groups were compared, {} of them differ.",
        operations(plan),
        actions(plan),
        found.compared,
        found.objects
    ))?;
    for it in &found.safeguards {
        screen.line(format!(
            "Limit: {} {}, {} within the hour before; {} are made within an hour without asking. Applying the plan is the approval.",
            it.planned, it.what, it.within_the_hour, it.limit
        ))?;
    }
    if found.failing > 0 {
        screen.line(format!("The rules fail for {} users and groups:", found.failing))?;
        for failing in &found.failures {
            screen.line(plain(&format!("  {}: {}", failing.name, failing.problem)))?;
        }
    }
    match plan.state {
        PlanState::Ready if found.operations > 0 => screen.line(format!(
            "Apply it until {}: postern provisioning apply {directory} {}",
            time(plan.expires_at),
            plan.id
        )),
        PlanState::Ready => Ok(()),
        state => screen.line(format!("The plan is {state}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_pass_for_several_lines() {
        let forged = one_line('+', "title", "x\n    + mail: evil@x.example\n0 operations: nothing has to be done.");
        assert_eq!(forged.lines().count(), 1, "{forged}");
    }
}
