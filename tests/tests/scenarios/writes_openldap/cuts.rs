//! The line is cut somewhere between a request and its answer. What was done is found out from the same server, and
//! nothing is done twice.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Create, Effect, Failure, NewPassword, Operation, Subject};
use postern_directory::{Directory, DirectoryConfig, Error};
use postern_tests::agent::DirectorySettings;
use postern_tests::relay::{Fault, Relay};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::writing::{self, Site, create, set, user};
use postern_tests::{Stage, scenario};
use std::sync::Arc;

use crate::writes_openldap::choices::john;
use crate::writes_openldap::common::{created, dn, id, operate};

async fn start(stage: &Stage) -> Result<(Slapd, Arc<Relay>, Directory)> {
    let options =
        slapd::Options { overlays: true, statements: true, password_policy: true, ..slapd::Options::people(5) };
    let slapd = Slapd::start(stage, options).await?;
    let _ = writing::openldap(stage, &slapd, "").await?;
    let line = Arc::new(Relay::start(slapd.ldaps_address()).await?);
    let mut settings = DirectorySettings::slapd("corp", &slapd, stage.path())?;
    settings.urls = vec![format!("ldaps://localhost:{}", line.address().port())];
    let section = format!("\n[write]\nuser_container = 'ou=people,{SUFFIX}'\ndisable = 'ppolicy'\n");
    let config: DirectoryConfig = toml::from_str(&(toml::to_string(&settings)? + &section))?;
    postern_runtime::tls::install_crypto_provider();
    Ok((slapd, line, Directory::new(config)?))
}

/// Carries out an operation on a line that is cut when so many more bytes have passed after the question to the site.
async fn cut(directory: &Directory, line: &Arc<Relay>, operation: &Operation, bytes: u64) -> Result<Effect> {
    let relay = Arc::clone(line);
    let site = Site::default().meanwhile(move || relay.plan([(bytes, Fault::Cut)]));
    let answer = directory.operate(operation, &site).await;
    line.plan([]);
    let done = answer.with_context(|| format!("cut after {bytes} bytes"))?;
    ensure!(site.asked().iter().skip(1).all(|asked| asked.again), "a repetition counted as another operation");
    Ok(done.effect)
}

/// How often the server has done something, by the lines of its log that give a result.
fn results(slapd: &Slapd, tag: u32) -> usize {
    let log = slapd.process().map(postern_tests::process::Process::log).unwrap_or_default();
    log.lines().filter(|line| line.contains(&format!(" RESULT tag={tag} err=0 "))).count()
}

#[test]
fn wherever_the_line_is_cut_each_change_is_made_once() -> Result<()> {
    scenario(async |stage| {
        let (slapd, line, directory) = start(stage).await?;
        let mut johns = 0;
        // A request of such a kind is 100 to 250 bytes on the line; the answer and the read after it follow.
        for bytes in (1..700).step_by(53) {
            let uid = format!("cut{bytes}");
            let attributes: &[(&str, &[&str])] = &[("uid", &[&uid]), ("cn", &["Anna Bell"]), ("sn", &["Bell"])];
            let operation = user(Subject::default(), Change::Create(create(attributes)));
            ensure!(cut(&directory, &line, &operation, bytes).await? == Effect::Created, "{bytes}");
            let found = slapd.entries(&format!("(uid={uid})")).await?;
            ensure!(found.len() == 1, "{bytes}");
            let entry = || Subject { external_id: Some(found[0].text("entryUUID")), dn: Some(found[0].dn.clone()) };

            // Those who look the same are others, and one that an earlier try has made is found.
            let operation = user(Subject::default(), Change::Create(john(30)));
            ensure!(cut(&directory, &line, &operation, bytes).await? == Effect::Created, "{bytes}");
            johns += 1;
            ensure!(slapd.entries("(sn=Doe)").await?.len() == johns, "{bytes}");

            let operation = user(entry(), Change::Update(vec![set("title", &["Doctor"])]));
            ensure!(cut(&directory, &line, &operation, bytes).await? == Effect::Changed, "{bytes}");
            ensure!(slapd.entries(&format!("(uid={uid})")).await?[0].text("title") == "Doctor");

            let operation = user(entry(), Change::Disable);
            ensure!(cut(&directory, &line, &operation, bytes).await? == Effect::Changed, "{bytes}");

            let operation = user(entry(), Change::Delete);
            ensure!(cut(&directory, &line, &operation, bytes).await? == Effect::Deleted, "{bytes}");
            ensure!(slapd.entries(&format!("(uid={uid})")).await?.is_empty(), "{bytes}");
        }
        let rounds = (1..700).step_by(53).count();
        // Add responses are 105, delete responses 107 (RFC 4511 §4.7, §4.8). The server writes no result where it saw
        // the line break first.
        ensure!(results(&slapd, 105) <= 2 * rounds && results(&slapd, 107) <= rounds, "something was done twice");
        Ok(())
    })
}

