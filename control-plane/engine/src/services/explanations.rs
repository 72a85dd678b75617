//! Why a user has the account that it has in a directory, or has none.

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Message, Result};
use super::known_directories::find;
use super::provisioning::off;
use super::resolve;
use super::rights::Right;
use crate::provisioning::explain::{self, Explanation};
use crate::records::UserId;

/// Explanations, for somebody who may read reports.
#[derive(Debug)]
pub struct Explanations<'s>(Access<'s>);

impl Services {
    /// Opens explanations of accounts.
    pub fn explanations<'s>(&'s self, actor: &'s Actor) -> Result<Explanations<'s>> {
        self.open(actor, Right::ReadReports).map(Explanations)
    }
}

impl Explanations<'_> {
    /// Explains the account of a user in a directory. Nothing is sent.
    pub async fn user(&self, user: &str, directory: &str) -> Result<Explanation> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let directory = find(self.0, directory).await?;
        // A deleted user can still be named by the id.
        let user = match user.parse::<UserId>() {
            Ok(id) => id,
            Err(_) => resolve::user(self.0, user).await?,
        };
        let explained = explain::user(store, organization, directory.id.into(), user, self.0.now()).await?;
        let explained = explained.ok_or_else(|| off(&directory))?.map_err(|reason| {
            let message = Message::new(format!("The settings of {} cannot be used: {reason}.", directory.name));
            Error::Conflict(message.cure(format!("Set them again: `postern provisioning set {}`.", directory.name)))
        })?;
        // Neither such a user nor an account of it.
        if explained.user_name.is_none() && explained.account.is_none() {
            return Err(Error::no("user"));
        }
        Ok(explained)
    }
}
