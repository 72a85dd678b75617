//! Members of a group, as differences: a group of 50,000 is never written whole. Values are sent once each (Samba would
//! store one twice), some hundred in a request, and only those that are not so already.

mod group;
mod resolve;
mod there;

use std::collections::HashSet;

use bytes::Bytes;

use super::gate::Kind;
use super::operation::{MemberChange, Subject};
use super::outcome::{Done, Effect, RefusedMember};
use super::protected::Plan;
use super::request::Part;
use super::work::Work;
use crate::error::{Error, Phase};
use crate::failure::{Action, Failure, Refusal};
use postern_dn::Dn;

pub(crate) use self::group::{Group, Member, Resolved};

/// Values in one request. Active Directory bounds the size of a request (MS-ADTS §3.1.1.3.4.6).
const AT_ONCE: usize = 500;
const MOST_TRIES: u32 = 4;
/// objectClassViolation: the class does not allow a group without members.
const WOULD_BE_EMPTY: u32 = 65;

impl Work<'_> {
    pub(crate) async fn change_members(&mut self, subject: &Subject, change: &MemberChange) -> Result<Done, Error> {
        if self.phase != Phase::Groups {
            return Err(Failure::invalid("operation", "only groups have members").into());
        }
        let mut target = self.target(subject, &[]).await?;
        let group = self.group(&target);
        let add = self.resolve(&group, &change.add, false).await?;
        let mut remove = self.resolve(&group, &change.remove, true).await?;
        let dns: Vec<Dn> = add.dns().chain(remove.dns()).collect();
        let members: Vec<&Dn> = dns.iter().collect();
        let dn = target.dn.clone();
        self.allowed(Kind::Members, &mut target, Plan { groups: vec![&dn], members, ..Plan::default() }).await?;
        let mut done = Done::new(Effect::AlreadySo);
        done.unknown_members = add.unknown;
        self.add_members(&group, add.members, &mut done).await?;
        let mut sent: HashSet<Bytes> = HashSet::new();
        while !remove.members.is_empty() {
            sent.extend(remove.members.iter().map(|member| member.value.clone()));
            self.remove_members(&group, remove.members, &mut done).await?;
            if done.members_removed >= sent.len() {
                break;
            }
            // Not all were in the group: one may have been renamed after we looked for the names.
            remove = self.resolve(&group, &change.remove, true).await?;
            remove.members.retain(|member| !sent.contains(&member.value));
            let dns: Vec<Dn> = remove.dns().collect();
            let members = dns.iter().collect();
            self.allowed(Kind::Members, &mut target, Plan { groups: vec![&dn], members, ..Plan::default() }).await?;
        }
        if done.members_added + done.members_removed > 0 {
            done.effect = Effect::Changed;
        }
        if done.members_removed < sent.len() {
            let stay = self.primary_members(&target, &change.remove).await?;
            done.refused_members.extend(stay);
        }
        self.finish(&target.text, done).await
    }

    pub(crate) async fn add_members(
        &mut self,
        group: &Group,
        members: Vec<Member>,
        done: &mut Done,
    ) -> Result<(), Error> {
        let placeholder = self.placeholder_of(group).await?;
        let mut gone = placeholder.map(|value| Part::Delete(group.attribute.clone(), vec![value]));
        for some in members.chunks(AT_ONCE) {
            let refused = self.send_members(group, some, true, &mut gone, done).await?;
            done.refused_members.extend(refused);
        }
        Ok(())
    }

    pub(crate) async fn remove_members(
        &mut self,
        group: &Group,
        members: Vec<Member>,
        done: &mut Done,
    ) -> Result<(), Error> {
        for some in members.chunks(AT_ONCE) {
            let refused = self.send_members(group, some, false, &mut None, done).await?;
            done.refused_members.extend(refused);
        }
        Ok(())
    }

    /// Sends those that are left to do. Where one makes the directory refuse all, each is sent by itself.
    async fn send_members(
        &mut self,
        group: &Group,
        members: &[Member],
        add: bool,
        with: &mut Option<Part>,
        done: &mut Done,
    ) -> Result<Vec<RefusedMember>, Error> {
        let mut refusal = None;
        for _ in 0..MOST_TRIES {
            let left = self.left(group, members, add).await?;
            if left.is_empty() {
                return Ok(Vec::new());
            }
            if let Some((before, refusal)) = refusal.take()
                && before == left.len()
            {
                return self.member_by_member(group, &left, add, refusal, done).await;
            }
            match self.send_some(group, &left, add, with).await {
                Ok(()) => {
                    let count = if add { &mut done.members_added } else { &mut done.members_removed };
                    *count += left.len();
                    return Ok(Vec::new());
                }
                Err(Error::Write(Failure::Refused(found))) => refusal = Some((left.len(), found)),
                Err(error) => return Err(error),
            }
        }
        Err(Failure::KeepsChanging.into())
    }

    async fn send_some(
        &mut self,
        group: &Group,
        left: &[Member],
        add: bool,
        with: &mut Option<Part>,
    ) -> Result<(), Error> {
        let values = left.iter().map(|member| member.value.clone()).collect();
        let name = group.attribute.clone();
        if add {
            // First the new members, so that a group is never empty between the two.
            let parts = std::iter::once(Part::Add(name, values)).chain(with.clone()).collect();
            self.session.modify(Action::Members, &group.text, parts).await?;
            *with = None;
            return Ok(());
        }
        let gone = Part::Delete(name.clone(), values);
        match self.session.modify(Action::Members, &group.text, vec![gone.clone()]).await {
            Err(Error::Write(Failure::Refused(refusal))) if refusal.code == WOULD_BE_EMPTY && group.by_dn => {
                let placeholder = self.placeholder()?;
                let parts = vec![Part::Add(name, vec![placeholder]), gone];
                self.session.modify(Action::Members, &group.text, parts).await
            }
            answer => answer,
        }
    }

    async fn member_by_member(
        &mut self,
        group: &Group,
        left: &[Member],
        add: bool,
        first: Refusal,
        done: &mut Done,
    ) -> Result<Vec<RefusedMember>, Error> {
        let mut refused = Vec::new();
        for member in left {
            let answer = match left.len() {
                1 => Err(Failure::Refused(first.clone()).into()),
                _ => self.send_some(group, std::slice::from_ref(member), add, &mut None).await,
            };
            match answer {
                Ok(()) if add => done.members_added += 1,
                Ok(()) => done.members_removed += 1,
                Err(Error::Write(Failure::Refused(refusal))) => {
                    // The primary group of a user lists nobody, and says so when the user is added.
                    if !(add && refusal.code == 68) {
                        refused.push(RefusedMember::new(&member.subject, &refusal));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if refused.len() == left.len() && left.len() == 1 && done.members_added + done.members_removed == 0 {
            return Err(Failure::Refused(first).into());
        }
        Ok(refused)
    }

    /// The member that stands for nobody.
    pub(crate) fn placeholder(&self) -> Result<Bytes, Failure> {
        let dn = self.write.placeholder_member.as_ref().ok_or(Failure::Setting {
            key: "placeholder_member",
            cure: "the class of this group does not allow a group without members: name a DN there that is put into such \
                   a group as its only member",
        })?;
        Ok(Bytes::copy_from_slice(dn.as_bytes()))
    }

    /// The placeholder, if the group has it: it goes when somebody else comes.
    async fn placeholder_of(&mut self, group: &Group) -> Result<Option<Bytes>, Error> {
        let Some(placeholder) = self.placeholder().ok().filter(|_| group.by_dn) else { return Ok(None) };
        Ok(self.is_member(group, &placeholder).await?.then_some(placeholder))
    }
}
