//! What the control plane keeps is read by nobody else: modes of files and folders, the way to PostgreSQL, and its
//! password.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use postern_tests::binaries::Binaries;
use postern_tests::certificates::{CertificateAuthority, write_private};
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::postgres::Postgres;
use postern_tests::process::Launch;
use postern_tests::{Stage, scenario, wait};

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o777)
}

fn open_to_all(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).context("cannot change a mode")
}

/// Fails unless only its owner may read the folder and everything in it.
fn all_private(folder: &Path) -> Result<()> {
    ensure!(mode(folder)? == 0o700, "{} has mode {:o}", folder.display(), mode(folder)?);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all_private(&path)?;
        } else if path.file_name().is_none_or(|name| name != "ca.pem") {
            ensure!(mode(&path)? == 0o600, "{} has mode {:o}", path.display(), mode(&path)?);
        }
    }
    Ok(())
}

#[test]
fn files_and_folders_that_others_could_read_are_made_private() -> Result<()> {
    scenario(async |stage| {
        let mut control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
        control_plane.organization("Corp").await?;
        let folder = control_plane.data_dir().to_owned();
        all_private(&folder)?;
        control_plane.kill().await?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            open_to_all(&path, if path.is_dir() { 0o777 } else { 0o666 })?;
        }
        open_to_all(&folder, 0o777)?;
        control_plane.run(stage).await?;
        control_plane.organization("Other").await?;
        all_private(&folder)?;
        ensure!(control_plane.log().contains("home.mode_mended"), "it does not say so: {}", control_plane.log());
        Ok(())
    })
}

#[test]
fn nothing_is_open_to_others_where_the_umask_would_let_them_in() -> Result<()> {
    scenario(async |stage| {
        let folder = stage.path().join("new").join("data");
        let program = Binaries::beside_this_program()?.postern;
        let shell = format!(
            "umask 0; exec '{}' serve --data-dir '{}' --listen 127.0.0.1:0 --gateway-listen 127.0.0.1:0",
            program.display(),
            folder.display()
        );
        let mut serve = Launch::new("umask", "/bin/sh").args(["-c", &shell]).start(stage)?;
        wait::until_true("it is ready", wait::SOON, || async { Ok(serve.log().contains("postern is ready")) }).await?;
        all_private(&folder)?;
        serve.terminate(wait::SOON).await.map(drop)
    })
}

#[test]
fn a_folder_shared_with_others_is_refused_with_the_command_that_mends_it() -> Result<()> {
    scenario(async |stage| {
        let folder = stage.folder("shared")?;
        fs::write(folder.join("somebody-elses"), "")?;
        open_to_all(&folder, 0o777)?;
        let options = || Ok::<_, anyhow::Error>(Options { data_dir: Some(folder.clone()), ..Options::for_tests()? });
        let refused = ControlPlane::start(stage, options()?).await.map(drop).map_err(|error| format!("{error:#}"));
        let words = refused.err().context("it was used")?;
        ensure!(words.contains("exit status: 64") && words.contains("chmod go-w "), "{words}");
        ensure!(fs::read_dir(&folder)?.count() == 1, "something was made in it");
        open_to_all(&folder, 0o755)?;
        ControlPlane::start(stage, options()?).await.map(drop)
    })
}

/// What the folder contains, with the contents of files.
fn contents(folder: &Path) -> Result<Vec<(String, Option<String>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        found.push((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).ok()));
    }
    found.sort();
    Ok(found)
}

#[test]
fn a_folder_of_another_user_or_with_links_in_it_is_refused_and_nothing_is_written() -> Result<()> {
    scenario(async |stage| {
        let outside = stage.folder("outside")?;
        fs::write(outside.join("victim"), "kept")?;
        let links = ["postern.db.lock", "postern.db", "postern.db-wal", "postern.db-shm", "postern.db-journal"];
        for (number, link) in links.into_iter().enumerate() {
            for target in ["victim", "new"] {
                let folder = stage.folder(&format!("linked-{number}-{target}"))?;
                std::os::unix::fs::symlink(outside.join(target), folder.join(link))?;
                let words = not_served(stage, &folder).await.context(link)?;
                ensure!(words.contains("exit status: 64") && words.contains("is a link"), "{link}: {words}");
                let kept = vec![("victim".to_owned(), Some("kept".to_owned()))];
                ensure!(contents(&outside)? == kept, "{link}: {:?}", contents(&outside)?);
            }
        }
        if rustix::process::geteuid().is_root() {
            let (folder, linked, authority) =
                (stage.folder("foreign")?, stage.folder("linked-authority")?, stage.folder("authority")?);
            std::os::unix::fs::chown(&folder, Some(65_534), None)?;
            std::os::unix::fs::symlink(&authority, linked.join("pki"))?;
            std::os::unix::fs::lchown(linked.join("pki"), Some(65_534), None)?;
            for refused in [&folder, &linked] {
                let words = not_served(stage, refused).await?;
                ensure!(words.contains("exit status: 64") && words.contains("chown -R 0 "), "{words}");
            }
            for untouched in [&folder, &authority] {
                ensure!(contents(untouched)?.is_empty(), "something was made in {}", untouched.display());
            }
        }
        Ok(())
    })
}

