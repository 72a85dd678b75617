//! `postern users set-password`: seals a password to the keys of the directory's agents, and has it set.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use jiff::Timestamp;
use postern_engine::provisioning::settings::Assignment;
use postern_engine::records::{AccountKind, OperationState};
use postern_proto::sealed::{self, Binding, PublicKey};
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use secrecy::zeroize::Zeroizing;
use serde_json::json;

use super::super::super::api::page::Listing;
use super::super::super::api::passwords::{PasswordKeyView, PasswordKeys, PasswordRequest};
use super::super::super::api::provisioning::ProvisioningView;
use super::super::super::api::provisioning_report::OperationView;
use super::super::super::api::users::UserDetail;
use super::super::client::Client;
use super::super::error::Error;
use super::super::name::Name;
use super::super::screen::{Screen, note, word};
use super::super::unseen;

/// How long to wait for an agent, and how long between two looks.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long to wait for an account that is being made.
const PATIENCE_FOR_ACCOUNT: Duration = Duration::from_mins(10);
const LOOK: Duration = Duration::from_millis(200);
/// Characters of a generated password, by kind, without those that look alike.
const KINDS: [&[u8]; 4] = [b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"abcdefghijkmnopqrstuvwxyz", b"23456789", b"+-=_.:!%"];
const GENERATED: usize = 20;

/// Arguments of `postern users set-password`.
#[derive(Debug, Args)]
pub(in super::super) struct SetPassword {
    /// Id, user name, display name or e-mail address of the user
    user: Name,
    /// Directory in which the password is set
    #[arg(long, value_name = "DIRECTORY")]
    target: Name,
    /// Have the user change it at the next sign-in
    #[arg(long)]
    must_change: bool,
    /// Make a password and print it, instead of asking for one
    #[arg(long)]
    generate: bool,
}

pub(super) async fn run(args: SetPassword, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let keys: PasswordKeys = client.get(&format!("directories/{}/password-keys", args.target), &[]).await?;
    if keys.keys.is_empty() {
        return Err(Error::Usage(format!(
            "no agent of {} can set passwords; connect one, or update it (postern agents list)",
            keys.directory
        )));
    }
    let user: UserDetail = client.get(&format!("users/{}", args.user), &[]).await?;
    let known = account(&user, &keys.directory)?;
    let password = if args.generate { generate() } else { ask()? };
    if args.generate {
        announce(&password, &keys.directory, screen)?;
    }
    let external_id = match known {
        Some(external_id) => external_id,
        None => awaited(client, &user, &keys.directory).await?,
    };
    // Those of the agents that serve it now, after some time.
    let keys: PasswordKeys = client.get(&format!("directories/{}/password-keys", args.target), &[]).await?;
    let binding = Binding { directory: &keys.directory, external_id: &external_id, must_change: args.must_change };
    let sealed = seal(&password, &keys.keys, &binding, keys.expires_at)?;
    let request = PasswordRequest { target: keys.directory.clone(), sealed, must_change: args.must_change };
    let asked: OperationView = client.post(&format!("users/{}/password", user.user.id), &request).await?;
    let ended = wait(client, asked).await?;
    if ended.state != OperationState::Succeeded {
        return Err(failed(&ended));
    }
    let generated = args.generate.then(|| password.as_str());
    if screen.is_json() {
        return screen.json(&json!({ "operation": ended, "password": generated }));
    }
    note(format!("the password of {} in {} is set", user.user.user_name, keys.directory));
    Ok(())
}

/// Prints a generated password before anything is waited for: it may be set after this command was ended.
fn announce(password: &str, directory: &str, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        note(format!("the generated password is {password}"));
    } else {
        screen.line(password)?;
    }
    note(format!("it counts once {directory} has it: waiting until an agent has set it"));
    Ok(())
}

