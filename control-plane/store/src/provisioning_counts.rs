//! How many accounts provisioning has made in targets, who has one, and how many wait after failures.

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{OrganizationId, TargetId};
use crate::records::Provisioning;
use crate::sql::sql;

impl Store {
    /// What is provisioned to the targets of an organization.
    pub async fn list_provisioning(&self, organization: OrganizationId) -> Result<Vec<Provisioning>> {
        let query = sql("SELECT t.id FROM provisioning p JOIN targets t ON t.seq = p.target \
             WHERE p.organization = (SELECT seq FROM organizations WHERE id = $1) ORDER BY t.id");
        let targets: Vec<TargetId> = self.database.rows(query.bind(organization), |mut row| row.take()).await?;
        let mut found = Vec::with_capacity(targets.len());
        for target in targets {
            found.extend(self.get_provisioning(organization, target).await?);
        }
        Ok(found)
    }

    /// How many accounts of users provisioning has made or adopted in a target.
    pub async fn count_outbound(&self, organization: OrganizationId, target: TargetId) -> Result<u64> {
        let query = sql("SELECT count(*) FROM accounts WHERE outbound AND kind = 1 AND missing_since IS NULL \
             AND target = (SELECT seq FROM targets WHERE id = $1 AND organization_id = $2)");
        let count = self.database.row(query.bind(target).bind(organization), |mut row| row.take()).await?;
        Ok(count.unwrap_or_default())
    }

    /// Those of these users who have an account in a target. `made`: only accounts that provisioning has made or adopted.
    pub async fn with_account_in(
        &self,
        organization: OrganizationId,
        target: TargetId,
        users: &[Uuid],
        made: bool,
    ) -> Result<Vec<Uuid>> {
        let query = Bulk::new(
            "SELECT DISTINCT identity FROM accounts WHERE identity {in} AND (kind = 1) IS TRUE AND missing_since IS NULL \
             AND (outbound OR NOT :3) AND target = (SELECT seq FROM targets WHERE id = :1 AND organization_id = :2)",
        );
        let query = query.column(Cells::Uuids(users.to_vec())).shared(target).shared(organization).shared(made);
        self.database.bulk_rows(query, |mut row| row.take()).await
    }

    /// How many users and groups wait after failures in a target, and the reason of most of them.
    pub async fn count_failing(
        &self,
        organization: OrganizationId,
        target: TargetId,
    ) -> Result<Option<(u64, Option<String>)>> {
        let query = sql("SELECT count(*), problem FROM marks WHERE failures > 0 \
             AND target = (SELECT seq FROM targets WHERE id = $1 AND organization_id = $2) \
             GROUP BY problem ORDER BY count(*) DESC, problem LIMIT 100");
        let query = query.bind(target).bind(organization);
        let found: Vec<(u64, Option<String>)> =
            self.database.rows(query, |mut row| Ok((row.take()?, row.take()?))).await?;
        let all = found.iter().map(|(count, _)| count).sum();
        Ok(found.into_iter().next().map(|(_, problem)| (all, problem)))
    }
}
