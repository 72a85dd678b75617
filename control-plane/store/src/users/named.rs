//! Users that entries name by a DN, as `manager` does.

use crate::Store;
use crate::error::Result;
use crate::ids::{OrganizationId, TargetId, UserId};
use crate::member_names::name_hash;
use crate::sql::sql;

impl Store {
    /// The users whose accounts in a target have this name as members of groups; two at most, as names may be ambiguous.
    pub async fn users_of_name(
        &self,
        organization: OrganizationId,
        target: TargetId,
        name: &str,
    ) -> Result<Vec<UserId>> {
        let query = sql("SELECT identity FROM accounts \
                         WHERE target = (SELECT seq FROM targets WHERE id = $1 AND organization_id = $3) \
                         AND member_hash = $2 AND identity IS NOT NULL AND kind = 1 LIMIT 2");
        let query = query.bind(target).bind(name_hash(name).to_vec()).bind(organization);
        self.database.rows(query, |mut row| Ok(UserId::from_uuid(row.take()?))).await
    }
}
