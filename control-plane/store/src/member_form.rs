//! How the groups of a directory name their members, and the change from one form to another.

use std::collections::HashMap;

use uuid::Uuid;

use crate::dialect::Bulk;
use crate::dialect::Cells;
use crate::error::Result;
use crate::ids::GroupId;
use crate::imports::Intake;
use crate::keys::bounded;
use crate::member_names::{account_name, member_hash, name_hash};
use crate::records::{AccountKind, ExternalKey, MemberForm};
use crate::sql::sql;

/// Accounts whose hashes are updated in one step.
const REHASH_ROWS: i64 = 5_000;
/// Groups whose members are renamed in one step.
const RENAMED_GROUPS: i64 = 20;

/// An account that has a name.
struct Named {
    kind: AccountKind,
    key: ExternalKey,
    missing: bool,
    dn: String,
    unique_value: Option<String>,
}

impl Intake {
    /// Sets how the groups of this directory name their members. Call it before the first account is written: later it
    /// updates every account of the directory. `dn_key` normalizes a DN.
    pub async fn set_member_form(&mut self, form: MemberForm, dn_key: impl Fn(&str) -> String) -> Result<()> {
        if form == self.form {
            return Ok(());
        }
        let update = sql("UPDATE directories SET member_form = $1 WHERE seq = $2");
        self.identities.tx.execute(update.bind(form.as_str()).bind(self.directory)).await?;
        let before = std::mem::replace(&mut self.form, form);
        // Between DNs and logins the groups themselves bring the new names. Users who name their groups bring none for
        // groups that were entries, and entries none for groups that users named: these must not lose their members.
        if before == MemberForm::GroupNames || form == MemberForm::GroupNames {
            self.rename_members(&dn_key).await?;
        }
        self.rehash(&dn_key).await
    }

    async fn rehash(&mut self, dn_key: &impl Fn(&str) -> String) -> Result<()> {
        let (form, mut after) = (self.form, Uuid::nil());
        loop {
            let query = sql("SELECT id, kind, dn, unique_value, external_key FROM accounts \
                 WHERE target = $1 AND id > $2 ORDER BY id LIMIT $3")
            .bind(self.directory)
            .bind(after)
            .bind(REHASH_ROWS);
            let rows: Vec<(Uuid, Option<Vec<u8>>)> = self
                .identities
                .tx
                .rows(query, |mut row| {
                    let (id, kind) = (row.take()?, AccountKind::from_code(row.take()?)?);
                    let (dn, unique): (String, Option<String>) = (row.take()?, row.take()?);
                    let key = ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?;
                    Ok((id, member_hash(form, kind, &dn_key(&dn), unique.as_deref(), &key).map(Vec::from)))
                })
                .await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = *last;
            let (ids, hashes) = rows.into_iter().unzip();
            let update = Bulk::new(
                "WITH v(id, member_hash) AS ({rows}) {update} accounts SET member_hash = v.member_hash FROM v \
                 WHERE accounts.id = v.id",
            );
            self.identities.tx.bulk(update.column(Cells::Uuids(ids)).column(Cells::MaybeBlobs(hashes))).await?;
        }
    }

    /// Gives all members of the directory's groups their names in the new form. A name that means no account, or
    /// several, stays.
    async fn rename_members(&mut self, dn_key: &impl Fn(&str) -> String) -> Result<()> {
        let mut after = Vec::new();
        loop {
            let query = sql("SELECT external_key, identity FROM accounts WHERE target = $1 AND kind = 2 \
                 AND external_key > $2 AND identity IS NOT NULL ORDER BY external_key LIMIT $3")
            .bind(self.directory)
            .bind(after.as_slice())
            .bind(RENAMED_GROUPS);
            let groups: Vec<(Vec<u8>, GroupId)> =
                self.identities.tx.rows(query, |mut row| Ok((row.take()?, row.take()?))).await?;
            let Some((last, _)) = groups.last() else { return Ok(()) };
            after.clone_from(last);
            let known = groups.into_iter().map(|(_, group)| (group, Vec::new())).collect::<Vec<_>>();
            let mut renamed = Vec::with_capacity(known.len());
            for (group, rows) in self.rows_of(&known).await? {
                let names = rows.concat();
                let accounts = self.accounts_with(&names).await?;
                let new_name = |name: String| match accounts.get(&name_hash(&name)) {
                    Some(account) => account.name(self.form, dn_key).unwrap_or(name),
                    None => name,
                };
                renamed.push((group, names.into_iter().map(new_name).collect()));
            }
            self.replace_members(renamed).await?;
        }
    }

    /// The only account with each of these names in the form of before: of several, the only one that is not missing.
    async fn accounts_with(&mut self, names: &[String]) -> Result<HashMap<[u8; 16], Named>> {
        let query = Bulk::new(
            "WITH v(name_hash) AS ({rows}) SELECT a.member_hash, a.kind, a.external_key, a.missing_since IS NOT NULL, \
             a.dn, a.unique_value FROM v {each}accounts a{where}a.target = :1 AND a.member_hash = v.name_hash \
             AND a.identity IS NOT NULL{every}",
        );
        let hashes = Cells::Blobs(names.iter().map(|name| name_hash(name).to_vec()).collect());
        let read = |mut row: crate::sql::Row| {
            let (hash, kind): ([u8; 16], i64) = (row.take()?, row.take()?);
            let key = ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?;
            let (missing, dn, unique_value) = (row.take()?, row.take()?, row.take()?);
            Ok((hash, Named { kind: AccountKind::from_code(kind)?, key, missing, dn, unique_value }))
        };
        let found = self.identities.tx.bulk_rows(query.column(hashes).shared(self.directory), read).await?;
        let mut by_name: HashMap<[u8; 16], Vec<Named>> = HashMap::new();
        for (hash, account) in found {
            by_name.entry(hash).or_default().push(account);
        }
        Ok(by_name.into_iter().filter_map(|(hash, accounts)| Some((hash, only(accounts)?))).collect())
    }
}

fn only(mut accounts: Vec<Named>) -> Option<Named> {
    if accounts.iter().any(|account| !account.missing) {
        accounts.retain(|account| !account.missing);
    }
    let one = accounts.pop();
    one.filter(|_| accounts.is_empty())
}

impl Named {
    fn name(&self, form: MemberForm, dn_key: &impl Fn(&str) -> String) -> Option<String> {
        let name = match (form, self.kind) {
            (MemberForm::GroupNames, kind) => account_name(kind, &self.key),
            (MemberForm::Dn, _) => dn_key(&self.dn),
            (MemberForm::UniqueValue, AccountKind::User) => self.unique_value.clone()?,
            (MemberForm::UniqueValue, AccountKind::Group) => return None,
        };
        Some(bounded(name.into()).into_owned())
    }
}
