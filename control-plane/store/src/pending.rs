//! Changes that somebody wants in a target and that are not there yet.

use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::identities::Identities;
use crate::ids::{GroupId, OrganizationId, PendingId, TargetId, UserId};
use crate::records::{IdentityId, PendingChange, Refusal};
use crate::sql::{Row, sql};
use crate::wake::Wake;

macro_rules! select_pending {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, (SELECT t.id FROM targets t WHERE t.seq = p.target), p.kind, p.identity, p.what, p.wanted, \
             p.asked_at, p.asked_by, p.refused_at, p.refused FROM pending_changes p ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<PendingChange> {
    let (id, target, kind, identity) = (row.take()?, row.take()?, row.take()?, row.take()?);
    let (what, wanted, asked_at, asked_by) = (row.take()?, row.take()?, row.take()?, row.take()?);
    let (at, reason): (Option<Timestamp>, Option<String>) = (row.take()?, row.take()?);
    let refused = at.zip(reason).map(|(at, reason)| Refusal { at, reason });
    let identity = IdentityId::from_code(kind, identity)?;
    Ok(PendingChange { id, target, identity, what, wanted, asked_at, asked_by, refused })
}

impl Identities {
    /// Records changes of what a target is the source of, in the place of earlier ones of the same, and sets the marks
    /// that have them carried out.
    pub async fn ask_changes(&mut self, changes: &[PendingChange]) -> Result<()> {
        let of = |text: fn(&PendingChange) -> String| Cells::Texts(changes.iter().map(text).collect());
        let insert = Bulk::new(
            "WITH v(id, target, identity, kind, what, wanted, asked_by) AS ({rows}) INSERT INTO pending_changes \
             (id, organization_id, target, identity, kind, what, wanted, asked_at, asked_by) \
             SELECT v.id, :1, (SELECT seq FROM targets WHERE id = v.target), v.identity, v.kind, v.what, v.wanted, :2, v.asked_by \
             FROM v WHERE TRUE ON CONFLICT (identity, what) DO UPDATE SET id = excluded.id, target = excluded.target, \
             wanted = excluded.wanted, asked_at = excluded.asked_at, asked_by = excluded.asked_by, \
             refused = NULL, refused_at = NULL",
        )
        .column(Cells::Uuids(changes.iter().map(|it| it.id.as_uuid()).collect()))
        .column(Cells::Uuids(changes.iter().map(|it| it.target.as_uuid()).collect()))
        .column(Cells::Uuids(changes.iter().map(|it| it.identity.as_uuid()).collect()))
        .column(Cells::Ints(changes.iter().map(|it| it.identity.code()).collect()))
        .column(of(|it| it.what.clone()))
        .column(of(|it| it.wanted.to_string()))
        .column(of(|it| it.asked_by.clone()));
        self.tx.bulk(insert.shared(self.organization).shared(self.now)).await?;
        let mut targets: Vec<TargetId> = changes.iter().map(|change| change.target).collect();
        targets.sort_unstable();
        targets.dedup();
        for target in targets {
            let of_target = changes.iter().filter(|change| change.target == target);
            self.mark(target, &of_target.map(|change| change.identity).collect::<Vec<_>>()).await?;
            self.tx.wake(Wake::Marked(target));
        }
        Ok(())
    }

    /// The fields of a user that are to change, or whose change was refused.
    pub async fn pending_of(&mut self, user: UserId) -> Result<Vec<PendingChange>> {
        let query = sql(select_pending!("WHERE p.identity = $1 AND p.organization_id = $2 ORDER BY p.what"));
        self.tx.rows(query.bind(user).bind(self.organization), read).await
    }

    /// What other users are to have in a field. Until the transaction ends, no other one asks that.
    pub async fn wanted_by_others(&mut self, user: UserId, field: &str) -> Result<Vec<PendingChange>> {
        self.tx.hold_asked_values(self.organization).await?;
        let query = sql(select_pending!(
            "WHERE p.target IN (SELECT seq FROM targets WHERE organization_id = $1) AND p.organization_id = $1 \
             AND p.what = $2 AND p.identity <> $3 AND p.refused_at IS NULL ORDER BY p.identity"
        ));
        self.tx.rows(query.bind(self.organization).bind(field).bind(user), read).await
    }

    /// Of these members of a group: what is wanted, or was refused.
    pub async fn pending_members(&mut self, group: GroupId, members: &[Uuid]) -> Result<Vec<PendingChange>> {
        let query =
            Bulk::new(select_pending!("WHERE p.what {in} AND p.identity = :1 AND (p.organization_id = :2) IS TRUE"))
                .column(Cells::Texts(members.iter().map(Uuid::to_string).collect()));
        self.tx.bulk_rows(query.shared(group).shared(self.organization), read).await
    }

    /// Which of these users and groups have an account in a target.
    pub async fn with_accounts_in(&mut self, target: TargetId, identities: &[Uuid]) -> Result<HashSet<Uuid>> {
        let query = Bulk::new(
            "SELECT identity FROM accounts WHERE identity {in} AND missing_since IS NULL \
             AND (organization_id = :1) IS TRUE AND (target = (SELECT seq FROM targets WHERE id = :2)) IS TRUE",
        );
        let query = query.column(Cells::Uuids(identities.to_vec())).shared(self.organization).shared(target);
        let found: Vec<Uuid> = self.tx.bulk_rows(query, |mut row| row.take()).await?;
        Ok(found.into_iter().collect())
    }

    /// Forgets changes: the target has them, or nobody wants them any more.
    pub async fn forget_changes(&mut self, changes: &[PendingId]) -> Result<u64> {
        let delete = Bulk::new("DELETE FROM pending_changes WHERE id {in} AND (organization_id = :1) IS TRUE");
        self.tx.bulk(delete.column(ids(changes)).shared(self.organization)).await
    }

    /// Notes that a target did not take changes, and why.
    pub async fn refuse_changes(&mut self, changes: &[PendingId], reason: &str) -> Result<u64> {
        let update = Bulk::new(
            "{update} pending_changes SET refused = :2, refused_at = :3 WHERE id {in} AND (organization_id = :1) IS TRUE",
        );
        let update = update.column(ids(changes)).shared(self.organization).shared(reason).shared(self.now);
        self.tx.bulk(update).await
    }
}

impl Store {
    /// The changes of a user or group that are wanted, or were refused; a thousand at most.
    pub async fn pending_of(&self, organization: OrganizationId, identity: Uuid) -> Result<Vec<PendingChange>> {
        let query = sql(select_pending!("WHERE p.identity = $1 AND p.organization_id = $2 ORDER BY p.what LIMIT 1000"));
        self.database.rows(query.bind(identity).bind(organization), read).await
    }

    /// The changes of users and groups that are wanted in a target.
    pub async fn pending_in(
        &self,
        organization: OrganizationId,
        target: TargetId,
        identities: &[IdentityId],
    ) -> Result<Vec<PendingChange>> {
        let query = Bulk::new(select_pending!(
            "WHERE p.identity {in} AND (p.organization_id = :1) IS TRUE AND p.refused_at IS NULL \
             AND (p.target = (SELECT seq FROM targets WHERE id = :2)) IS TRUE"
        ))
        .column(Cells::Uuids(identities.iter().map(|identity| identity.as_uuid()).collect()));
        self.database.bulk_rows(query.shared(organization).shared(target), read).await
    }

    /// Forgets changes of all organizations that were refused before this time. Returns how many.
    pub async fn forget_refused_changes(&self, before: Timestamp) -> Result<u64> {
        self.database.execute(sql("DELETE FROM pending_changes WHERE refused_at < $1").bind(before)).await
    }
}

fn ids(changes: &[PendingId]) -> Cells {
    Cells::Uuids(changes.iter().map(|id| id.as_uuid()).collect())
}
