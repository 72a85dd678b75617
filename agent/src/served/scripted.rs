//! A directory that follows a script instead of asking a server: for simulated agents, in tests and benchmarks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{
    Check, CheckState, Digests, Entry, Flavour, Identified, LookedUp, MemberForm, Page, Pages, Phase, SecondLook,
    ServedDirectory, Sight, Sought, Source, Switch,
};
use crate::failure::{Class, Failure};

/// What happens next in an enumeration.
#[derive(Clone, Debug)]
pub enum Step {
    /// This page comes.
    Page(Page),
    /// The enumeration fails.
    Fail(Failure),
    /// The code that reads panics.
    Panic,
    /// Nothing comes until the token is canceled.
    Wait(CancellationToken),
}

/// A directory whose every enumeration goes through the same steps.
#[derive(Clone, Debug)]
pub struct ScriptedDirectory {
    name: String,
    steps: Arc<[Step]>,
}

impl ScriptedDirectory {
    /// A directory of this name that follows these steps.
    pub fn new(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self { name: name.into(), steps: steps.into_iter().collect() }
    }

    /// A directory of `users` users in one group, read `page_size` at a time.
    pub fn populated(name: impl Into<String>, users: usize, page_size: usize) -> Self {
        let entries: Vec<Entry> = (0..users).map(user).collect();
        let members = entries.iter().map(|user| Bytes::from(user.dn.clone())).collect();
        let everybody = Entry {
            external_id: "group-everybody".to_owned(),
            dn: "cn=everybody,ou=groups,dc=example".to_owned(),
            unique_value: None,
            attributes: vec![("cn".into(), vec![Bytes::from_static(b"everybody")])],
            members,
            switch: Switch::Unknown,
        };
        let page = |phase, entries: &[Entry]| Step::Page(Page { phase, entries: entries.to_vec(), ..Page::new(phase) });
        let users = entries.chunks(page_size.max(1)).map(|entries| page(Phase::Users, entries));
        let groups = page(Phase::Groups, &[everybody]);
        Self::new(name, users.chain([groups]))
    }

    /// The same, and then this.
    #[must_use]
    pub fn then(self, step: Step) -> Self {
        Self { steps: self.steps.iter().cloned().chain([step]).collect(), ..self }
    }

    /// This first, and then the same.
    #[must_use]
    pub fn after(self, step: Step) -> Self {
        Self { steps: [step].into_iter().chain(self.steps.iter().cloned()).collect(), ..self }
    }

    fn users(&self) -> impl Iterator<Item = &Entry> {
        self.steps.iter().flat_map(|step| match step {
            Step::Page(page) if page.phase == Phase::Users => page.entries.as_slice(),
            _ => &[],
        })
    }
}

/// The `number`th user of a populated directory.
pub fn user(number: usize) -> Entry {
    let attribute = |name: &str, value: String| (name.into(), vec![Bytes::from(value)]);
    Entry {
        external_id: format!("user-{number:08}"),
        dn: format!("uid=user{number},ou=people,dc=example"),
        unique_value: Some(format!("user{number}")),
        attributes: vec![
            attribute("uid", format!("user{number}")),
            attribute("cn", format!("User Number {number}")),
            attribute("mail", format!("user{number}@corp.example")),
        ],
        members: Vec::new(),
        switch: Switch::On,
    }
}

impl ServedDirectory for ScriptedDirectory {
    fn name(&self) -> &str {
        &self.name
    }

    fn member_form(&self) -> MemberForm {
        MemberForm::Dn
    }

    fn known_flavour(&self) -> Option<Flavour> {
        Some(Flavour::OpenLdap)
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identified, Failure>> {
        Box::pin(async { Ok(Identified { flavour: Flavour::OpenLdap, configuration: Digests::default() }) })
    }

    fn enumerate(&self, cancel: CancellationToken) -> Box<dyn Pages> {
        Box::new(Following { steps: Arc::clone(&self.steps), next: 0, cancel })
    }

    fn lookup_user<'a>(&'a self, unique_value: &'a str) -> BoxFuture<'a, Result<LookedUp, Failure>> {
        Box::pin(async move {
            let found = self.users().find(|user| user.unique_value.as_deref() == Some(unique_value));
            let user = found.cloned().ok_or_else(|| Failure::new(Class::NotFound, "there is no such user"))?;
            Ok(LookedUp { user, groups: Vec::new(), unusable_groups: Vec::new(), more_groups: false })
        })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            vec![Check {
                name: "script".to_owned(),
                state: CheckState::Passed,
                detail: "follows a script".to_owned(),
                detail_local: "follows a script".to_owned(),
                cure: None,
                elapsed: Duration::ZERO,
            }]
        })
    }
}

struct Following {
    steps: Arc<[Step]>,
    next: usize,
    cancel: CancellationToken,
}

impl Pages for Following {
    fn source(&mut self) -> BoxFuture<'_, Source> {
        Box::pin(std::future::ready(Source::default()))
    }

    fn next(&mut self) -> BoxFuture<'_, Option<Result<Page, Failure>>> {
        Box::pin(async move {
            loop {
                let step = self.steps.get(self.next)?.clone();
                self.next += 1;
                match step {
                    Step::Page(page) => return Some(Ok(page)),
                    Step::Fail(failure) => return Some(Err(failure)),
                    Step::Panic => fall_over(),
                    Step::Wait(until) => tokio::select! {
                        () = until.cancelled() => {}
                        () = self.cancel.cancelled() => return Some(Err(Failure::canceled())),
                    },
                }
            }
        })
    }

    fn second_look(&self) -> Box<dyn SecondLook> {
        Box::new(Finding { steps: Arc::clone(&self.steps) })
    }
}

/// Finds what the script holds and nothing else.
#[derive(Debug)]
struct Finding {
    steps: Arc<[Step]>,
}

impl SecondLook for Finding {
    fn look<'a>(&'a mut self, sought: &'a [Sought]) -> BoxFuture<'a, Result<Vec<Sight>, Failure>> {
        let holds = |one: &Sought| {
            self.steps.iter().any(|step| match step {
                Step::Page(page) => page.entries.iter().any(|entry| entry.external_id == one.external_id),
                _ => false,
            })
        };
        let sight = |one: &Sought| if holds(one) { Sight::InScope } else { Sight::Absent };
        let sights = sought.iter().map(sight).collect();
        Box::pin(async move { Ok(sights) })
    }
}

/// Panics, because the script wants to see what becomes of it.
fn fall_over() -> ! {
    std::panic::resume_unwind(Box::new("a scripted panic"))
}
