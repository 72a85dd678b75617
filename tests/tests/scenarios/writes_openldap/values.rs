//! Values of every kind, and those that the directory refuses.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Effect, Failure, Subject};
use postern_tests::scenario;
use postern_tests::writing::{self, create, set, user};

use crate::writes_openldap::common::{created, dn, fails, id, operate, start};

const ODD: [&str; 10] = [
    "a\0b",
    "line\r\nline",
    " leading",
    "trailing ",
    "\u{202e}right to left",
    "עברית",
    "😀",
    "e\u{301}",
    "a,b+c=\"d\"\\e;<f>#",
    "*()\\28",
];

#[test]
fn odd_values_are_written_and_read_back_equal_also_in_names() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        for (number, text) in ODD.iter().enumerate() {
            let edited = operate(&directory, user(id(&anna), Change::Update(vec![set("title", &[text])]))).await?;
            let title = edited.entry.context("no entry")?.attributes.into_iter().find(|(name, _)| &**name == "title");
            ensure!(title.context("no title")?.1 == writing::values(&[text]), "{text:?}");
            ensure!(slapd.entries("(uid=anna)").await?[0].values("title") == [text.as_bytes()], "{text:?}");
            let uid = format!("{text}{number}");
            let uid = if text.ends_with(' ') { format!("{number}{text}") } else { uid };
            let named = operate(
                &directory,
                user(Subject::default(), Change::Create(create(&[("uid", &[&uid]), ("cn", &["x"]), ("sn", &["x"])]))),
            )
            .await?;
            let entry = named.entry.context("no entry")?;
            ensure!(named.effect == Effect::Created && entry.unique_value.as_deref() == Some(uid.as_str()), "{uid:?}");
            let again = operate(
                &directory,
                user(Subject::default(), Change::Create(create(&[("uid", &[&uid]), ("cn", &["x"]), ("sn", &["x"])]))),
            )
            .await?;
            ensure!(again.effect == Effect::AlreadySo, "{uid:?}");
        }
        Ok(())
    })
}

#[test]
fn a_refused_attribute_is_named_and_the_others_are_written() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let bad = || ("noSuchAttribute", &["x"][..]);
        let new = create(&[("uid", &["anna"]), ("cn", &["Anna"]), ("sn", &["Bell"]), bad(), ("title", &["Doctor"])]);
        let made = operate(&directory, user(Subject::default(), Change::Create(new))).await?;
        ensure!(made.refused.len() == 1 && made.refused[0].name == "noSuchAttribute", "{made:?}");
        ensure!(made.refused[0].cure.as_ref().context("no cure")?.contains("schema"), "{made:?}");
        ensure!(slapd.entries("(uid=anna)").await?[0].text("title") == "Doctor");
        let anna = made.entry.context("no entry")?;

        let changes =
            vec![set("title", &["Professor"]), set("preferredLanguage", &["de", "en"]), set("homePhone", &["1"])];
        let edited = operate(&directory, user(id(&anna), Change::Update(changes))).await?;
        let unfit = edited.refused.first().context("the schema takes one value")?;
        ensure!((unfit.name.as_str(), unfit.code) == ("preferredLanguage", None), "{edited:?}");
        ensure!(slapd.entries("(uid=anna)").await?[0].text("title") == "Professor", "the others are written");
        let two = vec![set("preferredLanguage", &["de", "en"])];
        let alone = fails(&directory, user(id(&anna), Change::Update(two))).await?;
        ensure!(matches!(&alone, Failure::Invalid { what, .. } if what == "preferredLanguage"), "{alone:?}");
        let changes = vec![set("title", &["Dean"]), set("c", &["Atlantis"]), set("homePhone", &["2"])];
        let edited = operate(&directory, user(id(&anna), Change::Update(changes))).await?;
        ensure!(
            edited.effect == Effect::Changed && edited.refused.len() == 1 && edited.refused[0].name == "c",
            "{edited:?}"
        );
        let entry = &slapd.entries("(uid=anna)").await?[0];
        ensure!((entry.text("title"), entry.text("homePhone")) == ("Dean".into(), "2".into()));
        let alone = fails(&directory, user(id(&anna), Change::Update(vec![set("c", &["Atlantis"])]))).await?;
        ensure!(alone.public_message().starts_with("c: "), "{}", alone.public_message());
        Ok(())
    })
}

