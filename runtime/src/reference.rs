//! The command line's reference: the help of every command, as Markdown.

use std::fmt::Write as _;

use clap::Command;

/// Columns of the help.
const WIDTH: usize = 100;

/// A section of the second level for the program and for each of its commands that is not hidden.
pub fn command_line(root: Command) -> String {
    let mut root = root.term_width(WIDTH);
    root.build();
    let mut text = String::new();
    let name = root.get_name().to_owned();
    write_command(&mut text, &root, &name, true);
    text
}

fn write_command(text: &mut String, command: &Command, path: &str, is_root: bool) {
    // Options of all commands stand at the root only.
    let mut shown = command.clone();
    if !is_root {
        shown = shown.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    }
    let help = shown.bin_name(path).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing to a String cannot fail.
    let _ = write!(text, "\n## `{path}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        write_command(text, inner, &format!("{path} {}", inner.get_name()), false);
    }
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn every_command_that_is_not_hidden_has_a_section_and_global_options_are_shown_once() {
        let root = Command::new("tool")
            .arg(Arg::new("url").long("url").global(true))
            .subcommand(Command::new("list").subcommand(Command::new("all")))
            .subcommand(Command::new("docs").hide(true));
        let text = command_line(root);
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(headings, ["## `tool`", "## `tool list`", "## `tool list all`"]);
        assert_eq!(text.matches("--url").count(), 1, "{text}");
    }
}
