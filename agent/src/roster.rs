//! The directories that this agent serves, and what is known of their kind. Exchanged as a whole on a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use postern_runtime::clock::SharedClock;
use postern_runtime::retry::Backoff;
use postern_runtime::supervise::{OnCancel, Supervisor};
use tokio::sync::watch;

use crate::failure::{Class, Code, Failure};
use crate::served::{Digests, Flavour, Identified, ServedDirectory};

const PROBE_INITIAL: Duration = Duration::from_secs(5);
const PROBE_MAX: Duration = Duration::from_mins(5);

/// Why a directory did not answer, without what differs each time, such as seconds to wait: one reason is logged once,
/// however often the directory is asked.
#[derive(Debug, PartialEq, Eq)]
struct Reason(Code, String);

impl Reason {
    fn of(failure: &Failure) -> Self {
        Self(failure.code, failure.message.chars().filter(|letter| !letter.is_ascii_digit()).collect())
    }
}

/// A directory as the control plane hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its name.
    pub name: String,
    /// Its flavour, once known.
    pub flavour: Option<Flavour>,
    /// Digests of the configuration by which it is read, once known.
    pub configuration: Digests,
    /// Why it cannot be used now and what to do, in words that may travel; none: it could be, or was not tried yet.
    pub problem: Option<String>,
}

/// A list of served directories.
pub type Directories = Vec<Arc<dyn ServedDirectory>>;

/// What the agent serves now.
pub struct Roster {
    served: ArcSwap<Directories>,
    flavours: Mutex<HashMap<String, Flavour>>,
    configurations: Mutex<HashMap<String, Digests>>,
    /// By name: why it cannot be used.
    problems: Mutex<HashMap<String, (Reason, String)>>,
    version: watch::Sender<u64>,
}

impl Roster {
    /// A roster of these directories.
    pub fn new(served: Directories) -> Self {
        let roster = Self {
            served: ArcSwap::from_pointee(Vec::new()),
            flavours: Mutex::default(),
            configurations: Mutex::default(),
            problems: Mutex::default(),
            version: watch::Sender::new(0),
        };
        roster.replace(served);
        roster
    }

    /// Serves these from now on. Commands under way keep the directory that they began with.
    pub fn replace(&self, served: Directories) {
        let known = served.iter().filter_map(|it| Some((it.name().to_owned(), it.known_flavour()?))).collect();
        *self.flavours() = known;
        self.configurations().clear();
        self.problems().clear();
        self.served.store(Arc::new(served));
        self.version.send_modify(|version| *version += 1);
    }

    /// The directory of this name.
    pub fn find(&self, name: &str) -> Option<Arc<dyn ServedDirectory>> {
        self.served.load().iter().find(|served| served.name() == name).cloned()
    }

    /// Names, and flavours and problems as far as they are known.
    pub fn announced(&self) -> Vec<Announced> {
        let (flavours, problems, configurations) = (self.flavours(), self.problems(), self.configurations());
        let announced = |it: &Arc<dyn ServedDirectory>| Announced {
            name: it.name().to_owned(),
            flavour: flavours.get(it.name()).copied(),
            configuration: configurations.get(it.name()).copied().unwrap_or_default(),
            problem: problems.get(it.name()).map(|(_, words)| words.clone()),
        };
        self.served.load().iter().map(announced).collect()
    }

