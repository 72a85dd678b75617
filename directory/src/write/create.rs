//! New entries. Creating what exists is settled by rule, and an entry that an earlier try has made is known again. A user
//! of Active Directory is never enabled without a password.

use bytes::Bytes;

use super::gate::Kind;
use super::members::{Member, Resolved};
use super::new_entry::NewEntry;
use super::operation::{Create, Existing, NewPassword};
use super::outcome::{Done, Effect, RefusedAttribute};
use super::password::quoted;
use super::protected::Plan;
use super::state::{ACCOUNT_DISABLED, CONTROL};
use super::target::Target;
use super::work::Work;
use crate::error::{Error, Phase};
use crate::failure::{Failure, Refusal};
use postern_dn::Dn;

/// `ADS_UF_NORMAL_ACCOUNT` (MS-ADTS §2.2.16)
const NORMAL_ACCOUNT: i64 = 0x200;
/// Members that a new group is sent with.
const FIRST_MEMBERS: usize = 500;

impl Work<'_> {
    /// Makes the entry. `names`: attributes of which nobody else may have the value, beside those that are always so.
    pub(crate) async fn create(&mut self, create: &Create, names: &[String]) -> Result<Done, Error> {
        self.can_be_created(create)?;
        let new = self.new_entry(create, names)?;
        let (attribute, members) = self.first_members(create, &new).await?;
        let dns: Vec<_> = members.dns().collect();
        self.allowed_new(&new.dn, create, dns.iter().collect()).await?;
        if let Some(existing) = self.with_unique(&new).await? {
            return self.existing(create, &new, existing, dns.iter().collect()).await;
        }
        let mut attributes = new.attributes.clone();
        let (first, later) = members.members.split_at(members.members.len().min(FIRST_MEMBERS));
        attributes.extend(self.member_values(attribute, first, &new)?);
        let refused = match self.make(create, &new, attributes).await {
            Ok(refused) => refused,
            Err(Error::Write(Failure::Refused(refusal))) if refusal.may_be_taken() => {
                // Somebody was quicker than our search.
                let Some(existing) = self.with_unique(&new).await? else {
                    return Err(self.clash(&new, refusal).await?.into());
                };
                return self.existing(create, &new, existing, dns.iter().collect()).await;
            }
            Err(error) => return Err(error),
        };
        let mut done = Done { refused, unknown_members: members.unknown, ..Done::new(Effect::Created) };
        done.members_added = first.len();
        let dn = new.dn.to_string();
        if !later.is_empty() {
            let target = self.read(&dn, &[]).await?.ok_or(Failure::NotFound)?;
            let group = self.group(&target);
            self.add_members(&group, later.to_vec(), &mut done).await?;
        }
        self.finish(&dn, done).await
    }

    /// What would be refused halfway is refused at once.
    fn can_be_created(&self, create: &Create) -> Result<(), Failure> {
        if let Some(new) = &create.password {
            self.password_can_be_sent(new)?;
        }
        match (self.phase, self.is_active_directory()) {
            (Phase::Users, true) if create.enabled && create.password.is_none() => {
                Err(Failure::invalid("password", "an enabled user of Active Directory needs one"))
            }
            (Phase::Users, false) if !create.enabled => self.switch().map(drop),
            (Phase::Groups, _) if create.password.is_some() => Err(Failure::invalid("password", "groups have none")),
            (Phase::Users, _) if !create.members.is_empty() => Err(Failure::invalid("members", "users have none")),
            _ => Ok(()),
        }
    }

    /// Sends the new entry, with all that belongs to a user's state.
    async fn make(
        &mut self,
        create: &Create,
        new: &NewEntry,
        mut attributes: Vec<(String, Vec<Bytes>)>,
    ) -> Result<Vec<RefusedAttribute>, Error> {
        let dn = new.dn.to_string();
        match (self.phase, self.is_active_directory()) {
            (Phase::Groups, _) => self.add_what_is_taken(&dn, attributes, new).await,
            (Phase::Users, true) => self.make_account(create, new, attributes).await,
            (Phase::Users, false) => {
                if !create.enabled {
                    let switch = self.switch()?;
                    attributes.retain(|(name, _)| !self.session.schema.same(name, &switch.attribute));
                    attributes.push((switch.attribute, vec![switch.off]));
                }
                let refused = self.add_what_is_taken(&dn, attributes, new).await?;
                if let Some(password) = &create.password {
                    self.first_password(&dn, password).await?;
                }
                Ok(refused)
            }
        }
    }

    async fn first_password(&mut self, dn: &str, password: &NewPassword) -> Result<(), Error> {
        let target = self.read(dn, self.password_names()).await?.ok_or(Failure::NotFound)?;
        self.put_password(&target, password).await.map(drop)
    }

    /// A user of Active Directory: with password and state in one request where the server allows it, else disabled
    /// first, and enabled together with the password.
    async fn make_account(
        &mut self,
        create: &Create,
        new: &NewEntry,
        attributes: Vec<(String, Vec<Bytes>)>,
    ) -> Result<Vec<RefusedAttribute>, Error> {
        let dn = new.dn.to_string();
        let number = |number: i64| vec![Bytes::from(number.to_string())];
        let disabled = NORMAL_ACCOUNT | ACCOUNT_DISABLED;
        let with = |more: Vec<(&str, Vec<Bytes>)>| {
            let more = more.into_iter().map(|(name, values)| (name.to_owned(), values));
            attributes.iter().cloned().chain(more).collect::<Vec<_>>()
        };
        let Some(password) = &create.password else {
            return self.add_what_is_taken(&dn, with(vec![(CONTROL, number(disabled))]), new).await;
        };
        let control = if create.enabled { NORMAL_ACCOUNT } else { disabled };
        let mut at_once = vec![(CONTROL, number(control)), ("unicodePwd", vec![quoted(&password.password)])];
        if password.must_change {
            at_once.push(("pwdLastSet", number(0)));
        }
        match self.add_what_is_taken(&dn, with(at_once), new).await {
            Err(Error::Write(Failure::Refused(refusal))) if may_go_in_steps(&refusal) => {}
            answer => return answer,
        }
        let refused = self.add_what_is_taken(&dn, with(vec![(CONTROL, number(disabled))]), new).await?;
        let target = self.read(&dn, &[CONTROL]).await?.ok_or(Failure::NotFound)?;
        self.complete_account(&target, password, create.enabled).await?;
        Ok(refused)
    }

    /// What becomes of an entry that has the unique value already.
    async fn existing(
        &mut self,
        create: &Create,
        new: &NewEntry,
        mut existing: Target,
        members: Vec<&Dn>,
    ) -> Result<Done, Error> {
        let effect = match (self.is_equal(new, &existing), create.existing) {
            (true, _) if self.again => Effect::Created,
            (true, _) if create.sent_before => Effect::AlreadySo,
            (_, Existing::Adopt) if self.is_of_kind(&existing) => Effect::Adopted,
            // Also one that looks the same: nobody has made it for this.
            _ => {
                let what = new.unique.first().map_or("name", |(name, _)| name).to_owned();
                return Err(Failure::Taken { what }.into());
            }
        };
        let mut done = Done::new(effect);
        // It is another entry than the one that was asked about: this one may be protected, or elsewhere.
        if effect == Effect::Adopted {
            self.allowed(Kind::Create, &mut existing, Plan::default()).await?;
        } else {
            let sets_password = create.password.is_some();
            let groups = if members.is_empty() { Vec::new() } else { vec![&new.dn] };
            let attributes = create.attributes.iter().map(|(name, _)| name.as_str()).collect();
            let plan = Plan { attributes, groups, members, sets_password, ..Plan::default() };
            self.allowed(Kind::Create, &mut existing, plan).await?;
            self.complete(create, &existing, &mut done).await?;
        }
        self.finish(&existing.text, done).await
    }

    /// An earlier try may have been cut between two requests: what is missing is done now.
    async fn complete(&mut self, create: &Create, existing: &Target, done: &mut Done) -> Result<(), Error> {
        match (self.phase, &create.password) {
            (Phase::Users, Some(password)) if self.is_active_directory() => {
                let control = existing.values.text(CONTROL).and_then(|text| text.parse::<i64>().ok());
                let unfinished = create.enabled && control.is_some_and(|control| control & ACCOUNT_DISABLED != 0);
                if unfinished {
                    self.complete_account(existing, password, true).await?;
                    done.effect = Effect::Created;
                }
            }
            (Phase::Users, Some(password)) => {
                let has_it = !self.again && self.is_password(existing, &password.password).await?;
                if !has_it {
                    self.first_password(&existing.text, password).await?;
                    done.effect = Effect::Created;
                }
            }
            (Phase::Groups, _) if !create.members.is_empty() => {
                let group = self.group(existing);
                let members = self.resolve(&group, &create.members, false).await?;
                done.unknown_members = members.unknown;
                self.add_members(&group, members.members, done).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The attribute by which a new group lists members, and who they are.
    async fn first_members(&mut self, create: &Create, new: &NewEntry) -> Result<(Option<String>, Resolved), Error> {
        if self.phase != Phase::Groups {
            return Ok((None, Resolved::default()));
        }
        let group = self.group_of(&new.dn.to_string(), &new.attributes);
        let members = self.resolve(&group, &create.members, false).await?;
        Ok((Some(group.attribute), members))
    }

    /// The members that the new entry is sent with: the placeholder where its class asks for one and there is nobody.
    fn member_values(
        &self,
        attribute: Option<String>,
        first: &[Member],
        new: &NewEntry,
    ) -> Result<Option<(String, Vec<Bytes>)>, Failure> {
        let Some(attribute) = attribute else { return Ok(None) };
        if !first.is_empty() {
            return Ok(Some((attribute, first.iter().map(|member| member.value.clone()).collect())));
        }
        if self.needs_members(&new.attributes) {
            return Ok(Some((attribute, vec![self.placeholder()?])));
        }
        Ok(None)
    }
}

/// Whether a refusal may be about the password coming with the entry, and not about the password itself.
fn may_go_in_steps(refusal: &Refusal) -> bool {
    matches!(refusal.code, 1 | 50 | 53) && !refusal.is_password_policy()
}
