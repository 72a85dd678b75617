//! The main job as an administrator does it: with the command line alone.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use postern_tests::agent::DirectorySettings;
use postern_tests::certificates::CertificateAuthority;
use postern_tests::control_plane::{self, ControlPlane};
use postern_tests::people::Person;
use postern_tests::process::Launch;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::skewed_gateway::SkewedGateway;
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{scenario, wait};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

#[test]
fn an_administrator_gets_from_a_token_to_users_by_the_command_line_alone() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(80), options).await?;
        let postern = || site.control_plane.command_line(&site.api);
        let made = postern().args(["enrollment-tokens", "create", "--json"]).success().await?;
        let made: Value = serde_json::from_str(&made).context("not JSON")?;
        site.agent.enroll(made["token"].as_str().context("no token")?).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;

        let watched = postern().args(["jobs", "start", "import", "--directory", DIRECTORY, "--watch"]).output().await?;
        let said = format!("{}{}", String::from_utf8_lossy(&watched.stdout), String::from_utf8_lossy(&watched.stderr));
        ensure!(watched.status.success(), "{said}");
        let users = postern().args(["users", "list", "--json"]).success().await?;
        ensure!(users.contains("@corp.example"), "{users}");
        for table in [["agents", "list"], ["directories", "list"], ["jobs", "list"], ["groups", "list"]] {
            let text = postern().args(table).success().await.with_context(|| table.join(" "))?;
            ensure!(text.lines().count() >= 2, "{}: {text}", table.join(" "));
        }

        site.settings.directories[0].set_password("wrong")?;
        site.ldap_line.cut();
        let failed = site.control_plane.command_line(&site.api).args([
            "jobs",
            "start",
            "import",
            "--directory",
            DIRECTORY,
            "--watch",
        ]);
        let failed = failed.output().await?;
        ensure!(failed.status.code() == Some(1), "exit code {:?} for a failed job", failed.status.code());
        let shown =
            site.control_plane.command_line(&site.api).args(["directories", "show", DIRECTORY]).success().await?;
        ensure!(shown.contains("the last import failed: "), "{shown}");
        let listed = site.control_plane.command_line(&site.api).args(["directories", "list"]).output().await?;
        let warned = String::from_utf8_lossy(&listed.stderr);
        ensure!(warned.contains("the last import failed: "), "{warned}");
        Ok(())
    })
}

#[test]
fn a_check_of_a_file_that_is_not_there_says_that_and_not_to_correct_it() -> Result<()> {
    scenario(async |stage| {
        let program = postern_tests::binaries::Binaries::beside_this_program()?.agent;
        let missing = stage.path().join("missing.toml");
        let check = Launch::new("check", program).args(["check", "--config"]).arg(&missing).output().await?;
        let report = said(&check);
        ensure!(report.contains("the file is not there") && !report.contains("correct the configuration"), "{report}");
        Ok(())
    })
}

type Change = fn(&mut DirectorySettings);

#[test]
fn the_agents_own_diagnosis_names_what_is_wrong_and_the_cure() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 30).await?;
        let (passed, report) = site.agent.check().await?;
        ensure!(passed, "{report:#}");
        let clock = report.as_array().into_iter().flatten().find(|row| row["name"] == "clock");
        ensure!(clock.is_some_and(|row| row["state"] == "passed"), "{report:#}");
        let status = site.agent.status().await?;
        ensure!(status.contains(DIRECTORY), "{status}");

        let right = site.settings.clone();
        let wrong: [(&[&str], Change); 5] = [
            // Nobody listens on the first port of all.
            (&["connect"], |corp| corp.urls = vec!["ldaps://localhost:1".to_owned()]),
            (&["base_dns"], |corp| corp.groups.base_dns = vec![format!("ou=nowhere,{SUFFIX}")]),
            (&["users"], |corp| corp.users.filter = "(uid=nobody)".to_owned()),
            (&["users"], |corp| corp.users.unique_attribute = "carLicense".to_owned()),
            // Groups without the configured id have the server's own.
            (&["users"], |corp| corp.external_id_attribute = Some("carLicense".to_owned())),
        ];
        for (steps, change) in wrong {
            site.settings = right.clone();
            change(&mut site.settings.directories[0]);
            site.agent.configure(&site.settings)?;
            fails_in(steps, &site).await?;
        }
        site.agent.configure(&right)?;
        right.directories[0].set_password("wrong")?;
        fails_in(&["bind"], &site).await?;
        right.directories[0].set_password(slapd::READER_PASSWORD)?;
        let (passed, report) = site.agent.check().await?;
        ensure!(passed, "{report:#}");
        Ok(())
    })
}

