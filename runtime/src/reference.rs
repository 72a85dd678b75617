//! The command line's reference: the help of every command as Markdown and as manual pages, and what shells complete.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

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

/// Writes `NAME.1` for the program and for each of its commands that is not hidden into `folder`, and `NAME.bash`, `_NAME`
/// and `NAME.fish`, by which shells complete it. A package has these files.
pub fn installed_files(root: Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = root.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut root.clone(), &name, folder)?;
    }
    // The version of the build differs from machine to machine; the pages are those of the release.
    clap_mangen::generate_to(root.version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true), folder)
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

    #[test]
    fn a_package_has_a_manual_page_for_each_command_and_completions() {
        let root = Command::new("tool").about("Does it").subcommand(Command::new("list").about("Lists"));
        let root = root.subcommand(Command::new("docs").hide(true));
        let folder = tempfile::tempdir().unwrap();
        installed_files(root, folder.path()).unwrap();
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut files: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, ["_tool", "tool-list.1", "tool.1", "tool.bash", "tool.fish"]);
    }
}
