//! One user with every configured attribute and its groups, as an import would deliver them.

use super::Work;
use super::outcome::{Answer, Code, Failure};
use crate::encode::chunk;
use crate::served::Phase;

pub(super) async fn run(work: &Work, unique_value: &str) -> Result<Answer, Failure> {
    if unique_value.is_empty() {
        return Err(Failure::new(Code::Invalid, "the command does not say which user"));
    }
    let found = work.directory.lookup_user(unique_value).await?;
    let form = work.directory.member_form();
    Ok(Answer::LookupUser {
        user: chunk(form, Phase::Users, [found.user], &work.policy),
        groups: chunk(form, Phase::Groups, found.groups, &work.policy),
    })
}
