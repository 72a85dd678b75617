//! Child processes: started in a process group of their own, logging into a file, killed by id when dropped, and
//! killed by the kernel when the program that started them dies.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, kill_process, kill_process_group};

use crate::stage::Stage;
use crate::{running, wait};

pub use rustix::process::Signal;

/// What the unit files of the services set: glibc gives memory back that is no longer used.
pub const ALLOCATOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// Variables that would send our loopback connections through the machine's own proxy.
const PROXY_VARIABLES: [&str; 8] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"];

/// The program to start, and its user.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    user: Option<String>,
    input: Option<Vec<u8>>,
    last_signal: Option<Signal>,
}

impl Launch {
    /// A program; `name` is what the log file and errors call it.
    pub fn new(name: &str, program: impl AsRef<Path>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            user: None,
            input: None,
            last_signal: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs it as another user, when this program runs as root; otherwise as ourselves.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = rustix::process::getuid().is_root().then(|| user.to_owned());
        self
    }

    /// What it reads from its standard input; nothing unless set.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// The signal that a dropped process gets, and a moment to heed it, before it is killed: for programs that would
    /// otherwise leave something behind outside of the stage.
    #[must_use]
    pub fn dropped_by(mut self, signal: Signal) -> Self {
        self.last_signal = Some(signal);
        self
    }

    fn command(&self) -> Command {
        // setpriv replaces itself by the program, so that the process id is the program's own.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = &self.user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        for name in PROXY_VARIABLES {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").process_group(0);
        command
    }

    /// Starts it and returns at once; both outputs go to a log file of the stage.
    pub fn start(self, stage: &Stage) -> Result<Process> {
        let log = stage.log_path(&self.name);
        let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = self.command();
        command.stdin(self.standard_input()?).stdout(file.try_clone()?).stderr(file);
        let child = spawn(command).with_context(|| format!("cannot start {}", self.program.display()))?;
        running::now().insert(child.id(), self.name.clone());
        Ok(Process { name: self.name, pid: child.id(), child, ended: None, log, last_signal: self.last_signal })
    }

    fn standard_input(&self) -> Result<Stdio> {
        let Some(input) = &self.input else { return Ok(Stdio::null()) };
        let mut file = tempfile::tempfile().context("no temporary file")?;
        file.write_all(input)?;
        file.rewind()?;
        Ok(file.into())
    }

    /// Runs it to its end, within `bound`, and returns what it printed, whatever its exit code.
    pub async fn output_within(self, bound: Duration) -> Result<Output> {
        let mut command = tokio::process::Command::from(self.command());
        command.kill_on_drop(true).stdin(self.standard_input()?).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let output = tokio::time::timeout(bound, child.wait_with_output())
            .await
            .with_context(|| format!("{} hangs", self.name))?;
        output.with_context(|| format!("cannot wait for {}", self.name))
    }

    /// As [`Launch::output_within`], with a bound of a minute.
    pub async fn output(self) -> Result<Output> {
        self.output_within(Duration::from_mins(1)).await
    }

    /// Runs it to its end and returns its standard output; any exit code but 0 is an error with all that it printed.
    pub async fn success(self) -> Result<String> {
        let name = self.name.clone();
        let output = self.output().await?;
        ensure!(
            output.status.success(),
            "{name} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).with_context(|| format!("output of {name}"))
    }
}

/// A running (or ended) child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    child: Child,
    ended: Option<ExitStatus>,
    log: PathBuf,
    last_signal: Option<Signal>,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the process, not to its children.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.ended.is_none(), "{} has ended", self.name);
        kill_process(self.group()?, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn group(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.pid)?).ok_or_else(|| anyhow!("process id 0"))
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
            if self.ended.is_some() {
                running::now().remove(&self.pid);
            }
        }
        Ok(self.ended)
    }

    /// Fails, with the end of its log, if it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended with {status}:\n{}", self.name, self.log_tail(30)),
        }
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, bound: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        let me = Mutex::new(self);
        wait::until(&what, bound, || async { me.lock().unwrap_or_else(PoisonError::into_inner).ended() }).await
    }

    /// SIGKILL to its whole process group, and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            self.kill_group()?;
            self.wait(wait::SOON).await?;
        }
        Ok(())
    }

    fn kill_group(&self) -> Result<()> {
        kill_process_group(self.group()?, Signal::KILL).with_context(|| format!("cannot kill {}", self.name))
    }

    /// SIGTERM, and waits for the orderly end.
    pub async fn terminate(&mut self, bound: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(bound).await
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What its log says after so many bytes, up to the last whole line.
    pub fn log_after(&self, bytes: u64) -> Result<String> {
        let mut file = std::fs::File::open(&self.log)?;
        file.seek(SeekFrom::Start(bytes))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn log_tail(&self, count: usize) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// What it has used so far; only while it runs.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(signal) = self.last_signal.filter(|_| self.ended.is_none()) {
            self.signal(signal).ok();
            let began = Instant::now();
            while matches!(self.ended(), Ok(None)) && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if matches!(self.ended(), Ok(None)) {
            // Nothing more can be done about a process that cannot be killed; `running` still names it.
            if self.kill_group().is_ok() && self.child.wait().is_ok() {
                running::now().remove(&self.pid);
            }
        }
    }
}

