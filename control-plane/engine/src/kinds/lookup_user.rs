//! A look-up: one user is read, and shown with what the mapping would make of it.

mod report;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, DecodeError, EntryView};
use postern_proto::v1;
use postern_store::{Flavour, Job};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::found::{FoundEntry, LookupUserResult, MappedUser};
use super::input::{QUESTION_DEADLINE, only};
use super::unseen;
use crate::identity::mapping::Mapping;
use crate::identity::mapping::rules::Rules;
use crate::intake::reading::rules_of;
use crate::jobs::failure::{Failure, Next};
use crate::jobs::kind::{Argument, Attempt, InputError, Kind, Schemas, Words};
use crate::jobs::report::{Ended, Report};
use crate::jobs::running::Running;

const UNIQUE_VALUE: &str = "unique_value";
const MAX_UNIQUE_VALUE_CHARS: usize = 1_024;

/// Whom to look up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LookupUserInput {
    /// The value of the unique attribute of the user, like a uid or mail address.
    #[schema(max_length = 1024)]
    pub unique_value: String,
}

/// Reads one user by its unique attribute, with all configured attributes and its groups.
#[derive(Debug)]
pub struct LookupUser;

#[async_trait]
impl Kind for LookupUser {
    fn words(&self) -> Words {
        Words {
            name: "lookup_user",
            word: "lookup-user",
            about: "Read one user by its unique attribute, with all configured attributes and its groups",
            noun: "look-up",
        }
    }

    fn deadline(&self) -> Duration {
        QUESTION_DEADLINE
    }

    fn arguments(&self) -> &'static [Argument] {
        &[Argument {
            field: UNIQUE_VALUE,
            name: "user",
            value_name: "USER",
            is_option: false,
            help: "The value of the unique attribute, like the user's uid or mail address",
        }]
    }

    fn schemas(&self) -> Schemas {
        Schemas::of::<LookupUserInput, LookupUserResult>()
    }

    fn input(&self, asked: &Value) -> Result<Value, InputError> {
        only(asked, &[UNIQUE_VALUE])?;
        let value = asked[UNIQUE_VALUE].as_str().map(str::trim).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| InputError::new(UNIQUE_VALUE, "lookup_user needs the user to look up"))?;
        if value.chars().count() > MAX_UNIQUE_VALUE_CHARS {
            return Err(InputError::new(UNIQUE_VALUE, format!("at most {MAX_UNIQUE_VALUE_CHARS} characters")));
        }
        Ok(json!({ UNIQUE_VALUE: value }))
    }

    fn command(&self, job: &Job) -> Result<v1::command::Kind, InputError> {
        let LookupUserInput { unique_value } = LookupUserInput::deserialize(&job.input)
            .map_err(|error| InputError::new(UNIQUE_VALUE, error.to_string()))?;
        Ok(v1::command::Kind::LookupUser(v1::LookupUser { unique_value }))
    }

    fn report(&self, ended: Ended<'_>, report: &mut Report) {
        if !ended.result.is_null() {
            report::show(ended.result, report);
        }
    }

    async fn answered(
        &self,
        attempt: Attempt<'_>,
        answer: v1::outcome::Result,
        _: Duration,
    ) -> Result<Option<Next>, postern_store::Error> {
        let v1::outcome::Result::LookupUser(found) = answer else {
            return Ok(Some(Next::Fail(Failure::unexpected().to_json())));
        };
        describe_known(attempt.running, &attempt.job, &found).await.map(Some)
    }
}

/// The kind and the input of a look-up of this user.
pub fn asked(user: &str) -> (&'static str, Value) {
    (LookupUser.name(), json!({ UNIQUE_VALUE: user }))
}