/// A password can be set before the account is made: it is sealed to the account, so it waits here.
async fn awaited(client: &Client, user: &UserDetail, directory: &str) -> Result<String, Error> {
    // The help desk may not see it.
    let provisioned: Option<ProvisioningView> =
        client.get(&format!("directories/{directory}/provisioning"), &[]).await.ok();
    let settings = provisioned.map(|provisioned| provisioned.settings);
    if settings.is_some_and(|it| !it.switches.create_users || it.assignment == Assignment::Nobody) {
        return Err(without(user, directory));
    }
    note(format!("{} has no account in {directory} yet: waiting until it is made", user.user.user_name));
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE_FOR_ACCOUNT {
        let found: UserDetail = client.get(&format!("users/{}", user.user.id), &[]).await?;
        if let Some(external_id) = account(&found, directory)? {
            return Ok(external_id);
        }
        if let Some(why) = not_made(client, user, directory).await {
            return Err(Error::Usage(format!("{why} Set the password once {directory} has the account.")));
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(without(user, directory))
}

/// Why the account was not made when it was tried last, and will not be by itself. `None`: it may still be made, or the
/// caller may not see it.
async fn not_made(client: &Client, user: &UserDetail, directory: &str) -> Option<String> {
    let id = user.user.id.to_string();
    let query = [("user", id.as_str()), ("target", directory), ("action", "create"), ("limit", "1")];
    let query = query.map(|(key, value)| (key, value.to_owned()));
    let found: Listing<OperationView> = client.get("reports/provisioning", &query).await.ok()?;
    let last = found.items.into_iter().next()?;
    let why = match last.state {
        OperationState::Held => "It waits for approval (postern provisioning report --state held).".to_owned(),
        OperationState::Failed | OperationState::Refused if !is_retryable(&last) => reason(&last)?,
        _ => return None,
    };
    Some(format!("The account of {} was not made: {why}", user.user.user_name))
}

fn is_retryable(operation: &OperationView) -> bool {
    operation.answer.as_ref().is_some_and(|answer| answer["error"]["retryable"] == true)
}

/// What the target has said, with what to do.
pub(super) fn reason(operation: &OperationView) -> Option<String> {
    let error = &operation.answer.as_ref()?["error"];
    let text = |key: &str| error[key].as_str().map(str::to_owned);
    match (text("message"), text("cure")) {
        (Some(message), Some(cure)) => Some(format!("{message} {cure}")),
        (message, _) => message,
    }
}

fn without(user: &UserDetail, directory: &str) -> Error {
    let name = &user.user.user_name;
    Error::Usage(format!(
        "{name} has no account in {directory}; provision or import it first (postern provisioning failures {directory} \
         says what keeps it from being made)"
    ))
}

/// The external id of the account in the directory. `None`: there is none.
fn account(user: &UserDetail, directory: &str) -> Result<Option<String>, Error> {
    let mut found = user.accounts.iter().filter(|account| {
        account.directory.name == directory && account.kind == AccountKind::User && account.missing_since.is_none()
    });
    let name = &user.user.user_name;
    match (found.next(), found.next()) {
        (Some(account), None) => Ok(Some(account.external_id.clone())),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Error::Usage(format!("{name} has several accounts in {directory}"))),
    }
}

fn seal(
    password: &str,
    keys: &[PasswordKeyView],
    binding: &Binding<'_>,
    expires_at: Timestamp,
) -> Result<Vec<String>, Error> {
    let expires_at_ms = u64::try_from(expires_at.as_millisecond()).unwrap_or_default();
    let one = |key: &PasswordKeyView| {
        let bytes = STANDARD.decode(&key.public_key).unwrap_or_default();
        let public = PublicKey::from_bytes(&bytes)?;
        sealed::seal(password, &public, binding, expires_at_ms).map(|bytes| STANDARD.encode(bytes))
    };
    keys.iter().map(one).collect::<Result<_, sealed::Error>>().map_err(|error| Error::Usage(error.to_string()))
}

/// Asks for the password; on a terminal twice.
fn ask() -> Result<Zeroizing<String>, Error> {
    let failed = |source| Error::Io { what: "reading the password", source };
    let first = unseen::read("New password").map_err(failed)?;
    let first = Zeroizing::new(first.trim_end_matches(['\r', '\n']).to_owned());
    if std::io::stdin().is_terminal() {
        let again = unseen::read("Once more").map_err(failed)?;
        if again.trim_end_matches(['\r', '\n']) != first.as_str() {
            return Err(Error::Usage("the two passwords differ".to_owned()));
        }
    }
    Ok(first)
}

/// A password with characters of each kind.
fn generate() -> Zeroizing<String> {
    let mut rng = rand::rng();
    let all = KINDS.concat();
    let mut letters = Zeroizing::new(Vec::with_capacity(GENERATED));
    letters.extend(KINDS.iter().filter_map(|kind| kind.choose(&mut rng)).copied());
    while letters.len() < GENERATED {
        letters.extend(all.choose(&mut rng).copied());
    }
    letters.shuffle(&mut rng);
    Zeroizing::new(letters.iter().copied().map(char::from).collect())
}

/// Waits until it is done, or cannot be.
pub(super) async fn wait(client: &Client, mut operation: OperationView) -> Result<OperationView, Error> {
    let begun = Instant::now();
    while operation.ended_at.is_none() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
        operation = client.get(&format!("password-changes/{}", operation.id), &[]).await?;
    }
    Ok(operation)
}

fn failed(operation: &OperationView) -> Error {
    Error::PasswordNotSet(reason(operation).unwrap_or_else(|| {
        format!(
            "no agent has taken it yet, and it is tried until it expires; look at it with `postern provisioning \
             operation {}` (it is {})",
            operation.id,
            word(&operation.state)
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_has_characters_of_each_kind() {
        let (one, other) = (generate(), generate());
        assert_ne!(one, other);
        assert_eq!(one.len(), GENERATED);
        assert!(KINDS.iter().all(|kind| one.bytes().any(|letter| kind.contains(&letter))), "a kind is missing");
    }
}
