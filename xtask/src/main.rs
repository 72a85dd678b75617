//! `cargo xtask`: everything that is done to Postern from outside of it. Run it without arguments for the list.

mod bench;
mod demo;
mod docs;
mod fuzz;
mod line;
mod package;
mod packaging;
mod steps;
mod test;
mod tools;
mod wine;

use clap::{Parser, Subcommand};

/// Demo, tests, benchmarks, generated documentation, fuzzing, packages.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs the main job on this machine with a real OpenLDAP, and stays up until Ctrl-C.
    Demo(demo::Arguments),
    /// Installs the servers that the tests need and runs all tests, or those whose names contain the filter.
    Test(test::Arguments),
    /// Measures an import, many sessions, or a command's round trip.
    Bench(bench::Arguments),
    /// Writes the generated references in docs/, or checks that they are what the code produces.
    Docs(docs::Arguments),
    /// Fuzzes every target for a while, where the toolchain can.
    Fuzz(fuzz::Arguments),
    /// Builds the packages that are given to others, in target/dist.
    Package(package::Arguments),
    /// Runs a cargo tool, building it into the cache first where it is missing.
    Tool(tools::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Docs(arguments) => docs::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Package(arguments) => package::run(&arguments),
        Task::Tool(arguments) => tools::run(&arguments),
    }
}