/// Describes what was found, and what imports have seen beside that.
async fn describe_known(
    running: &Running,
    job: &Job,
    found: &v1::LookupUserResult,
) -> Result<Next, postern_store::Error> {
    let directory = running.store.get_directory(job.organization, job.directory).await?;
    let flavour = directory.as_ref().map_or(Flavour::Unknown, |directory| directory.flavour);
    let rules = match &directory {
        Some(directory) => rules_of(&running.store, directory).await?,
        None => None,
    };
    let mut found = match describe((flavour, rules.as_ref()), &found.user, &found.groups, running.clock.now()) {
        Ok(found) => found,
        Err(error) => {
            let failure = Failure::new(
                "internal",
                format!("The agent's answer cannot be read: {error}."),
                "Update the agent or the control plane: one of them is of a newer release.",
            );
            return Ok(Next::Fail(failure.to_json()));
        }
    };
    found.unseen = unseen::compare(&running.store, job.organization, job.directory, &found).await?;
    found.conflict = unseen::conflict(&running.store, job.organization, job.directory, &found).await?;
    Ok(Next::Succeed(serde_json::to_value(found).unwrap_or_default()))
}

/// Reads the entries of an answer and maps the user.
pub fn describe(
    (flavour, rules): (Flavour, Option<&Arc<Rules>>),
    user: &[u8],
    groups: &[u8],
    now: Timestamp,
) -> Result<LookupUserResult, DecodeError> {
    let mut reader = ChunkReader::parse(user)?;
    let mapping = Mapping::new(flavour, reader.names()).with_rules(rules, reader.names());
    let Some(view) = reader.next_entry()? else { return Err(DecodeError::Malformed("user")) };
    let (mapped, attributes) = mapping.user(&view, now);
    let mut found = Vec::new();
    if !groups.is_empty() {
        let mut reader = ChunkReader::parse(groups)?;
        let mapping = Mapping::new(flavour, reader.names());
        while let Some(group) = reader.next_entry()? {
            found.push(entry(&group, mapping.attributes(&group)));
        }
    }
    let text = |value: Option<std::borrow::Cow<'_, str>>| value.map(std::borrow::Cow::into_owned);
    Ok(LookupUserResult {
        user: entry(&view, attributes),
        mapped: MappedUser {
            user_name: text(mapped.user_name),
            given_name: text(mapped.given_name),
            family_name: text(mapped.family_name),
            display_name: text(mapped.display_name),
            email: text(mapped.email),
            active: mapped.active,
            attributes: parsed(mapped.attributes),
        },
        groups: found,
        ..LookupUserResult::default()
    })
}

fn entry(view: &EntryView<'_>, attributes: String) -> FoundEntry {
    FoundEntry {
        external_id: view.external_id.to_owned(),
        dn: view.dn.to_owned(),
        unique_value: view.unique_value.map(str::to_owned),
        attributes: parsed(attributes),
    }
}

fn parsed(text: String) -> Value {
    RawValue::from_string(text).ok().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use postern_proto::chunk::{ChunkWriter, Kind, MemberForm};

    use super::*;
    use crate::identity::mapping::rules::{Rule, RuleOf};

    #[test]
    fn a_user_is_shown_with_all_its_attributes_its_mapping_and_its_groups() {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        let mut open = writer.entry(Kind::User, "id", "uid=ada,dc=x", Some("ada"));
        open.attribute("sn", [b"Lovelace".as_slice()]);
        open.finish();
        let user = writer.finish();
        writer.entry(Kind::Group, "g", "cn=staff,dc=x", None).finish();
        let groups = writer.finish();
        let plain = (Flavour::OpenLdap, None);
        let found = describe(plain, &user, &groups, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(found.user.attributes["sn"][0], "Lovelace");
        assert_eq!(found.mapped.family_name.as_deref(), Some("Lovelace"));
        assert_eq!(found.groups[0].dn, "cn=staff,dc=x");
        assert!(describe(plain, b"", b"", Timestamp::UNIX_EPOCH).is_err());
        // The rules of the directory apply here, too.
        let rule = Rule { of: RuleOf::Users, target: "family_name".to_owned(), expression: "upper(sn)".to_owned() };
        let rules = Arc::new(Rules::compile(1, &[rule]).unwrap());
        let found = describe((Flavour::OpenLdap, Some(&rules)), &user, &groups, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(found.mapped.family_name.as_deref(), Some("LOVELACE"));
    }
}
