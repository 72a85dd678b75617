//! Which entries stay when their id came more than once.

use postern_proto::chunk::{ChunkWriter, Kind, MemberForm};

use super::*;
use crate::intake::shortened::MOST_TEXT;

fn payload(entries: &[(&str, &str)]) -> Bytes {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    for (id, dn) in entries {
        writer.entry(Kind::User, id, dn, None).finish();
    }
    writer.finish()
}

fn repeated(ids: &[&str]) -> Vec<(u128, u32)> {
    let mut keys: Vec<_> =
        ids.iter().map(|id| (recorded_key(AccountKind::User, &ExternalKey::from_text(id)), 2)).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn an_id_that_came_again_takes_a_few_dozen_bytes_however_long_its_dns_are() {
    assert!(size_of::<(u128, Suspect)>() <= 48, "{}", size_of::<(u128, Suspect)>());
    let long = format!("cn={}", "x".repeat(8_000));
    let mut suspects = Suspects::default();
    let all = payload(&[("1", &long), ("1", "cn=b"), ("1", "cn=c"), ("2", "cn=d"), ("2", "CN=D"), ("3", "cn=e")]);
    assert_eq!(gather(&mut suspects, &all, &repeated(&["1", "2"])).unwrap(), 1, "one DN in two spellings is one");
    assert_eq!(suspects.values().map(|suspect| suspect.kept).sum::<u32>(), 5);
    let again = gather(&mut suspects, &all, &repeated(&["1", "2"])).unwrap();
    assert_eq!(again, 0, "each id counts once");
    assert_eq!(taken(&mut suspects, &all).unwrap().len(), 2);
    assert!(suspects.is_empty() && taken(&mut suspects, &all).unwrap().is_empty(), "each id is judged once");
}

#[test]
fn what_is_named_is_short() {
    let mut named = Named::default();
    for number in 0..10 {
        named.add(number, &format!("cn={number}{}", "ü".repeat(4_000)));
    }
    assert_eq!(named.dns.len(), MOST_DNS);
    assert!(named.dns.values().all(|dn| dn.len() <= MOST_TEXT && dn.len() > MOST_TEXT - 4));
}

#[test]
fn an_import_of_too_many_shared_ids_says_what_to_do() {
    assert_eq!(Repeats::default().failure(), None);
    let failure = Repeats { too_many: true, ..Repeats::default() }.failure().unwrap();
    assert_eq!(failure.code, "external_ids_not_unique");
    assert!(failure.cure.unwrap().contains("external_id_attribute"));
}

#[test]
fn all_shared_ids_are_counted_and_some_are_named() {
    let twins = (0..57).map(|key| (key, Twins { known: 0, times: 3, left_out: 2 }));
    let samples = vec![DuplicateSample::default(); SAMPLES];
    let repeats = Repeats { twins: twins.collect(), samples, left_out: 114, ..Repeats::default() };
    let mut result = ImportResult::default();
    repeats.correct(114, &mut result);
    let result = serde_json::to_value(result).unwrap();
    assert_eq!((&result["duplicates"], &result["shared_external_ids"]), (&114.into(), &57.into()));
    assert_eq!(result["duplicate_samples"].as_array().unwrap().len(), SAMPLES);
}
