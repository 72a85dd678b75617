//! The codes of failed jobs and operations, for the handbook: what each means and what to do. The failure itself says more.

/// A code, what it means, and what to do.
pub type Row = (&'static str, &'static str, &'static str);

/// All codes, those that agents answer with among them.
pub const CODES: &[Row] = &[
    ("ambiguous", "More than one entry fits.", "Make the values of the unique attribute unique in the directory."),
    (
        "behind",
        "The directory server that the agent reached lacks changes that the last import has seen.",
        "Nothing at once: the import is tried again. If it stays so, look at the replication, or put the server that is up to date first in `urls`.",
    ),
    ("canceled", "Somebody canceled it.", "Start it again if it is still wanted."),
    (
        "changed_since_plan",
        "The entry is not any more what the plan has shown. It was left alone.",
        "Make a new plan: `postern provisioning plan DIRECTORY --again PLAN`.",
    ),
    (
        "check_failed",
        "A step of a connection test failed.",
        "Mend what the step names; `postern-agent check` shows more, on the agent's machine.",
    ),
    (
        "conflict",
        "Another entry has the name or the unique value already.",
        "Choose another value, or link the user to the entry that has it: `postern provisioning link`.",
    ),
    (
        "crashed",
        "The control plane stopped each time it finished this job.",
        "Look in its log and report the fault with it.",
    ),
    (
        "credentials",
        "The directory refuses the agent's bind account, or the agent cannot read the secret.",
        "Correct `bind_dn` and the secret in the agent's file, then `postern-agent check`.",
    ),
    ("deadline", "It took longer than the job may take.", "Look what it waited for; allow more time with `--timeout`."),
    ("deleted", "The directory was deleted meanwhile.", "Restart its agent to announce it again."),
    (
        "denied_by_site_policy",
        "The agent's file does not allow this change. The rule is named.",
        "The site's administrator can change `[directory.policy]`; `postern-agent policy explain` shows what it decides.",
    ),
    (
        "directory",
        "The directory answered with an error, or stopped before the end. The LDAP result code is shown.",
        "See the table of result codes below.",
    ),
    (
        "disabled",
        "The directory was disabled before the job was done.",
        "Enable it: `postern directories enable NAME`; then start the job again.",
    ),
    (
        "expired",
        "No agent carried it out in time.",
        "Look whether the agents of the directory are connected (`postern agents list`), and try again.",
    ),
    (
        "external_ids_not_unique",
        "The attribute that is configured as external id has the same value in many entries.",
        "Set `external_id_attribute` in the agent's file to an attribute that is unique.",
    ),
    (
        "forbidden",
        "The agent's file does not allow this command.",
        "The site's administrator can allow it in the agent's file.",
    ),
    (
        "incomplete",
        "An import arrived incomplete, or the directory ended a search before its end. Nobody was marked missing.",
        "Nothing at once: it is tried again. If it stays so, look in the directory server's log.",
    ),
    ("internal", "A fault of the agent or the control plane.", "Look in its log and report the fault with it."),
    (
        "invalid",
        "The command, a value or the directory's name makes no sense there.",
        "Correct what the message names: the mapping, the value, or the directory's name in the agent's file.",
    ),
    ("no_key", "The password is sealed to the keys of agents of which none is connected.", "Set the password again."),
    ("no_password", "The account never had a password, so it is not enabled.", "Set a password: it is enabled then."),
    (
        "no_users",
        "The directory showed no user, or far fewer than before. Nobody was marked missing.",
        "Check base DNs, filter and the bind account's rights with `postern-agent check`.",
    ),
    (
        "not_found",
        "There is no such entry, or the bind account may not see it.",
        "Run an import; check the bind account's rights.",
    ),
    ("off", "The directory's settings do not allow it.", "Allow it: `postern provisioning set DIRECTORY --allow …`."),
    (
        "storage",
        "The control plane's database failed, and would fail again.",
        "Look in the control plane's log for the database's own words; mend or restore it, then start the job again.",
    ),
    (
        "timeout",
        "The directory or the agent took too long.",
        "Look at the load of the directory server; it is tried again where that is safe.",
    ),
    (
        "unknown_members",
        "Some members have no entry in the directory; the others were written.",
        "Import the directory: who was deleted there leaves the group.",
    ),
    (
        "unreachable",
        "No server of the directory, or no agent, can be reached.",
        "Look whether the agent is connected and `postern-agent check` reaches the servers in `urls`.",
    ),
    ("unsupported", "The agent or the control plane is too old for this.", "Update both to the same release."),
];

/// Whether a code is in the handbook.
pub(crate) fn is_known(code: &str) -> bool {
    CODES.binary_search_by_key(&code, |(known, ..)| known).is_ok()
}

#[cfg(test)]
mod tests {
    use postern_proto::v1::ErrorCode;

    use super::*;

    #[test]
    fn every_code_of_agents_is_explained_and_all_are_sorted() {
        assert!(CODES.is_sorted_by_key(|(code, ..)| code));
        let codes: Vec<ErrorCode> = (1..).map_while(|number| ErrorCode::try_from(number).ok()).collect();
        assert!(codes.len() >= 14);
        for code in codes {
            let name = code.as_str_name().trim_start_matches("ERROR_CODE_").to_lowercase();
            assert!(is_known(&name), "{name}");
        }
    }
}