/// The diagnosis fails in these steps of the directory and in no others, each with a cure.
async fn fails_in(steps: &[&str], site: &Site) -> Result<()> {
    let (passed, report) = site.agent.check().await?;
    ensure!(!passed && rows(&report, "failed") == steps, "not in {steps:?}: {report:#}");
    let mut failed = report.as_array().into_iter().flatten().filter(|row| row["state"] == "failed");
    ensure!(failed.all(|row| row["cure"].is_string() && row["directory"] == DIRECTORY), "{report:#}");
    Ok(())
}

/// The names of the rows that stand so.
fn rows<'report>(report: &'report Value, state: &str) -> Vec<&'report str> {
    let rows = report.as_array().into_iter().flatten().filter(|row| row["state"] == state);
    rows.filter_map(|row| row["name"].as_str()).collect()
}

#[test]
fn a_clock_that_is_not_the_control_planes_is_named_with_the_difference_and_the_cure() -> Result<()> {
    scenario(async |stage| {
        // With its overlays the server reports which changes it has: otherwise the diagnosis warns.
        let slapd = slapd::Options { overlays: true, ..slapd::Options::people(20) };
        let site = Site::without_agent(stage, slapd, control_plane::Options::for_tests()?).await?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;
        let authority = CertificateAuthority::load(&site.control_plane.data_dir().join("pki"))?;
        for (minutes, side) in [(10, "behind"), (-10, "ahead of")] {
            let gateway = SkewedGateway::start(&authority, SignedDuration::from_mins(minutes)).await?;
            site.line.set_target(gateway.address());
            let (passed, report) = site.agent.check().await?;
            ensure!(!passed && rows(&report, "failed") == ["clock"], "{report:#}");
            let printed = site.agent.command("check").output().await?;
            ensure!(printed.status.code() == Some(1), "{printed:?}");
            let text = String::from_utf8(printed.stdout)?;
            let mut lines = text.lines().skip_while(|line| !line.starts_with("FAIL  clock "));
            let (clock, cure) = (lines.next().context("no clock")?, lines.next().unwrap_or_default());
            // A second goes by between the two clocks, or seems to: the control plane tells whole ones.
            let told = (598..=602).any(|seconds| clock.contains(&format!("clock is {seconds} s {side} the control")));
            ensure!(told && cure.contains("cure: set this machine's clock"), "{text}");
        }
        // A harmless difference is reported, but is not a failure.
        let gateway = SkewedGateway::start(&authority, SignedDuration::from_mins(2)).await?;
        site.line.set_target(gateway.address());
        let (passed, report) = site.agent.check().await?;
        ensure!(
            passed && rows(&report, "warned") == ["clock"] && report.to_string().contains("timedatectl"),
            "{report:#}"
        );
        Ok(())
    })
}

#[test]
fn without_a_file_of_its_own_a_directory_is_trusted_by_the_roots_of_the_system() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 20).await?;
        site.settings.directories[0].ca_file = None;
        site.agent.configure(&site.settings)?;
        let check = || site.agent.command("check").arg("--json");
        // The way in which OpenSSL names another file of roots than the distribution's.
        let (own, stranger) = (check().env("SSL_CERT_FILE", site.slapd.ca_file()), check());
        let (own, stranger) = (own.output().await?, stranger.output().await?);
        ensure!(own.status.success(), "{}", said(&own));
        let report: Value = serde_json::from_slice(&stranger.stdout)?;
        ensure!(rows(&report, "failed") == ["tls"] && report.to_string().contains("untrusted issuer"), "{report:#}");
        Ok(())
    })
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_login_is_remembered_for_its_owner_alone_and_its_token_never_shown() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, control_plane::Options::for_tests()?).await?;
        let api = control_plane.organization("Corp").await?;
        let (home, url, token) = (stage.folder("home")?, control_plane.url(), api.token().to_owned());
        let postern = || control_plane.command_line_at(&home);
        let strangers = postern().args(["agents", "list", "--url", &url]).output().await?;
        ensure!(strangers.status.code() == Some(1) && said(&strangers).contains("postern login"), "{strangers:?}");

        let login = postern().args(["login", "--url", &url]).input(format!("{token}\n")).output().await?;
        let file = home.join(".config/postern/credentials.toml");
        ensure!(login.status.success() && said(&login).contains("Corp"), "{}", said(&login));
        ensure!(said(&login).contains(&file.display().to_string()), "does not say where: {}", said(&login));
        let mode = std::fs::metadata(&file)?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "the remembered token has mode {mode:o}");

        let tokens = postern().args(["tokens", "list"]).output().await?;
        ensure!(tokens.status.success() && said(&tokens).contains("owner"), "{}", said(&tokens));
        let json = postern().args(["login", "--json", "--url", &url]).input(token.clone()).output().await?;
        let shown: Value = serde_json::from_slice(&json.stdout).with_context(|| said(&json))?;
        ensure!(shown["organization"] == "Corp", "{shown}");
        // The saved token is for its own control plane: it is not sent to another.
        let other = postern().args(["agents", "list", "--url", "http://127.0.0.1:9"]).output().await?;
        ensure!(other.status.code() == Some(1) && said(&other).contains("no token for"), "{}", said(&other));
        for output in [&strangers, &login, &tokens, &json, &other] {
            ensure!(!said(output).contains(&token), "the token is on the screen: {}", said(output));
        }

        // A file that others can read is not used, and the token in it not shown.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
        let exposed = postern().args(["agents", "list"]).output().await?;
        ensure!(exposed.status.code() == Some(64) && said(&exposed).contains("chmod 600"), "{}", said(&exposed));
        ensure!(!said(&exposed).contains(&token));
        Ok(())
    })
}

