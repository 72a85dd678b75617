//! The bind password as a systemd credential. systemd puts `LoadCredential=` and its kin into a folder that only the
//! service can read and names it in `CREDENTIALS_DIRECTORY` (systemd.exec(5)); that is all a service sees of it, and all
//! that is set here. The unit itself is not started: the machines that run these tests have no systemd to start it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use postern_tests::certificates::write_private;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::READER_PASSWORD;
use postern_tests::{control_plane, scenario, slapd};

#[test]
fn the_bind_password_comes_from_a_systemd_credential() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(30), options).await?;
        let corp = &mut site.settings.directories[0];
        corp.bind_password_file = None;
        corp.bind_password_credential = Some("corp-bind".to_owned());
        site.agent.configure(&site.settings)?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;

        // By hand, without what systemd sets: it says which variable it misses.
        let (well, report) = site.agent.check().await?;
        ensure!(!well && report.to_string().contains("CREDENTIALS_DIRECTORY"), "{report}");

        let credentials = stage.folder("credentials")?;
        write_private(&credentials.join("corp-bind"), READER_PASSWORD.as_bytes())?;
        // As systemd leaves it: read-only, and for the service alone.
        std::fs::set_permissions(credentials.join("corp-bind"), Permissions::from_mode(0o400))?;
        std::fs::set_permissions(&credentials, Permissions::from_mode(0o500))?;
        site.agent.set_env("CREDENTIALS_DIRECTORY", &credentials);
        let (well, report) = site.agent.check().await?;
        ensure!(well, "{report}");
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await?;

        // Another name in the unit than in the configuration is said, too.
        std::fs::set_permissions(&credentials, Permissions::from_mode(0o700))?;
        std::fs::rename(credentials.join("corp-bind"), credentials.join("another"))?;
        site.ldap_line.cut();
        let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
        ensure!(job.error_code() == "credentials" && job.error["cure"].is_string(), "{job:?}");
        ensure!(site.agent.log().contains("corp-bind"), "the agent's log does not name the file");
        Ok(())
    })
}