/// Why a control plane does not start with this data folder.
async fn not_served(stage: &Stage, folder: &Path) -> Result<String> {
    let options = Options { data_dir: Some(folder.to_owned()), ..Options::for_tests()? };
    let refused = ControlPlane::start(stage, options).await.map(drop).map_err(|error| format!("{error:#}"));
    refused.err().context("it was used")
}

fn create(name: &str, url: &str, further: &[&str]) -> Result<Launch> {
    let program = Binaries::beside_this_program()?.postern;
    let launch = Launch::new("postern", program).args(["organizations", "create", name, "--database-url", url]);
    Ok(launch.args(further))
}

/// Runs a command that must fail, and returns its words.
async fn refused(launch: Launch) -> Result<String> {
    let output = launch.output().await?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "it was not refused: {words}");
    Ok(words)
}

async fn tls_on_the_way(stage: &Stage) -> Result<()> {
    let mut postgres = Postgres::start(stage).await?;
    let url = postgres.fresh_database().await?;
    let strict = format!("{url}?sslmode=verify-full");
    let words = refused(create("One", &strict, &[])?).await?;
    ensure!(words.contains("TLS fails: the server offers none") && words.contains("sslmode=disable"), "{words}");

    let authority = CertificateAuthority::new("Database authority")?;
    postgres.offer_tls(stage, &authority.server(&["localhost"])?).await?;
    let by_name = strict.replace("127.0.0.1", "localhost");
    let words = refused(create("One", &by_name, &[])?).await?;
    ensure!(words.contains("TLS fails: the authority of its certificate is not trusted"), "{words}");
    ensure!(words.contains("sslrootcert=FILE"), "{words}");

    let ca_file = stage.path().join("database-ca.pem");
    fs::write(&ca_file, authority.certificate_pem())?;
    let root = format!("&sslrootcert={}", ca_file.display());
    let words = refused(create("One", &format!("{strict}{root}"), &[])?).await?;
    ensure!(words.contains("TLS fails: its certificate is for another name"), "{words}");
    create("One", &format!("{by_name}{root}"), &[])?.success().await.map(drop)
}

#[test]
fn a_failure_of_tls_to_the_database_is_called_that_with_its_cause() -> Result<()> {
    scenario(tls_on_the_way)
}

async fn password_of_the_database(stage: &Stage) -> Result<()> {
    let mut postgres = Postgres::start(stage).await?;
    let url = postgres.fresh_database().await?;
    postgres.guarded_user(stage, "guarded", "hunter2").await?;
    let url = url.replace("postgres@", "guarded@");
    let folder = stage.folder("secrets")?;
    let file = folder.join("database");
    let path = file.display().to_string();
    write_private(&file, b"wrong\n")?;
    let words = refused(create("One", &url, &["--database-password-file", &path])?).await?;
    ensure!(words.contains("password authentication fails"), "{words}");
    write_private(&file, b"hunter2\n")?;
    create("One", &url, &["--database-password-file", &path])?.success().await?;
    open_to_all(&file, 0o644)?;
    let words = refused(create("Two", &url, &["--database-password-file", &path])?).await?;
    ensure!(words.contains(&format!("chmod 600 {path}")) && !words.contains("hunter2"), "{words}");

    // As systemd hands it to a service.
    let options = || -> Result<Options> {
        let mut options = Options::for_tests()?.set("database_password_credential", "database");
        options.settings.push(("CREDENTIALS_DIRECTORY".to_owned(), folder.display().to_string()));
        options.settings.push(("POSTERN__DATABASE_URL".to_owned(), url.clone()));
        Ok(options)
    };
    let mut served = ControlPlane::start(stage, options()?).await?;
    let arguments = fs::read(format!("/proc/{}/cmdline", served.process()?.pid()))?;
    ensure!(!String::from_utf8_lossy(&arguments).contains("hunter2"), "the list of processes shows the password");
    Ok(())
}

#[test]
fn the_databases_password_comes_from_a_private_file_or_a_credential() -> Result<()> {
    scenario(password_of_the_database)
}
