//! Answers to a control plane that asks for entries which were known and did not come.

use postern_proto::v1;
use postern_proto::v1::chunk::LookedAgain;
use postern_proto::v1::chunk_ack::{self, LookAgain};

use super::delivery::{Break, Delivery};
use crate::command::End;
use crate::failure::{Class, Code, Failure};
use crate::served::{NotVisible, Phase, Sight, Sought};

/// More entries than this are not looked for at once.
const MOST: usize = 100;
/// The most entries that are looked for in one job: a control plane that makes up names does not go through many.
const MOST_OF_A_JOB: usize = 1_000_000;

impl Delivery {
    /// Looks for these entries, wherever they may be now.
    pub(super) async fn look_again(&mut self, asked: LookAgain) -> Result<LookedAgain, Break> {
        let over = |failure: Failure| Break::over(End::Failed(failure));
        if asked.entries.len() > MOST {
            let message = format!("asked for {} entries at once, more than {MOST}", asked.entries.len());
            return Err(over(Failure::new(Code::Invalid, message)));
        }
        self.looked_for = self.looked_for.saturating_add(asked.entries.len());
        if self.looked_for > MOST_OF_A_JOB {
            let message = format!("asked for more than {MOST_OF_A_JOB} entries in one job");
            return Err(over(Failure::new(Code::Invalid, message)));
        }
        let Some(second_look) = &mut self.second_look else {
            return Err(over(Failure::new(Class::Internal, "asked for entries before the summary was sent")));
        };
        let sought: Vec<Option<Sought>> = asked.entries.into_iter().map(sought).collect();
        let known: Vec<Sought> = sought.iter().flatten().cloned().collect();
        let mut found = second_look.look(&known).await.map_err(over)?.into_iter();
        // What this release does not know was not looked for.
        let sights = sought.into_iter().map(|one| one.and_then(|_| found.next()).map_or(v1::Sight::NotVisible, wire));
        let sights: Vec<u8> = sights.map(|sight| u8::try_from(i32::from(sight)).unwrap_or_default()).collect();
        Ok(LookedAgain { sights: sights.into() })
    }
}

fn sought(asked: chunk_ack::Sought) -> Option<Sought> {
    let phase = match asked.kind() {
        v1::SoughtKind::Unspecified => return None,
        v1::SoughtKind::User => Phase::Users,
        v1::SoughtKind::Group => Phase::Groups,
    };
    Some(Sought { phase, external_id: asked.external_id, last_dn: asked.last_dn })
}

fn wire(sight: Sight) -> v1::Sight {
    match sight {
        Sight::InScope => v1::Sight::InScope,
        Sight::LeftScope => v1::Sight::LeftScope,
        Sight::LeftScopeDisabled => v1::Sight::LeftScopeDisabled,
        Sight::Absent => v1::Sight::Absent,
        Sight::NotVisible(NotVisible::NoExternalId) => v1::Sight::NoExternalId,
        Sight::NotVisible(NotVisible::Referral) => v1::Sight::Referral,
        Sight::NotVisible(NotVisible::ContainerUnreadable) => v1::Sight::ContainerUnreadable,
        Sight::NotVisible(NotVisible::ContainerNotFound) => v1::Sight::ContainerNotFound,
        Sight::NotVisible(NotVisible::HiddenChildren) => v1::Sight::HiddenChildren,
        Sight::NotVisible(NotVisible::Unavailable) => v1::Sight::Unavailable,
    }
}