#[test]
fn what_has_an_operation_of_its_own_is_never_written_as_an_attribute() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        let sent = writing::written(&slapd).len();
        for name in [
            "userPassword",
            "userPassword;x-old",
            "2.5.4.35",
            "USERPASSWORD",
            "pwdAccountLockedTime",
            "member",
            "memberOf",
            "1.3.6.1.4.1.42.2.27.8.1.17",
            "pwdReset",
            "not a name",
            "",
        ] {
            let edited = fails(&directory, user(id(&anna), Change::Update(vec![set(name, &["x"])]))).await?;
            ensure!(matches!(edited, Failure::Invalid { .. }), "{name}: {edited:?}");
        }
        ensure!(writing::written(&slapd).len() == sent, "something was sent");
        Ok(())
    })
}

#[test]
fn values_that_nobody_mapped_are_never_touched() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        slapd.replace(&dn("anna"), "description", &["of the administrator", "another"]).await?;
        operate(&directory, user(id(&anna), Change::Update(vec![set("title", &["Doctor"]), set("mail", &[])]))).await?;
        ensure!(slapd.entries("(uid=anna)").await?[0].values("description").len() == 2);
        let log = slapd.process().context("no process")?.log();
        let attributes: Vec<&str> =
            log.lines().filter(|line| line.contains("MOD attr=title")).map(writing::request).collect();
        ensure!(attributes == ["MOD attr=title"], "{attributes:?}");
        // Several values: only the one that goes and the one that comes are sent.
        slapd.replace(&dn("anna"), "mail", &["a@x", "b@x"]).await?;
        operate(&directory, user(id(&anna), Change::Update(vec![set("mail", &["b@x", "c@x"])]))).await?;
        let mut mail = slapd.entries("(uid=anna)").await?[0].values("mail").to_vec();
        mail.sort();
        ensure!(mail == [b"b@x".to_vec(), b"c@x".to_vec()]);
        Ok(())
    })
}

#[test]
fn the_account_by_which_we_bind_is_left_alone() -> Result<()> {
    scenario(async |stage| {
        let (slapd, _) = start(stage, "").await?;
        let settings = postern_tests::agent::DirectorySettings::slapd("corp", &slapd, stage.path())?;
        let mut settings = settings;
        settings.users.base_dns = vec![postern_tests::slapd::SUFFIX.to_owned()];
        let directory = writing::configured(&(toml::to_string(&settings)? + "\n[write]\ndisable = 'ppolicy'\n"))?;
        let own = || Subject::dn(postern_tests::slapd::Slapd::reader_dn());
        let sent = writing::written(&slapd).len();
        for change in [Change::Delete, Change::Disable, Change::Update(vec![set("description", &["x"])])] {
            let refused = fails(&directory, user(own(), change)).await?;
            ensure!(matches!(refused, Failure::Protected { .. }), "{refused:?}");
        }
        ensure!(writing::written(&slapd).len() == sent);
        Ok(())
    })
}

#[test]
fn an_operation_on_a_user_touches_no_group_and_no_container() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let suffix = postern_tests::slapd::SUFFIX;
        slapd.apply(format!("dn: ou=Empty,ou=people,{suffix}\nobjectClass: organizationalUnit\nou: Empty\n")).await?;
        slapd
            .apply(format!("dn: cn=inside,ou=people,{suffix}\nobjectClass: groupOfNames\ncn: inside\nmember: cn=x\n"))
            .await?;
        created(&directory, "anna").await?;
        let sent = writing::written(&slapd).len();
        let subjects = [
            format!("ou=Empty,ou=people,{suffix}"),
            format!("cn=inside,ou=people,{suffix}"),
            format!("ou=people,{suffix}"),
        ];
        for subject in subjects {
            for change in [Change::Delete, Change::Update(vec![set("description", &["x"])])] {
                let refused = fails(&directory, user(Subject::dn(&subject), change)).await?;
                ensure!(
                    matches!(&refused, Failure::Invalid { what, .. } if what == "objectClass"),
                    "{subject}: {refused:?}"
                );
            }
        }
        let group = create(&[("uid", &["x"]), ("cn", &["x"]), ("sn", &["x"]), ("objectClass", &["groupOfNames"])]);
        let container = create(&[("uid", &["x"]), ("ou", &["x"]), ("OBJECTCLASS", &["organizationalUnit"])]);
        for new in [group, container] {
            let refused = fails(&directory, user(Subject::default(), Change::Create(new))).await?;
            ensure!(matches!(&refused, Failure::Invalid { what, .. } if what == "objectClass"), "{refused:?}");
        }
        let classes = Change::Update(vec![set("objectClass", &["inetOrgPerson", "groupOfNames"])]);
        let refused = fails(&directory, user(Subject::dn(dn("anna")), classes)).await?;
        ensure!(matches!(&refused, Failure::Invalid { .. }), "{refused:?}");
        ensure!(writing::written(&slapd).len() == sent, "something was sent");
        Ok(())
    })
}