/// Processor time and memory of a process, from `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Resident memory now, bytes.
    pub resident_bytes: u64,
    /// Most resident memory ever, bytes.
    pub peak_resident_bytes: u64,
}

impl Usage {
    /// Reads the usage of any process by its id.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("process is gone")?;
        // proc(5): the name in parentheses may hold anything; utime and stime are the 12th and 13th fields after it.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("process is gone")?;
        Ok(Self {
            cpu: ticks(after_name, 2),
            resident_bytes: kilobytes(&status, "VmRSS:") * 1024,
            peak_resident_bytes: kilobytes(&status, "VmHWM:") * 1024,
        })
    }

    /// The same of a process and its children, living and dead; the memory is that of the largest of them.
    pub fn of_family(pid: u32) -> Result<Self> {
        let mut sum = Self::of(pid)?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("process is gone")?;
        // With the times of the children that have ended, which follow its own.
        sum.cpu = ticks(stat.rsplit_once(')').map_or("", |(_, rest)| rest), 4);
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).context("process is gone")?;
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            // One that has ended in between is counted by its parent the next time.
            let Ok(child) = Self::of(child) else { continue };
            sum.cpu += child.cpu;
            sum.resident_bytes = sum.resident_bytes.max(child.resident_bytes);
            sum.peak_resident_bytes = sum.peak_resident_bytes.max(child.peak_resident_bytes);
        }
        Ok(sum)
    }

    /// Starts the peak of a process anew, at its present resident memory.
    pub fn reset_peak(pid: u32) -> Result<()> {
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak memory")
    }
}

/// The first `count` of utime, stime, cutime and cstime together, from what follows the name in `/proc/…/stat`.
fn ticks(after_name: &str, count: usize) -> Duration {
    let fields = after_name.split_whitespace().skip(11).take(count);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn kilobytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// The kernel sends the death signal when the *thread* that forked ends, so that all children need one that stays.
static SPAWNER: LazyLock<Mutex<mpsc::Sender<Order>>> = LazyLock::new(|| {
    let (orders, received) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in received {
            // Whoever asked may have given up: then the child goes with the answer that nobody takes.
            answer.send(command.spawn()).ok();
        }
    });
    Mutex::new(orders)
});

fn spawn(command: Command) -> io::Result<Child> {
    let (answer, child) = mpsc::channel();
    let orders = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    orders.send((command, answer)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_process_is_gone_and_its_log_was_captured() {
        let stage = Stage::new().unwrap();
        let process =
            Launch::new("speaker", "/bin/sh").args(["-c", "echo hello; exec sleep 600"]).start(&stage).unwrap();
        wait::until_true("it spoke", wait::SOON, || async { Ok(process.log().contains("hello")) }).await.unwrap();
        assert!(process.usage().unwrap().peak_resident_bytes > 0);
        let pid = process.pid();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[tokio::test]
    async fn a_failed_command_says_what_it_printed() {
        let error =
            Launch::new("sh", "/bin/sh").args(["-c", "cat; echo no >&2; exit 3"]).input("why: ").success().await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("exit status: 3") && text.contains("why: no"), "{text}");
    }
}
