//! Another name, another container, or both, in one request. Active Directory takes no `<GUID=…>` here, so that the DN
//! is the one of a moment ago; an entry that was moved meanwhile is found again by its external id.

use super::gate::Kind;
use super::operation::{Move, Subject};
use super::outcome::{Done, Effect};
use super::protected::Plan;
use super::target::Target;
use super::work::Work;
use crate::error::Error;
use crate::failure::Failure;
use postern_dn::{Dn, Value};

const MOST_TRIES: u32 = 3;
/// noSuchObject
const NO_SUCH_OBJECT: u32 = 32;
/// entryAlreadyExists
const EXISTS: u32 = 68;

impl Work<'_> {
    pub(crate) async fn relocate(&mut self, subject: &Subject, to: &Move) -> Result<Done, Error> {
        let mut before: Option<(Dn, Error)> = None;
        for _ in 0..MOST_TRIES {
            let mut target = self.target(subject, &[]).await?;
            if let Some((dn, error)) = before.take()
                && dn == target.dn
            {
                // It stands where it stood: it is the new container that is missing.
                return Err(error);
            }
            let (leaf, container) = self.destination(&target, to)?;
            let destination = leaf.below(&container);
            if is_there(&target.dn, &destination) {
                return self.is_moved(subject, target, &destination).await;
            }
            let renamed = self.renamed(&target, &target.dn, &destination).await?;
            let groups = self.naming(&renamed).await?;
            let plan = Plan { destination: Some(&destination), groups: groups.iter().collect(), ..Plan::default() };
            self.allowed(Kind::Move, &mut target, plan).await?;
            let moved = (target.dn.parent().map(|parent| parent.case_folded()) != Some(container.case_folded()))
                .then(|| container.to_string());
            match self.session.rename(&target.text, &leaf.to_string(), moved.as_deref()).await {
                Ok(()) => {
                    let refused_members = self.rename_in_groups(&renamed).await?;
                    let done = Done { refused_members, ..Done::new(Effect::Changed) };
                    return self.finish(&destination.to_string(), done).await;
                }
                Err(Error::Write(Failure::Refused(refusal))) if refusal.code == NO_SUCH_OBJECT => {
                    before = Some((target.dn.clone(), Failure::Refused(refusal).into()));
                }
                Err(Error::Write(Failure::Refused(refusal))) if refusal.code == EXISTS => {
                    return Err(Failure::Taken { what: "name".to_owned() }.into());
                }
                Err(error) => return Err(error),
            }
        }
        Err(Failure::KeepsChanging.into())
    }

    /// It is where it is to be. Who has moved it may have had no time for the groups. That these name the DN that the
    /// operation knows is not ours to believe: to put the new one there is a change of members, and permitted as such.
    async fn is_moved(&mut self, subject: &Subject, mut target: Target, now: &Dn) -> Result<Done, Error> {
        let plan = Plan { destination: Some(now), ..Plan::default() };
        self.allowed(Kind::Move, &mut target, plan).await?;
        let mut done = Done::new(Effect::AlreadySo);
        if let Some(before) = self.left_behind(subject, &target).await? {
            let renamed = self.renamed(&target, &before, &target.dn).await?;
            let groups = self.naming(&renamed).await?;
            if !groups.is_empty() {
                let dn = target.dn.clone();
                let plan = Plan { groups: groups.iter().collect(), members: vec![&dn], ..Plan::default() };
                self.allowed(Kind::Members, &mut target, plan).await?;
                done.refused_members = self.rename_in_groups(&renamed).await?;
                done.effect = Effect::Changed;
            }
        }
        self.finish(&target.text, done).await
    }

    /// The relative name and the container that the entry is to have.
    fn destination(&self, target: &Target, to: &Move) -> Result<(Dn, Dn), Error> {
        let unusable = || Failure::invalid("name", "an entry without a name cannot be moved");
        let (leaf, parent) = (target.dn.leaf().ok_or_else(unusable)?, target.dn.parent().ok_or_else(unusable)?);
        let leaf = match &to.name {
            None => leaf,
            Some(name) => {
                let [naming] = leaf.rdns().first().map_or(&[][..], |rdn| rdn.avas()) else {
                    return Err(Failure::invalid("name", "the entry is named by several attributes").into());
                };
                self.check_name(naming.attribute(), &[name.clone().into()])?;
                if name.is_empty() {
                    return Err(Failure::invalid("name", "empty").into());
                }
                Dn::root().child(naming.attribute(), name)
            }
        };
        let container = match &to.container {
            None => parent,
            Some(named) => self.container(Some(named))?,
        };
        if container.is_within(&target.dn) {
            return Err(Failure::invalid("container", "an entry cannot be moved below itself").into());
        }
        Ok((leaf, container))
    }
}

/// Whether an entry is where it is to be. Names that differ only in case are two names here: people see the difference.
fn is_there(now: &Dn, wanted: &Dn) -> bool {
    let value = |dn: &Dn| -> Option<Vec<Value>> {
        Some(dn.rdns().first()?.avas().iter().map(|ava| ava.value().clone()).collect())
    };
    now.case_folded() == wanted.case_folded() && value(now) == value(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_case_is_another_name_but_another_escape_is_not() {
        let dn = |text| Dn::parse(text).expect("a name");
        assert!(is_there(&dn("cn=a\\2cb,ou=x,dc=y"), &dn("CN=a\\,b,OU=X,dc=y")));
        assert!(!is_there(&dn("cn=anna,ou=x,dc=y"), &dn("cn=Anna,ou=x,dc=y")));
        assert!(!is_there(&dn("cn=anna,ou=x,dc=y"), &dn("cn=anna,ou=z,dc=y")));
    }
}
