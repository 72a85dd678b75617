//! One user on demand, by the command line: what was read, which rule gave what, what was sent and what came back.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, provision, start, user};

/// What `postern users provision` prints, and its exit code.
async fn provisioned(site: &Site, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let command = site.control_plane.command_line(&site.api).args(["users", "provision"]).args(arguments);
    let output = command.args(["--target", DIRECTORY]).output().await?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((output.status.code(), text))
}

#[test]
fn a_trace_shows_what_was_read_what_each_rule_gives_what_was_sent_and_the_answer() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        // Somebody else's entry, which the organization does not know of: it fails until that is gone.
        let other = format!("uid=bert,ou=people,{SUFFIX}");
        let entry = format!("dn: {other}\nobjectClass: inetOrgPerson\nuid: bert\ncn: Somebody\nsn: Else\n");
        site.slapd.apply(entry).await?;
        provision(&site, all()).await?;
        let id = user(&site, "bert").await?;
        ended(&site, &id, "create").await?;

        let (code, text) = provisioned(&site, &["bert", "--trace", "--dry-run"]).await?;
        ensure!(code == Some(0), "{text}");
        for line in [
            "bert in corp",
            "  user_name = bert (from the organization)",
            "Assigned: ",
            "  uid <- user_name: bert",
            "  mail <- email: bert@corp.example",
            "Account: none is known.",
            "It failed last: ",
            "To do: create",
            "Nothing was sent.",
        ] {
            ensure!(text.contains(line), "{line:?} is not in\n{text}");
        }
        let (code, text) = provisioned(&site, &[&id, "--trace"]).await?;
        ensure!(code == Some(0) && text.contains("Sent: create: failed"), "{text}");
        ensure!(text.contains("another entry has this uid"), "{text}");

        site.slapd.delete(&other).await?;
        let (code, text) = provisioned(&site, &["bert", "--trace", "--json"]).await?;
        let found: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        ensure!(code == Some(0) && found["explanation"]["user_name"] == "bert", "{found:#}");
        // It may have been tried again by itself just before.
        let made = found["explanation"]["steps"] == json!([]) || found["sent"][0]["state"] == "succeeded";
        ensure!(made, "{found:#}");
        wait::until_true("bert has an entry", wait::SOON, async || {
            Ok(site.slapd.entries("(uid=bert)").await?.len() == 1)
        })
        .await?;
        let (code, text) = provisioned(&site, &["bert", "--trace"]).await?;
        ensure!(code == Some(0) && text.contains("Nothing has to be done."), "{text}");
        ensure!(text.contains(&format!("Account: {other} (made by provisioning)")), "{text}");

        let (code, text) = provisioned(&site, &["nobody", "--trace"]).await?;
        ensure!(code == Some(1) && text.contains("nobody"), "{text}");
        Ok(())
    })
}
