//! One user with every configured attribute and its groups, as an import would deliver them.

use postern_proto::MAX_FRAME_BYTES;

use super::Work;
use super::outcome::{Answer, Code, Failure};
use crate::encode::chunk;
use crate::served::Phase;

/// What an answer may hold, so that its frame is not too large.
const MAX_ANSWER_BYTES: usize = MAX_FRAME_BYTES - (64 << 10);

pub(super) async fn run(work: &Work, unique_value: &str) -> Result<Answer, Failure> {
    if unique_value.is_empty() {
        return Err(Failure::new(Code::Invalid, "the command does not say which user"));
    }
    let found = work.directory.lookup_user(unique_value).await?;
    let form = work.directory.member_form();
    let user = chunk(form, Phase::Users, [found.user], &work.policy);
    let groups = chunk(form, Phase::Groups, found.groups, &work.policy);
    let bytes = user.len() + groups.len();
    if bytes > MAX_ANSWER_BYTES {
        // Sent, it would end the session, and again with the next one.
        let message = format!("user and groups take {bytes} bytes, more than the {MAX_ANSWER_BYTES} of an answer");
        return Err(Failure::new(Code::Directory, message).cured_by("configure fewer or smaller attributes"));
    }
    Ok(Answer::LookupUser { user, groups })
}
