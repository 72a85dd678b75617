//! What a sealed password lets through, and what it refuses.

use super::*;

const ANNA: Binding<'_> = Binding { directory: "corp", external_id: "f81d4fae", must_change: false };
const EXPIRES: u64 = 1_800_000_000_000;

#[test]
fn a_sealed_password_opens_for_its_user_and_keeps_its_header() {
    let key = SecretKey::generate();
    for password in ["x", "Grüße 🦀", &"p".repeat(254), &"p".repeat(255), &"p".repeat(MAX_PASSWORD_BYTES)] {
        let sealed = seal(password, &key.public(), &ANNA, EXPIRES).unwrap();
        assert!(sealed.len() <= MAX_SEALED_BYTES);
        let header = Header::read(&sealed).unwrap();
        assert_eq!((header.key, header.expires_at_ms), (key.public().id(), EXPIRES));
        assert_eq!(open(&sealed, &key, &ANNA).unwrap().as_str(), password);
    }
    let again = |password| seal(password, &key.public(), &ANNA, EXPIRES).unwrap();
    assert_ne!(Header::read(&again("a")).unwrap().id, Header::read(&again("a")).unwrap().id);
    assert_eq!(again("a").len(), again("a longer one").len(), "the length does not show");
    for wrong in ["", &"p".repeat(MAX_PASSWORD_BYTES + 1)] {
        assert_eq!(seal(wrong, &key.public(), &ANNA, EXPIRES), Err(Error::Password));
    }
}

#[test]
fn what_is_for_another_or_was_changed_is_refused() {
    let key = SecretKey::generate();
    let sealed = seal("secret", &key.public(), &ANNA, EXPIRES).unwrap();
    for (what, binding) in [
        ("directory", Binding { directory: "other", ..ANNA }),
        ("user", Binding { external_id: "f81d4faf", ..ANNA }),
        ("must change", Binding { must_change: true, ..ANNA }),
        ("moved boundary", Binding { directory: "corpf", external_id: "81d4fae", must_change: false }),
    ] {
        assert_eq!(open(&sealed, &key, &binding).unwrap_err(), Error::NotOpened, "{what}");
    }
    assert_eq!(open(&sealed, &SecretKey::generate(), &ANNA).unwrap_err(), Error::OtherKey);
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        let expected = match place {
            0 => Error::Version(0),
            1..ENCAPSULATED => Error::OtherKey,
            _ => Error::NotOpened,
        };
        assert_eq!(open(&changed, &key, &ANNA).unwrap_err(), expected, "byte {place}");
    }
    for length in 0..sealed.len() {
        assert_eq!(open(&sealed[..length], &key, &ANNA).unwrap_err(), Error::Length, "{length} bytes");
    }
    let longer = [sealed.clone(), vec![0; 4 * BLOCK]].concat();
    assert_eq!(open(&longer, &key, &ANNA).unwrap_err(), Error::Length);
}

#[test]
fn keys_are_checked_and_their_text_shows_nothing_secret() {
    let key = SecretKey::generate();
    let public = key.public();
    assert_eq!(PublicKey::from_bytes(&public.to_bytes()).unwrap(), public);
    assert_eq!(public.id().to_string().parse::<KeyId>().unwrap(), public.id());
    assert_eq!(SecretKey::from_bytes(&key.to_bytes()).unwrap().public(), public);
    assert_eq!(format!("{key:?}"), format!("SecretKey({})", public.id()));
    let mut off_the_curve = public.to_bytes();
    off_the_curve[64] ^= 1;
    for wrong in [&b""[..], &[0; 65], &off_the_curve, &public.to_bytes()[..64]] {
        assert_eq!(PublicKey::from_bytes(wrong), Err(Error::PublicKey));
    }
    for wrong in [&b""[..], &[0; 32], &[0xff; 32], &[1; 31]] {
        assert_eq!(SecretKey::from_bytes(wrong).unwrap_err(), Error::SecretKey);
    }
    assert!("é".repeat(32).parse::<KeyId>().is_err());
}
