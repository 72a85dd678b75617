//! How an account is shown, with its attributes.

use postern_engine::jobs::report::attributes;
use postern_engine::records::AccountKind;

use super::super::api::accounts::{AccountDetail, AccountView};
use super::error::Error;
use super::screen::{Screen, time, time_or, yes_no};

/// Prints an account with its attributes.
pub(super) fn account(account: &AccountView, screen: &mut Screen) -> Result<(), Error> {
    table(account, Vec::new(), screen)
}

/// The same, with what those values mean that are more than text.
pub(super) fn whole(detail: &AccountDetail, screen: &mut Screen) -> Result<(), Error> {
    let plain = ["text", "bytes", "a DN"];
    let typed = detail.meanings.iter().filter(|input| !plain.contains(&input.kind.as_str()));
    let rows = typed.map(|input| {
        let values = input.values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        vec![format!("{} is {}", input.name, input.kind), values.collect::<Vec<_>>().join(", ")]
    });
    table(&detail.account, rows.collect(), screen)
}

fn table(account: &AccountView, further: Vec<Vec<String>>, screen: &mut Screen) -> Result<(), Error> {
    screen.line(format!("account {} in {}", account.id, super::screen::plain(&account.directory.name)))?;
    let mut rows = vec![
        vec!["dn".to_owned(), account.dn.clone()],
        vec!["external id".to_owned(), account.external_id.clone()],
        vec!["missing since".to_owned(), time_or(account.missing_since, "-")],
        vec!["enabled".to_owned(), enabled(account)],
    ];
    rows.extend(account.conflict.iter().map(|name| vec!["conflict".to_owned(), format!("{name} is taken")]));
    rows.extend(attributes(&serde_json::from_str(account.attributes.0.get())?));
    rows.extend(further);
    screen.table(&["attribute", "value"], rows)
}

/// Whether the account is enabled in the directory.
pub(super) fn enabled(account: &AccountView) -> String {
    if account.kind == AccountKind::Group {
        return "-".to_owned();
    }
    let known = match (account.enabled, account.enabled_until) {
        (None, _) => "unknown".to_owned(),
        (Some(enabled), None) => yes_no(enabled).to_owned(),
        (Some(_), Some(end)) => format!("until {}", time(end)),
    };
    if account.enabled_is_last_known { format!("{known} (last known)") } else { known }
}
