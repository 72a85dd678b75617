//! `bench import`: how our import compares with a plain dump by ldapsearch, on the same machine in the same run.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use postern_tests::Stage;
use postern_tests::binaries::Binaries;
use postern_tests::people::{GROUP_ATTRIBUTES, Population, USER_ATTRIBUTES};
use postern_tests::postgres::Postgres;
use postern_tests::process::Usage;
use postern_tests::slapd::{self, Options, Slapd};

use super::figures::{Figures, cpu_between, megabytes};
use super::lists;
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
    let binaries = line::build(line::MEASURED)?;
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
    let sqlite = Database { name: "SQLite", url: None, server: None };
    measure(&stage, &slapd, &binaries, sqlite, arguments, yardstick, &mut figures).await?;
    if !arguments.sqlite_only {
        let postgres = Postgres::start_durable(&stage).await?;
        let url = Some(postgres.fresh_database().await?);
        let database = Database { name: "PostgreSQL", url, server: Some(&postgres) };
        measure(&stage, &slapd, &binaries, database, arguments, yardstick, &mut figures).await?;
    }
    Ok(figures)
}

async fn measure_dump(slapd: &Slapd, figures: &mut Figures) -> Result<Duration> {
    let server = slapd.process().context("slapd does not run")?;
    let before = server.usage()?;
    let (wall, client) = dump(slapd).await?;
    let after = server.usage()?;
    figures.row(
        "ldapsearch to /dev/null",
        &[
            ("wall_s", wall.as_secs_f64()),
            ("client_cpu_s", client.cpu.as_secs_f64()),
            ("slapd_cpu_s", cpu_between(&before, &after)),
            ("client_peak_mb", megabytes(client.peak_resident_bytes)),
            ("slapd_peak_mb", megabytes(after.peak_resident_bytes)),
        ],
    );
    Ok(wall)
}

/// The same searches with the same attributes as the agent's, by OpenLDAP's own client.
async fn dump(slapd: &Slapd) -> Result<(Duration, Usage)> {
    let url = slapd.ldaps_url();
    let authority = slapd.ca_file();
    tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let mut client = Usage::default();
        let searches: [(&str, &str, &[&str]); 2] = [
            ("ou=people", "(objectClass=inetOrgPerson)", &USER_ATTRIBUTES),
            ("ou=groups", "(objectClass=groupOfNames)", &GROUP_ATTRIBUTES),
        ];
        for (unit, filter, attributes) in searches {
            let mut search = Command::new("ldapsearch");
            search.args(["-x", "-LLL", "-E", "pr=1000/noprompt", "-H", &url]);
            search.args(["-D", &Slapd::reader_dn(), "-w", slapd::READER_PASSWORD]);
            search.args(["-b", &format!("{unit},{}", slapd::SUFFIX), filter, "entryUUID", "member"]).args(attributes);
            search.env("LDAPTLS_CACERT", &authority).env("LDAPTLS_REQCERT", "allow").process_group(0);
            let seen = watch(search.stdout(Stdio::null()))?;
            client.cpu += seen.cpu;
            client.peak_resident_bytes = client.peak_resident_bytes.max(seen.peak_resident_bytes);
        }
        Ok((began.elapsed(), client))
    })
    .await?
}

/// Runs a program to its end, and returns what it had used shortly before.
fn watch(command: &mut Command) -> Result<Usage> {
    const LOOKS: Duration = Duration::from_millis(5);
    let mut child = command.spawn().context("cannot run ldapsearch")?;
    let (pid, ended) = (child.id(), AtomicBool::new(false));
    let (status, seen) = std::thread::scope(|threads| {
        let watcher = threads.spawn(|| {
            let mut seen = Usage::default();
            while !ended.load(Ordering::Relaxed) {
                // Until it is waited for, one that has ended shows its time, but its memory is gone.
                if let Ok(now) = Usage::of(pid) {
                    let peak = seen.peak_resident_bytes.max(now.peak_resident_bytes);
                    seen = Usage { peak_resident_bytes: peak, ..now };
                }
                std::thread::sleep(LOOKS);
            }
            seen
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        (status, watcher.join())
    });
    let status = status.context("cannot wait for ldapsearch")?;
    ensure!(status.success(), "ldapsearch: {status}");
    seen.map_err(|_| anyhow!("ldapsearch could not be watched"))
}

/// A database to import into.
struct Database<'a> {
    name: &'a str,
    url: Option<String>,
    server: Option<&'a Postgres>,
}

async fn measure(
    stage: &Stage,
    slapd: &Slapd,
    binaries: &Binaries,
    database: Database<'_>,
    arguments: &Arguments,
    yardstick: Duration,
    figures: &mut Figures,
) -> Result<()> {
    let Database { name, url, server } = database;
    let mut line = Line::start(stage, slapd, line::options(binaries, url)).await?;
    let agent = line.agent.process()?.pid();
    let mut processes = vec![("agent", agent), ("control_plane", line.control_plane.process()?.pid())];
    processes.push(("slapd", slapd.process().context("slapd does not run")?.pid()));
    if let Some(server) = server {
        processes.push(("postgres", server.process().context("PostgreSQL does not run")?.pid()));
    }
    let idle = || anyhow::Ok([("rss_mb", megabytes(Usage::of(agent)?.resident_bytes))]);
    figures.row(format!("{name}: idle agent, fresh"), &idle()?);
    for turn in 0..=arguments.repeat {
        let what = if turn == 0 { "first import" } else { "unchanged import" };
        let before = usages(&processes)?;
        let (wall, job) = line.import(BOUND).await?;
        let after = usages(&processes)?;
        let factor = wall.as_secs_f64() / yardstick.as_secs_f64();
        let mut row = vec![("wall_s".to_owned(), wall.as_secs_f64()), ("x_yardstick".to_owned(), factor)];
        for (((process, _), before), after) in processes.iter().zip(&before).zip(&after) {
            row.push((format!("{process}_cpu_s"), cpu_between(before, after)));
            row.push((format!("{process}_peak_mb"), megabytes(after.peak_resident_bytes)));
        }
        let row: Vec<_> = row.iter().map(|(figure, value)| (figure.as_str(), *value)).collect();
        figures.row(format!("{name}: {what}"), &row);
        ensure!(job.count("users") == u64::from(arguments.users), "imported {} users", job.count("users"));
    }
    figures.row(format!("{name}: idle agent, afterwards"), &idle()?);
    lists::measure(&line.api, name, figures).await?;
    line.stop().await
}

/// With children, because a database has a process for each connection.
fn usages(processes: &[(&str, u32)]) -> Result<Vec<Usage>> {
    processes.iter().map(|(_, pid)| Usage::of_family(*pid)).collect()
}