#[test]
fn a_token_typed_at_a_terminal_is_not_shown_there() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?;
        let postern = options.binaries.postern.display().to_string();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let (home, keyboard) = (stage.folder("home")?, stage.path().join("keyboard"));
        Launch::new("mkfifo", "mkfifo").arg(&keyboard).success().await?;
        // script(1) gives the command a terminal, and copies to it what comes from the keyboard, and from it to the log.
        let login = format!("'{postern}' login --url {}", control_plane.url());
        let terminal =
            Launch::new("terminal", "/bin/sh").args(["-c", "exec script -qfec \"$1\" /dev/null <\"$2\"", "sh"]);
        let terminal = terminal.arg(login).arg(&keyboard).env("HOME", &home).env("XDG_CONFIG_HOME", "");
        // For reading, too, so that opening it waits for nobody.
        let mut keys = tokio::fs::OpenOptions::new().read(true).write(true).open(&keyboard).await?;
        let mut terminal = terminal.start(stage)?;
        wait::until_true("it asks for the token", wait::SOON, || async { Ok(terminal.log().contains("Token for")) })
            .await?;
        keys.write_all(format!("{}\n", api.token()).as_bytes()).await?;
        keys.flush().await?;
        let ended = terminal.wait(wait::SOON).await?;
        let screen = terminal.log();
        ensure!(ended.success() && screen.contains("Logged in"), "{ended}: {screen}");
        ensure!(!screen.contains(api.token()), "the token is on the screen: {screen}");
        control_plane.command_line_at(&home).args(["agents", "list"]).success().await.map(drop)
    })
}

#[test]
fn a_login_with_a_wrong_token_is_refused_and_changes_nothing() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, control_plane::Options::for_tests()?).await?;
        let api = control_plane.organization("Corp").await?;
        let (home, url) = (stage.folder("home")?, control_plane.url());
        let login = |token: &str| control_plane.command_line_at(&home).args(["login", "--url", &url]).input(token);
        for (token, told) in [("pst_nobodys-token\n", "unknown, expired or revoked"), ("\n", "no token was given")] {
            let refused = login(token).output().await?;
            ensure!(!refused.status.success() && said(&refused).contains(told), "{token:?}: {}", said(&refused));
            ensure!(!said(&refused).contains("nobodys-token"), "the token is on the screen: {}", said(&refused));
            ensure!(std::fs::read_dir(&home)?.next().is_none(), "something was written");
        }

        login(api.token()).success().await?;
        let file = home.join(".config/postern/credentials.toml");
        let remembered = std::fs::read(&file)?;
        let refused = login("pst_nobodys-token\n").output().await?;
        ensure!(refused.status.code() == Some(1), "{}", said(&refused));
        ensure!(std::fs::read(&file)? == remembered, "a refused login replaced the one that was remembered");
        control_plane.command_line_at(&home).args(["agents", "list"]).success().await.map(drop)
    })
}

