//! Lists: how many items are printed, in which columns, and a note about the rest.

use clap::Args;
use serde::Serialize;

use super::super::api::page::Total;
use super::error::Error;

/// How much of a list to print, and what of each item.
#[derive(Clone, Debug, Args)]
pub(super) struct ListArgs {
    /// Print at most this many
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print all
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print these columns of the table, in this order, like id,user-name
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "json")]
    columns: Vec<String>,
}

impl ListArgs {
    /// The most items to print. `None`: all.
    pub(super) fn most(&self) -> Option<usize> {
        (!self.all).then_some(self.limit as usize)
    }

    /// The numbers of the wanted columns.
    pub(super) fn columns(&self, head: &[&str]) -> Result<Vec<usize>, Error> {
        if self.columns.is_empty() {
            return Ok((0..head.len()).collect());
        }
        self.columns.iter().map(|wanted| place(wanted, head)).collect()
    }
}

/// The name of a column in the option.
fn option_name(column: &str) -> String {
    column.trim().to_lowercase().replace([' ', '_'], "-")
}

fn place(wanted: &str, head: &[&str]) -> Result<usize, Error> {
    let (wanted, known): (_, Vec<String>) = (option_name(wanted), head.iter().map(|name| option_name(name)).collect());
    if let Some(place) = known.iter().position(|name| *name == wanted) {
        return Ok(place);
    }
    let meant = postern_runtime::nearest::one(&wanted, known.iter().map(String::as_str));
    let meant = meant.map_or_else(|| ".".to_owned(), |name| format!("; did you mean {name}?"));
    Err(Error::Usage(format!("there is no column {wanted:?}{meant} The columns are {}", known.join(", "))))
}

/// A list as far as it was read.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Found<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// The number of all items. `None`: the control plane does not say.
    pub(super) total: Option<Total>,
    /// Whether there are more items.
    pub(super) more: bool,
}

impl<T> Found<T> {
    /// A note about items that are not printed.
    pub(super) fn rest(&self) -> Option<String> {
        if !self.more {
            return None;
        }
        let shown = self.items.len();
        let all = match self.total {
            Some(Total { count, more: false }) => format!("{} of {}", grouped(shown as u64), grouped(count)),
            Some(Total { count, more: true }) if count > shown as u64 => {
                format!("{} of more than {}", grouped(shown as u64), grouped(count))
            }
            _ => format!("the first {}; there are more", grouped(shown as u64)),
        };
        Some(format!("{all}. --all shows all of them, --limit N shows N"))
    }
}

/// A number with commas between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(shown: usize, total: Option<(u64, bool)>, more: bool) -> Option<String> {
        let total = total.map(|(count, more)| Total { count, more });
        Found { items: vec![(); shown], total, more }.rest()
    }

    #[test]
    fn what_is_left_out_is_said_as_exactly_as_it_is_known() {
        assert_eq!(rest(296, Some((296, false)), false), None);
        for (shown, total, begin) in [
            (100, Some((296, false)), "100 of 296. --all"),
            (100, Some((10_000, true)), "100 of more than 10,000. --all"),
            (100, Some((57, true)), "the first 100; there are more. --all"),
            (1_000, None, "the first 1,000; there are more. --all"),
        ] {
            let said = rest(shown, total, true).unwrap();
            assert!(said.starts_with(begin) && said.contains("--limit"), "{said}");
        }
        assert_eq!(["7", "1,000", "1,234,567"], [grouped(7), grouped(1_000), grouped(1_234_567)]);
    }

    #[test]
    fn columns_are_chosen_by_name_and_a_wrong_one_names_the_nearest() {
        let args = |columns: &[&str]| ListArgs {
            limit: 100,
            all: false,
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
        };
        let head = ["user name", "e-mail", "id"];
        assert_eq!(args(&[]).columns(&head).unwrap(), [0, 1, 2]);
        assert_eq!(args(&["id", "User_Name"]).columns(&head).unwrap(), [2, 0]);
        let wrong = args(&["user-nam"]).columns(&head).unwrap_err();
        assert_eq!(wrong.exit_code(), 2);
        assert!(wrong.explain().contains("did you mean user-name? The columns are user-name, e-mail, id"), "{wrong}");
    }
}
