//! `bench import`: how our import compares with a plain dump by ldapsearch, on the same machine in the same run.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use postern_tests::Stage;
use postern_tests::people::{GROUP_ATTRIBUTES, Population, USER_ATTRIBUTES};
use postern_tests::postgres::Postgres;
use postern_tests::process::Usage;
use postern_tests::slapd::{self, Options, Slapd};

use super::figures::{Figures, cpu_between, megabytes};
use crate::line::{self, Line};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many people the directory holds.
    #[arg(long, default_value_t = 100_000)]
    users: u32,
    /// How often the yardstick and the unchanged import are repeated.
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// Leave PostgreSQL out.
    #[arg(long)]
    sqlite_only: bool,
}

/// Longest that one import may take.
const BOUND: Duration = Duration::from_mins(15);

/// Measures the yardstick, then first and unchanged imports on each database.
pub(crate) async fn run(arguments: &Arguments) -> Result<Figures> {
    let binaries = line::build()?;
    let mut figures = Figures::new(format!("import of {} users", arguments.users));
    let stage = Stage::new()?;
    let mut options = Options::people(arguments.users);
    options.population = Population { large_group: 10_000.min(arguments.users), ..options.population };
    let slapd = Slapd::start(&stage, options).await?;
    // Once without measuring, so that every later reader finds the database in memory.
    dump(&slapd).await?;
    let mut yardstick = Duration::MAX;
    for _ in 0..arguments.repeat {
        yardstick = yardstick.min(measure_dump(&slapd, &mut figures).await?);
    }
    measure(&stage, &slapd, line::options(&binaries, None), "SQLite", arguments, yardstick, &mut figures).await?;
    if !arguments.sqlite_only {
        let postgres = Postgres::start_durable(&stage).await?;
        let url = postgres.fresh_database().await?;
        let options = line::options(&binaries, Some(url));
        measure(&stage, &slapd, options, "PostgreSQL", arguments, yardstick, &mut figures).await?;
    }
    Ok(figures)
}

async fn measure_dump(slapd: &Slapd, figures: &mut Figures) -> Result<Duration> {
    let server = slapd.process().context("slapd does not run")?;
    let before = server.usage()?;
    let (wall, client_cpu) = dump(slapd).await?;
    let slapd_cpu = cpu_between(&before, &server.usage()?);
    figures.row(
        "ldapsearch to /dev/null",
        &[("wall_s", wall.as_secs_f64()), ("client_cpu_s", client_cpu), ("slapd_cpu_s", slapd_cpu)],
    );
    Ok(wall)
}

/// The same searches with the same attributes as the agent's, by OpenLDAP's own client.
async fn dump(slapd: &Slapd) -> Result<(Duration, f64)> {
    let url = slapd.ldaps_url();
    let authority = slapd.ca_file();
    tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let mut cpu = 0.0;
        let searches: [(&str, &str, &[&str]); 2] = [
            ("ou=people", "(objectClass=inetOrgPerson)", &USER_ATTRIBUTES),
            ("ou=groups", "(objectClass=groupOfNames)", &GROUP_ATTRIBUTES),
        ];
        for (unit, filter, attributes) in searches {
            // The shell's own `time`: user and system seconds of the client, on the last line of standard error.
            let mut search = Command::new("bash");
            search.args(["-c", "TIMEFORMAT='%U %S'; time \"$@\"", "dump"]);
            search.args(["ldapsearch", "-x", "-LLL", "-E", "pr=1000/noprompt", "-H", &url]);
            search.args(["-D", &Slapd::reader_dn(), "-w", slapd::READER_PASSWORD]);
            search.args(["-b", &format!("{unit},{}", slapd::SUFFIX), filter, "entryUUID", "member"]).args(attributes);
            search.env("LDAPTLS_CACERT", &authority).env("LDAPTLS_REQCERT", "allow").process_group(0);
            let output =
                search.stdout(Stdio::null()).stderr(Stdio::piped()).output().context("cannot run ldapsearch")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "ldapsearch: {said}");
            let times = said.lines().last().unwrap_or_default().split_whitespace();
            cpu += times.filter_map(|seconds| seconds.parse::<f64>().ok()).sum::<f64>();
        }
        Ok((began.elapsed(), cpu))
    })
    .await?
}

async fn measure(
    stage: &Stage,
    slapd: &Slapd,
    options: postern_tests::control_plane::Options,
    database: &str,
    arguments: &Arguments,
    yardstick: Duration,
    figures: &mut Figures,
) -> Result<()> {
    let mut line = Line::start(stage, slapd, options).await?;
    let agent = line.agent.process()?.pid();
    figures.row(format!("{database}: idle agent"), &[("rss_mb", megabytes(Usage::of(agent)?.resident_bytes))]);
    for turn in 0..=arguments.repeat {
        let what = if turn == 0 { "first import" } else { "unchanged import" };
        let pids = [agent, line.control_plane.process()?.pid(), slapd.process().context("slapd does not run")?.pid()];
        let before = usages(pids)?;
        let (wall, job) = line.import(BOUND).await?;
        let after = usages(pids)?;
        figures.row(
            format!("{database}: {what}"),
            &[
                ("wall_s", wall.as_secs_f64()),
                ("x_yardstick", wall.as_secs_f64() / yardstick.as_secs_f64()),
                ("agent_cpu_s", cpu_between(&before[0], &after[0])),
                ("control_plane_cpu_s", cpu_between(&before[1], &after[1])),
                ("slapd_cpu_s", cpu_between(&before[2], &after[2])),
                ("agent_peak_mb", megabytes(after[0].peak_resident_bytes)),
                ("control_plane_peak_mb", megabytes(after[1].peak_resident_bytes)),
            ],
        );
        ensure!(job.count("users") == u64::from(arguments.users), "imported {} users", job.count("users"));
    }
    line.stop().await
}

fn usages(pids: [u32; 3]) -> Result<[Usage; 3]> {
    Ok([Usage::of(pids[0])?, Usage::of(pids[1])?, Usage::of(pids[2])?])
}