    /// What came of asking a directory: a failure that is the directory's is announced until it answers again. Words that
    /// differ in numbers only, such as seconds to wait, are not announced anew.
    pub fn noted(&self, name: &str, failure: Option<&Failure>) {
        let about_it = |failure: &&Failure| {
            use Class::{Credentials, Directory, Timeout, Unreachable};
            matches!(failure.code, Code::Failed(Unreachable | Credentials | Directory | Timeout))
        };
        let changed = match failure {
            None => self.problems().remove(name).is_some(),
            Some(failure) => about_it(&failure) && self.became(name, failure),
        };
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn became(&self, name: &str, failure: &Failure) -> bool {
        let reason = Reason::of(failure);
        let words = match &failure.cure {
            Some(cure) => format!("{}; {cure}", failure.message),
            None => failure.message.clone(),
        };
        let mut problems = self.problems();
        let is_new = problems.get(name).is_none_or(|(known, _)| *known != reason);
        problems.insert(name.to_owned(), (reason, words));
        is_new
    }

    /// Changes whenever the announcement does.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Asks every directory whose flavour is unknown, until it answers or is no longer served.
    pub fn probe(self: &Arc<Self>, supervisor: &Supervisor, clock: &SharedClock) {
        let unknown: Directories = {
            let flavours = self.flavours();
            self.served.load().iter().filter(|it| !flavours.contains_key(it.name())).cloned().collect()
        };
        for directory in unknown {
            let probe = Arc::clone(self).ask(directory, Arc::clone(clock));
            supervisor.spawn("flavour_probe", OnCancel::Abort, probe);
        }
    }

    async fn ask(self: Arc<Self>, directory: Arc<dyn ServedDirectory>, clock: SharedClock) {
        let mut backoff = Backoff::new(PROBE_INITIAL, PROBE_MAX);
        let mut reported = None;
        while self.serves(&directory) {
            let answer = directory.identify().await;
            if self.serves(&directory) {
                self.noted(directory.name(), answer.as_ref().err());
            }
            match answer {
                Ok(identified) => {
                    if reported.is_some() {
                        tracing::info!(directory = directory.name(), "directory.reached: it answers again");
                    }
                    return self.learn(&directory, identified);
                }
                Err(failure) => {
                    let reason = Reason::of(&failure);
                    if reported.as_ref() != Some(&reason) {
                        tracing::warn!(
                            directory = directory.name(),
                            error = failure.for_the_log(),
                            cure = failure.cure,
                            "directory.flavour_unknown: the agent asks again until the directory answers"
                        );
                        reported = Some(reason);
                    }
                }
            }
            clock.sleep(backoff.next_delay()).await;
        }
    }

    fn learn(&self, directory: &Arc<dyn ServedDirectory>, Identified { flavour, configuration }: Identified) {
        if self.serves(directory) {
            self.flavours().insert(directory.name().to_owned(), flavour);
            self.configurations().insert(directory.name().to_owned(), configuration);
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// Notes by which configuration an import of a directory is read. It may have been unknown until now.
    pub fn read_by(&self, directory: &Arc<dyn ServedDirectory>, configuration: Digests) {
        if configuration == Digests::default() || !self.serves(directory) {
            return;
        }
        let before = self.configurations().insert(directory.name().to_owned(), configuration);
        if before != Some(configuration) {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn serves(&self, directory: &Arc<dyn ServedDirectory>) -> bool {
        self.served.load().iter().any(|served| Arc::ptr_eq(served, directory))
    }

    fn problems(&self) -> MutexGuard<'_, HashMap<String, (Reason, String)>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configurations(&self) -> MutexGuard<'_, HashMap<String, Digests>> {
        self.configurations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flavours(&self) -> MutexGuard<'_, HashMap<String, Flavour>> {
        self.flavours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;

    use futures_util::future::BoxFuture;
    use jiff::Timestamp;
    use postern_runtime::clock::ManualClock;
    use tokio_util::sync::CancellationToken;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::served::scripted::ScriptedDirectory;
    use crate::served::{Check, LookedUp, MemberForm, Pages};

    const CONFIGURED: Digests = Digests { users: Some([7; 32]), groups: None };

    /// A directory whose server answers so, one time after the other, and is healthy afterwards.
    struct Ailing(Mutex<VecDeque<Failure>>, ScriptedDirectory);

    impl ServedDirectory for Ailing {
        fn name(&self) -> &str {
            self.1.name()
        }

        fn member_form(&self) -> MemberForm {
            MemberForm::Dn
        }

        fn identify(&self) -> BoxFuture<'_, Result<Identified, Failure>> {
            let failure = self.0.lock().unwrap().pop_front();
            let healthy = Identified { flavour: Flavour::OpenLdap, configuration: CONFIGURED };
            Box::pin(async move { failure.map_or(Ok(healthy), Err) })
        }

        fn enumerate(&self, cancel: CancellationToken) -> Box<dyn Pages> {
            self.1.enumerate(cancel)
        }

        fn lookup_user<'a>(&'a self, unique_value: &'a str) -> BoxFuture<'a, Result<LookedUp, Failure>> {
            self.1.lookup_user(unique_value)
        }

        fn check(&self) -> BoxFuture<'_, Vec<Check>> {
            self.1.check()
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[tokio::test]
    async fn a_broken_directory_is_logged_once_for_each_reason_and_when_it_recovers() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let failures = [
            Failure::new(Class::Unreachable, "connection refused"),
            Failure::new(Class::Unreachable, "connection refused"),
            Failure::new(Class::Unreachable, "connection refused"),
            Failure::new(Class::Credentials, "tries again in 60 s"),
            Failure::new(Class::Credentials, "tries again in 7 s"),
        ];
        let ailing = Ailing(Mutex::new(failures.into()), ScriptedDirectory::populated("corp", 1, 1));
        let directory: Arc<dyn ServedDirectory> = Arc::new(ailing);
        let roster = Arc::new(Roster::new(vec![Arc::clone(&directory)]));
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let turning = async {
            loop {
                clock.advance(PROBE_MAX);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = Arc::clone(&roster).ask(directory, clock.clone()) => {}
            () = turning => {}
        }
        let (name, flavour) = ("corp".to_owned(), Some(Flavour::OpenLdap));
        let healthy = Announced { name, flavour, configuration: CONFIGURED, problem: None };
        assert_eq!(roster.announced(), [healthy]);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("directory=\"corp\"")).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("WARN") && lines[0].contains("connection refused"), "{text}");
        assert!(lines[1].contains("WARN") && lines[1].contains("in 60 s"), "{text}");
        assert!(lines[2].contains("INFO") && lines[2].contains("directory.reached"), "{text}");
    }
}
