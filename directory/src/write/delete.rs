//! The end of an entry. An entry that is not found was deleted only if that can be shown. Where the directory does not
//! keep memberships itself, no group is left with the name of an entry that is gone. A user of Active Directory is disabled
//! first: whoever undeletes it gets an account that lets nobody in.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::gate::Kind;
use super::nesting::lists;
use super::operation::Subject;
use super::outcome::{Done, Effect, RefusedMember};
use super::protected::Plan;
use super::request::Part;
use super::state::{CHANGED, CONTROL, control_parts};
use super::target::Target;
use super::work::Work;
use crate::error::{Error, Phase};
use crate::failure::{Action, Failure};
use crate::filter;
use crate::second_look::{Sight, Sought, everywhere, is_absent};
use postern_dn::Dn;

/// noSuchObject
const GONE: u32 = 32;
/// noSuchAttribute: the directory has taken it out itself.
const NOT_A_MEMBER: u32 = 16;
/// attributeOrValueExists: somebody else has disabled it meanwhile.
const IS_THERE: u32 = 20;
/// objectClassViolation
const WOULD_BE_EMPTY: u32 = 65;
/// How often an account is read anew because its state changed before it was disabled.
const MOST_TRIES: u32 = 4;

impl Work<'_> {
    pub(crate) async fn remove(&mut self, subject: &Subject) -> Result<Done, Error> {
        let mut last = subject.clone();
        for _ in 0..MOST_TRIES {
            let Some(mut target) = self.find(&last, &[CONTROL]).await? else { return self.gone(&last).await };
            let uid = target.values.first("uid").cloned();
            let groups = self.listing(&target.text, uid.as_ref()).await?;
            let dns: Vec<&Dn> = groups.values().collect();
            self.allowed(Kind::Delete, &mut target, Plan { groups: dns, ..Plan::default() }).await?;
            if self.write.placeholder_member.is_none() {
                self.may_be_emptied(&groups).await?;
            }
            if self.let_nobody_in(&target).await? {
                return self.removed(&last, &target, uid.as_ref()).await;
            }
            last.dn = Some(target.text);
        }
        Err(Failure::KeepsChanging.into())
    }

    /// Disables a user of Active Directory that is about to be deleted. Without its recycle bin, and whether that is on
    /// the agent may not be able to see, an undeleted account is as it was but for its password: an enabled one would let
    /// everybody in. Not done: somebody else has changed its state meanwhile.
    async fn let_nobody_in(&mut self, target: &Target) -> Result<bool, Error> {
        let classes = target.values.of(&self.session.schema, "objectClass");
        let is_account = self.is_active_directory() && classes.iter().any(|class| class.eq_ignore_ascii_case(b"user"));
        if !is_account {
            return Ok(true);
        }
        let parts = control_parts(target, false)?;
        if parts.is_empty() {
            return Ok(true);
        }
        match self.session.modify(Action::Delete, &target.text, parts).await {
            Ok(()) => Ok(true),
            Err(Error::Write(Failure::Refused(refusal))) if [CHANGED, IS_THERE, GONE].contains(&refusal.code) => {
                Ok(false)
            }
            Err(Error::Write(Failure::Refused(refusal))) => Err(Failure::Refused(refusal.of(CONTROL)).into()),
            Err(error) => Err(error),
        }
    }

    async fn removed(&mut self, subject: &Subject, target: &Target, uid: Option<&Bytes>) -> Result<Done, Error> {
        match self.session.delete(&target.text).await {
            Ok(()) => {
                let refused_members = self.clean(&target.text, uid).await?;
                Ok(Done { refused_members, ..Done::new(Effect::Deleted) })
            }
            // Somebody was quicker, or it was moved: the next look says which.
            Err(Error::Write(Failure::Refused(refusal))) if refusal.code == GONE => {
                let last = Subject { dn: Some(target.text.clone()), ..subject.clone() };
                match self.find(subject, &[]).await? {
                    Some(_) => Err(Failure::KeepsChanging.into()),
                    None => self.gone(&last).await,
                }
            }
            Err(error) => Err(error),
        }
    }

    /// It is not found. That is what was wanted, if it is proven.
    async fn gone(&mut self, subject: &Subject) -> Result<Done, Error> {
        let Some(last_dn) = subject.dn.clone().filter(|dn| !dn.is_empty()) else {
            return Err(Failure::AbsenceUnproven.into());
        };
        let external_id = subject.external_id.clone().unwrap_or_default();
        let sought = Sought { phase: self.phase, external_id, last_dn: last_dn.clone() };
        let (connection, flavour) = (&mut self.session.connection, self.session.root.flavour());
        if is_absent(connection, self.config, flavour, &sought).await? != Sight::Absent {
            return Err(Failure::AbsenceUnproven.into());
        }
        let mut done = Done::new(if self.again { Effect::Deleted } else { Effect::AlreadySo });
        // Who has deleted it may have had no time for the groups. But somebody else may have its name by now.
        if let Ok(dn) = Dn::parse(&last_dn)
            && self.read(&last_dn, &[]).await?.is_none()
        {
            let groups = self.listing(&last_dn, None).await?;
            if !groups.is_empty() {
                self.allowed_gone(&dn, groups.values().collect())?;
                done.refused_members = self.clean(&last_dn, None).await?;
            }
        }
        Ok(done)
    }

    /// The groups that list an entry. Active Directory takes care of them itself.
    pub(crate) async fn listing(&mut self, dn: &str, uid: Option<&Bytes>) -> Result<BTreeMap<String, Dn>, Error> {
        if self.is_active_directory() || self.config.group_entries().is_none() {
            return Ok(BTreeMap::new());
        }
        let by_uid = uid.filter(|_| self.phase == Phase::Users).map(|uid| filter::equals("memberUid", uid));
        let condition = format!("(|{}{})", lists(dn), by_uid.unwrap_or_default());
        let (ids, bases) = (self.external_ids(Phase::Groups), self.bases(Phase::Groups));
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (connection, root) = (&mut self.session.connection, &self.session.root);
        let found = everywhere(connection, root, &bases, &condition, &ids).await?;
        Ok(found.into_values().filter_map(|text| Dn::parse(&text).ok().map(|dn| (text, dn))).collect())
    }

    /// Refuses where a group would be left with nobody and its class does not allow that.
    async fn may_be_emptied(&mut self, groups: &BTreeMap<String, Dn>) -> Result<(), Error> {
        for text in groups.keys() {
            let Some(found) = self.read(text, &[]).await? else { continue };
            let group = self.group(&found);
            if group.by_dn
                && self.must_have_members(found.values.of(&self.session.schema, "objectClass"))
                && self.list(&group).await?.len() < 2
            {
                self.placeholder()?;
            }
        }
        Ok(())
    }

    /// Takes an entry that is gone out of the groups that still list it. A group that refuses stops no other: the entry is
    /// gone, and that is what was wanted.
    async fn clean(&mut self, dn: &str, uid: Option<&Bytes>) -> Result<Vec<RefusedMember>, Error> {
        let mut refused = Vec::new();
        for text in self.listing(dn, uid).await?.into_keys() {
            let Some(found) = self.read(&text, &[]).await? else { continue };
            let group = self.group(&found);
            let value = match (group.by_dn, uid) {
                (true, _) => Bytes::copy_from_slice(dn.as_bytes()),
                (false, Some(uid)) => uid.clone(),
                (false, None) => continue,
            };
            let gone = Part::Delete(group.attribute.clone(), vec![value]);
            let answer = self.session.modify(Action::Members, &text, vec![gone.clone()]).await;
            let answer = match answer {
                Err(Error::Write(Failure::Refused(refusal))) if refusal.code == WOULD_BE_EMPTY => {
                    let instead = Part::Add(group.attribute, vec![self.placeholder()?]);
                    self.session.modify(Action::Members, &text, vec![instead, gone]).await
                }
                answer => answer,
            };
            match answer {
                Err(Error::Write(Failure::Refused(refusal))) if matches!(refusal.code, NOT_A_MEMBER | GONE) => {}
                Err(Error::Write(Failure::Refused(refusal))) => {
                    refused.push(RefusedMember::new(&Subject::dn(dn), &refusal));
                }
                answer => answer?,
            }
        }
        Ok(refused)
    }
}