#[test]
fn a_password_is_set_although_the_line_is_cut_and_the_history_knows_it() -> Result<()> {
    scenario(async |stage| {
        let (slapd, line, directory) = start(stage).await?;
        slapd.replace(&format!("cn=policy,{SUFFIX}"), "pwdInHistory", &["20"]).await?;
        for bytes in (1..500).step_by(61) {
            let uid = format!("cut{bytes}");
            let first = NewPassword { password: "first password".to_owned().into(), must_change: false };
            let new = Create { password: Some(first), ..create(&[("uid", &[&uid]), ("cn", &["A"]), ("sn", &["B"])]) };
            cut(&directory, &line, &user(Subject::default(), Change::Create(new)), bytes).await?;
            let bound = writing::administrator(&slapd).bound_as(&dn(&uid), "first password");
            bound.program("ldapwhoami").success().await.with_context(|| format!("{bytes}"))?;
            let next = NewPassword { password: "second password".to_owned().into(), must_change: false };
            cut(&directory, &line, &user(Subject::dn(dn(&uid)), Change::SetPassword(next)), bytes).await?;
            let bound = writing::administrator(&slapd).bound_as(&dn(&uid), "second password");
            bound.program("ldapwhoami").success().await.with_context(|| format!("{bytes}"))?;
        }
        Ok(())
    })
}

