//! Takes up what somebody has asked for.

use std::collections::VecDeque;

use postern_runtime::failpoint;

use super::{Line, Result, WINDOW, Worker};

impl Worker {
    /// Takes up what somebody has asked for. A user who has operations under way waits.
    pub(super) async fn take_asked(&mut self) -> Result<()> {
        let (organization, room) = (self.target.provisioning.organization, self.room());
        let limit = u32::try_from(self.lines.len() + WINDOW).unwrap_or(u32::MAX);
        let mut asked = self.store.asked_operations(organization, self.target.id(), limit).await?;
        asked.retain(|operation| !self.lines.contains_key(&operation.identity));
        asked.truncate(room);
        if asked.is_empty() {
            return Ok(());
        }
        failpoint::reached("provisioning.decided");
        let mut tx = self.store.begin_identities(organization, self.clock.now()).await?;
        let mut sent = Vec::with_capacity(asked.len());
        for mut operation in asked {
            operation.generation += 1;
            if tx.send_operation(operation.id, operation.generation).await? {
                sent.push(operation);
            }
        }
        tx.commit().await?;
        for operation in sent {
            let (identity, (account, outbound, left)) = (operation.identity, self.account_of(&operation).await?);
            let operations = VecDeque::from([operation]);
            self.lines.insert(
                identity,
                Line { mark: None, outbound, account, left, operations, failed: false, own: 0, counted: false },
            );
            self.send(identity);
        }
        Ok(())
    }
}
