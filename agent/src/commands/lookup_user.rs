//! One user with every configured attribute and its groups, as an import would deliver them.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use postern_proto::{MAX_FRAME_BYTES, limits, v1};

use super::kind::{Kind, Run, Work};
use crate::command::End;
use crate::encode::chunk;
use crate::failure::{Class, Code, Failure};
use crate::served::Phase;

/// What an answer may hold, so that its frame is not too large.
const MAX_ANSWER_BYTES: usize = MAX_FRAME_BYTES - (64 << 10);

/// Reads one user.
#[derive(Debug)]
pub(super) struct LookupUser;

impl Kind for LookupUser {
    fn name(&self) -> &'static str {
        "lookup_user"
    }

    fn read(&self, asked: &v1::command::Kind) -> Option<Result<Arc<dyn Run>, Failure>> {
        let v1::command::Kind::LookupUser(v1::LookupUser { unique_value }) = asked else { return None };
        if unique_value.len() > limits::MAX_TEXT_BYTES {
            return Some(Err(Failure::new(Code::Invalid, "the value to look up is too long")));
        }
        Some(Ok(Arc::new(Lookup { unique_value: unique_value.clone() })))
    }
}

/// A look-up by the value of the unique attribute.
#[derive(Debug)]
struct Lookup {
    unique_value: String,
}

impl Run for Lookup {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, End> {
        Box::pin(async { look_up(work, &self.unique_value).await.into() })
    }
}

async fn look_up(work: &Work, unique_value: &str) -> Result<v1::outcome::Result, Failure> {
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
        let message = format!("user and groups have {bytes} bytes, but an answer may have {MAX_ANSWER_BYTES}");
        return Err(Failure::new(Class::Directory, message).cured_by("configure fewer or smaller attributes"));
    }
    Ok(v1::outcome::Result::LookupUser(v1::LookupUserResult { user, groups }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_too_long_is_refused() {
        let read = |bytes| {
            let asked = v1::LookupUser { unique_value: "x".repeat(bytes) };
            LookupUser.read(&v1::command::Kind::LookupUser(asked)).unwrap()
        };
        assert!(read(limits::MAX_TEXT_BYTES).is_ok());
        assert_eq!(read(limits::MAX_TEXT_BYTES + 1).unwrap_err().code, Code::Invalid);
    }
}
