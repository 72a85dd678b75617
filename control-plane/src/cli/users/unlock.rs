//! `postern users unlock`: wrong passwords do not keep a user out of a directory any more.

use clap::Args;
use postern_engine::records::OperationState;

use super::super::super::api::passwords::UnlockRequest;
use super::super::super::api::provisioning_report::OperationView;
use super::super::client::Client;
use super::super::error::Error;
use super::super::name::Name;
use super::super::screen::{Screen, note, word};
use super::set_password::{reason, wait};

/// Arguments of `postern users unlock`.
#[derive(Debug, Args)]
pub(in super::super) struct Unlock {
    /// Id, user name, display name or e-mail address of the user
    user: Name,
    /// Directory in which the user is unlocked
    #[arg(long, value_name = "DIRECTORY")]
    target: Name,
}

pub(super) async fn run(args: Unlock, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let request = UnlockRequest { target: args.target.to_string() };
    let asked: OperationView = client.post(&format!("users/{}/unlock", args.user), &request).await?;
    let ended = wait(client, asked).await?;
    if ended.state != OperationState::Succeeded {
        let why = reason(&ended).unwrap_or_else(|| format!("no agent has done it yet (it is {})", word(&ended.state)));
        return Err(Error::Usage(format!("{} is not unlocked in {}: {why}", ended.name, ended.target)));
    }
    if screen.is_json() {
        return screen.json(&ended);
    }
    note(format!("{} is unlocked in {}", ended.name, ended.target));
    Ok(())
}