/// What a command prints, the two streams apart, and its exit code.
async fn runs(site: &Site, line: &str) -> Result<(Option<i32>, String, String)> {
    let output = site.control_plane.command_line(&site.api).args(line.split(' ')).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

#[test]
fn a_list_says_how_much_it_left_out_and_things_are_named_as_people_name_them() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 120).await?;
        site.api.import(DIRECTORY).await?;
        let (_, table, aside) = runs(&site, "users list").await?;
        ensure!(table.lines().count() == 101 && aside.contains("100 of 120"), "{aside}");
        ensure!(aside.contains("--all") && aside.contains("--limit"), "{aside}");
        let (_, table, aside) = runs(&site, "users list --all").await?;
        ensure!(table.lines().count() == 121 && aside.is_empty(), "{aside}");
        let (_, json, _) = runs(&site, "users list --limit 7 --json").await?;
        let json: Value = serde_json::from_str(&json)?;
        ensure!(json["total"] == serde_json::json!({"count": 120, "more": false}) && json["more"] == true, "{json}");
        let (_, table, _) = runs(&site, "users list --limit 2 --columns id,user-name").await?;
        ensure!(table.starts_with("ID ") && table.lines().count() == 3 && !table.contains('@'), "{table}");
        let (code, _, wrong) = runs(&site, "users list --columns user-nam").await?;
        ensure!(code == Some(2) && wrong.contains("did you mean user-name"), "{wrong}");

        // Everything has a name, and an id may be cut short.
        let agent = site.api.only_agent().await?;
        let short = &agent[..18];
        for line in [
            format!("agents show {short}"),
            format!(
                "jobs show {}",
                &site.api.list::<Value>("/api/v1/jobs").await?[0]["id"].as_str().context("no id")?[..18]
            ),
            "directories show corp".to_owned(),
            "directories rename corp Headquarters".to_owned(),
            "directories show Headquarters".to_owned(),
            "accounts list --directory Headquarters --missing".to_owned(),
        ] {
            let (code, _, wrong) = runs(&site, &line).await?;
            ensure!(code == Some(0), "{line}: {wrong}");
        }
        let uid = Person::nth(0).uid;
        for line in
            [format!("users show {uid}"), format!("users show {uid}@corp.example"), format!("accounts show {uid}")]
        {
            let (code, shown, wrong) = runs(&site, &line).await?;
            ensure!(code == Some(0) && shown.contains(&uid), "{line}: {wrong}");
        }
        let (code, _, wrong) = runs(&site, &format!("users show {}", uid.replacen('.', "", 1))).await?;
        ensure!(code == Some(1) && wrong.contains("Did you mean") && wrong.contains(&uid), "{wrong}");
        let (code, _, wrong) = runs(&site, "directories show crop").await?;
        ensure!(code == Some(1) && wrong.contains("Did you mean corp?"), "{wrong}");

        // What cuts or deletes says what, and in a pipe it waits for nobody.
        for line in [format!("agents revoke {short}"), "directories delete corp".to_owned()] {
            let (code, _, refused) = runs(&site, &line).await?;
            ensure!(code == Some(2) && refused.contains("--yes") && refused.contains("corp"), "{line}: {refused}");
        }
        ensure!(site.api.agents().await?[0]["revoked_at"].is_null(), "revoked without a yes");
        site.api.directory(DIRECTORY).await?;
        let (code, _, wrong) = runs(&site, &format!("agents revoke {short} --yes")).await?;
        ensure!(code == Some(0), "{wrong}");
        ensure!(site.api.agents().await?[0]["revoked_at"].is_string(), "not revoked with a yes");
        Ok(())
    })
}

#[test]
fn nobody_locks_an_organization_and_a_login_is_known_and_forgotten() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, control_plane::Options::for_tests()?).await?;
        let api = control_plane.organization("Corp & Sons").await?;
        let (home, url) = (stage.folder("home")?, control_plane.url());
        let postern = |line: &str| control_plane.command_line_at(&home).args(line.split(' '));
        postern("login").args(["--url", &url]).input(api.token()).success().await?;
        let who = postern("whoami").success().await?;
        ensure!(who.contains("Corp & Sons") && who.contains("owner") && who.contains(&url), "{who}");

        let current = api.get("/api/v1/current-token").await?;
        let own = current["id"].as_str().context("no id")?;
        let refused = postern(&format!("tokens revoke {own} --yes")).output().await?;
        ensure!(refused.status.code() == Some(1), "{}", said(&refused));
        ensure!(said(&refused).contains("last owner token"), "{}", said(&refused));
        ensure!(said(&refused).contains("postern tokens create"), "{}", said(&refused));
        postern("tokens create other --role owner").success().await?;
        postern("tokens revoke other --yes").success().await?;
        postern("tokens create another --role owner").success().await?;
        let piped = postern(&format!("tokens revoke {own}")).output().await?;
        ensure!(piped.status.code() == Some(2) && said(&piped).contains("--yes"), "{}", said(&piped));
        ensure!(said(&piped).contains("You are using it now"), "{}", said(&piped));
        postern(&format!("tokens revoke {own} --yes")).success().await?;

        let file = home.join(".config/postern/credentials.toml");
        ensure!(file.exists());
        postern("logout").success().await?;
        ensure!(!file.exists(), "the token is still there");
        let nobody = postern("whoami").args(["--url", &url]).output().await?;
        ensure!(nobody.status.code() == Some(1) && said(&nobody).contains("postern login"), "{}", said(&nobody));
        postern("logout").success().await.map(drop)
    })
}
