//! `postern provisioning user --trace` and `postern users provision`: why a user has the account that it has, what was sent
//! and what came back.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use postern_engine::provisioning::explain::{ExplainedRule, Explanation};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::super::api::page::Listing;
use super::super::super::api::provisioning_report::{OperationView, ProvisionRequest, ProvisionedUser};
use super::super::client::Client;
use super::super::error::Error;
use super::super::name::Name;
use super::super::screen::{Screen, plain, text_or, time};

/// How long to wait for what comes back, and how often to look.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(500);

/// One user to compare.
#[derive(Debug, Args)]
pub(in super::super) struct Provision {
    /// Name or id of the user
    user: Name,
    /// Name, display name or id of the directory
    #[arg(long, value_name = "DIRECTORY")]
    target: String,
    /// Show what was read, what each rule gives and what is known of the account; then what was sent and what came back
    #[arg(long)]
    trace: bool,
    /// Only show it, and send nothing
    #[arg(long, requires = "trace")]
    dry_run: bool,
}

pub(in super::super) async fn run(args: Provision, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let Provision { user, target, trace, dry_run } = args;
    let asked = ProvisionRequest { target: target.clone() };
    if !trace {
        let done: ProvisionedUser = client.post(&format!("users/{user}/provision"), &asked).await?;
        let text = "The user is compared in the background: postern provisioning report";
        return screen.done(&done.user_id, "provisioned", text);
    }
    let path = format!("users/{user}/provision/explain");
    let explained: Explanation = client.get(&path, &[("target", target.clone())]).await?;
    let sends = !dry_run && explained.state == "on" && !explained.steps.is_empty();
    let mut sent = Vec::new();
    if !screen.is_json() {
        print(&explained, screen)?;
    }
    if sends {
        let since = since(client, &explained, &target).await?;
        let _: ProvisionedUser = client.post(&format!("users/{user}/provision"), &asked).await?;
        sent = outcome(client, &explained, &target, since).await?;
    }
    if screen.is_json() {
        return screen.json(&json!({ "explanation": explained, "sent": sent }));
    }
    match explained.state.as_str() {
        _ if explained.steps.is_empty() => screen.line("Nothing has to be done."),
        "paused" => screen.line("The directory is paused: nothing is sent."),
        "report" => screen.line("Only plans are carried out there: postern provisioning plan"),
        _ if dry_run => screen.line("Nothing was sent."),
        _ => answers(&sent, screen),
    }
}

/// The operations of a user in a directory, the latest first.
async fn operations(client: &Client, of: &Explanation, target: &str) -> Result<Vec<OperationView>, Error> {
    let query = [("user", of.user_id.to_string()), ("target", target.to_owned()), ("limit", "20".to_owned())];
    let found: Listing<OperationView> = client.get("reports/provisioning", &query).await?;
    Ok(found.items)
}

/// When the latest operation was decided.
async fn since(client: &Client, of: &Explanation, target: &str) -> Result<Option<Timestamp>, Error> {
    Ok(operations(client, of, target).await?.first().map(|latest| latest.at))
}

/// The operations that were decided since then, once they are over, or as far as they have come.
async fn outcome(
    client: &Client,
    of: &Explanation,
    target: &str,
    since: Option<Timestamp>,
) -> Result<Vec<OperationView>, Error> {
    let began = Instant::now();
    loop {
        let mut found = operations(client, of, target).await?;
        found.retain(|operation| since.is_none_or(|since| operation.at > since));
        let waits = found.iter().any(|operation| operation.ended_at.is_none() && operation.state.as_str() != "held");
        if (!found.is_empty() && !waits) || began.elapsed() > PATIENCE {
            found.reverse();
            return Ok(found);
        }
        sleep(LOOK).await;
    }
}

fn print(explained: &Explanation, screen: &mut Screen) -> Result<(), Error> {
    let name = text_or(explained.user_name.as_deref(), "(deleted)");
    screen.line(plain(&format!("{name} in {}", explained.directory)))?;
    screen.line("Read:")?;
    for field in &explained.fields {
        let source = text_or(field.source.as_deref(), "the organization");
        screen.line(plain(&format!("  {} = {} (from {source})", field.name, text(&field.value))))?;
    }
    screen.line(plain(&format!("Assigned: {}", explained.assignment)))?;
    screen.line("Rules:")?;
    for rule in explained.rules.iter().chain(&explained.container) {
        screen.line(plain(&format!("  {}", line(rule))))?;
    }
    match &explained.account {
        None => screen.line("Account: none is known.")?,
        Some(account) => {
            let whose = if account.outbound { "made by provisioning" } else { "the source of the user" };
            screen.line(plain(&format!("Account: {} ({whose})", account.dn)))?;
            if let Some(at) = account.left_at {
                let deleted =
                    account.deleted_at.map_or_else(String::new, |at| format!("; it is deleted at {}", time(at)));
                screen.line(format!("  The user should not have it since {}{deleted}", time(at)))?;
            }
            for (name, value) in &account.known {
                let agreed = account.agreed.get(name).filter(|agreed| *agreed != value);
                let agreed = agreed.map_or_else(String::new, |agreed| format!(" (last agreed: {})", text(agreed)));
                screen.line(plain(&format!("  {name} = {}{agreed}", text(value))))?;
            }
        }
    }
    if let Some(problem) = &explained.problem {
        let next = explained.next_try_at.map_or_else(String::new, |at| format!(" It is tried again at {}.", time(at)));
        let problem = problem.trim_end_matches('.');
        screen.line(plain(&format!("It failed last: {problem}.{next}")))?;
    }
    for step in &explained.steps {
        screen.line(plain(&format!("To do: {}{}", step.action, sides(step.before.as_ref(), step.after.as_ref()))))?;
    }
    Ok(())
}

fn line(rule: &ExplainedRule) -> String {
    let given = match &rule.error {
        Some(error) => format!("fails: {error}"),
        None if rule.skipped => "is left to the directory, which is the source".to_owned(),
        None if rule.values.is_empty() => "nothing".to_owned(),
        None => rule.values.join(" | "),
    };
    format!("{} <- {}: {given}", rule.attribute, rule.expression)
}

fn sides(before: Option<&Value>, after: Option<&Value>) -> String {
    let side = |name: &str, value: Option<&Value>| value.map_or_else(String::new, |value| format!(", {name} {value}"));
    format!("{}{}", side("before", before), side("after", after))
}

fn answers(sent: &[OperationView], screen: &mut Screen) -> Result<(), Error> {
    if sent.is_empty() {
        return screen.line("Nothing came back yet: is an agent of the directory connected? postern agents list");
    }
    for operation in sent {
        let answer = operation.answer.as_ref().map_or_else(String::new, |answer| format!(" {answer}"));
        let took = operation.elapsed_ms.map_or_else(String::new, |ms| format!(" after {ms} ms"));
        screen.line(plain(&format!("Sent: {}: {}{took}{answer}", operation.action, operation.state)))?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" | "),
        other => other.to_string(),
    }
}