#[test]
fn an_outcome_that_nobody_can_tell_is_said_to_be_unknown() -> Result<()> {
    scenario(async |stage| {
        let (_slapd, line, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let relay = Arc::clone(&line);
        let site = Site::default().meanwhile(move || relay.refuse(true));
        let change = Change::Update(vec![set("title", &["Doctor"])]);
        let answer = directory.operate(&user(id(&anna), change.clone()), &site).await;
        ensure!(
            matches!(&answer, Err(Error::Write(failure @ Failure::Unknown { .. })) if failure.retryable()),
            "{answer:?}"
        );
        line.refuse(false);
        let again = operate(&directory, user(id(&anna), change)).await?;
        ensure!(matches!(again.effect, Effect::Changed | Effect::AlreadySo));
        Ok(())
    })
}

#[test]
fn a_connection_is_kept_between_operations_and_replaced_when_the_server_closes_it() -> Result<()> {
    scenario(async |stage| {
        let (_slapd, line, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        for title in ["one", "two", "three"] {
            operate(&directory, user(id(&anna), Change::Update(vec![set("title", &[title])]))).await?;
        }
        ensure!(line.accepted() == 1, "{} connections for one operation after the other", line.accepted());
        line.cut();
        operate(&directory, user(id(&anna), Change::Update(vec![set("title", &["four"])]))).await?;
        ensure!(line.accepted() == 2);
        Ok(())
    })
}

#[test]
fn each_connection_has_one_request_at_a_time() -> Result<()> {
    scenario(async |stage| {
        let (slapd, line, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let site = Site::default();
        // `slapd` answers several requests of one connection in any order.
        let edits = (0..40).map(|number| {
            let name = ["title", "mail", "ou", "description"][number % 4];
            let operation = user(id(&anna), Change::Update(vec![set(name, &[&number.to_string()])]));
            let (directory, site) = (&directory, &site);
            async move { directory.operate(&operation, site).await }
        });
        for done in futures_util::future::join_all(edits).await {
            done?;
        }
        ensure!(line.accepted() <= 2, "{} connections, of which two are configured", line.accepted());
        let log = slapd.process().context("no process")?.log();
        let mut open: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
        for entry in log.lines().filter_map(|entry| entry.split_once("conn=").map(|(_, entry)| entry)) {
            let mut words = entry.split(' ');
            let (Some(connection), Some(operation), Some(word)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if operation.starts_with("op=") && ["SRCH", "MOD", "ADD", "DEL", "MODRDN"].contains(&word) {
                let other = open.insert(connection, operation);
                ensure!(other.is_none_or(|other| other == operation), "two requests at a time: {entry}");
            }
            if ["RESULT", "SEARCH"].contains(&word) {
                open.remove(connection);
            }
        }
        Ok(())
    })
}

#[test]
fn a_new_entry_of_unknown_outcome_is_asked_for_where_it_may_be_and_nowhere_else() -> Result<()> {
    scenario(async |stage| {
        let (first, line, _) = start(stage).await?;
        // Another server of the same directory, which has not got the changes of the first one yet.
        let options = slapd::Options { statements: true, password_policy: true, ..slapd::Options::people(5) };
        let second = Slapd::start(stage, options).await?;
        let _ = writing::openldap(stage, &second, "").await?;
        let mut settings = DirectorySettings::slapd("corp", &first, stage.path())?;
        settings.urls = vec![format!("ldaps://localhost:{}", line.address().port()), second.ldaps_url()];
        let both = [first.ca_file(), second.ca_file()].map(|file| std::fs::read_to_string(file).unwrap_or_default());
        let ca_file = stage.path().join("both.pem");
        std::fs::write(&ca_file, both.concat())?;
        settings.ca_file = Some(ca_file);
        let section = format!("\n[write]\nuser_container = 'ou=people,{SUFFIX}'\n");
        let configuration = toml::to_string(&settings)? + &section;
        let mut unknown = 0;
        for bytes in (100..1_500).step_by(100) {
            let uid = format!("away{bytes}");
            let attributes: &[(&str, &[&str])] = &[("uid", &[&uid]), ("cn", &["A"]), ("sn", &["B"])];
            let new = user(Subject::default(), Change::Create(create(attributes)));
            let at = async || {
                let filter = format!("(uid={uid})");
                anyhow::Ok((first.entries(&filter).await?.len(), second.entries(&filter).await?.len()))
            };
            // The first server goes away when so many bytes have passed after the question to the site.
            let directory = writing::configured(&configuration)?;
            let relay = Arc::clone(&line);
            let site = Site::default().meanwhile(move || relay.plan([(bytes, Fault::Hold)]));
            let goes = async {
                if line.struck().await.is_ok() {
                    line.refuse(true);
                    line.resume();
                }
                std::future::pending::<()>().await;
            };
            let answer = tokio::select! {
                answer = directory.operate(&new, &site) => answer,
                () = goes => anyhow::bail!("nobody comes here"),
            };
            line.plan([]);
            if answer.is_err() {
                unknown += 1;
                let again = operate(&directory, new.clone()).await;
                ensure!(
                    matches!(again, Err(Error::Write(Failure::Unknown { .. }))),
                    "another server was asked: {again:?}"
                );
                ensure!(at().await?.1 == 0, "{bytes}: it is at the second server");
                line.refuse(false);
                operate(&directory, new).await?;
            } else {
                line.refuse(false);
            }
            let (here, there) = at().await?;
            ensure!(here + there == 1, "{bytes}: {here} at the first server, {there} at the second");
        }
        ensure!(unknown > 0, "the line was never cut between request and answer");
        Ok(())
    })
}
