//! Passwords on their way from a client to an agent: sealed to the agent's key by HPKE (RFC 9180), and bound to one user
//! of one directory, to a time and to a random id. `docs/protocol.md` describes the format for other programs.

mod binding;
mod keys;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

pub use self::binding::Binding;
pub use self::keys::{KeyId, PublicKey, SecretKey};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The longest password, in bytes of UTF-8.
pub const MAX_PASSWORD_BYTES: usize = 1022;
/// The largest sealed password.
pub const MAX_SEALED_BYTES: usize = CIPHERTEXT + MAX_PASSWORD_BYTES + 2 + TAG;

const INFO: &[u8] = b"postern password v1";
/// Bytes of an encapsulated key, and of a public key: a point, uncompressed (SEC 1, 2.3.3).
const POINT: usize = 65;
/// Where the encapsulated key, the random id, the expiry and the ciphertext begin.
const ENCAPSULATED: usize = 1 + 32;
const ID: usize = ENCAPSULATED + POINT;
const EXPIRY: usize = ID + 16;
const CIPHERTEXT: usize = EXPIRY + 8;
const TAG: usize = 16;
/// Passwords are filled up to a multiple of this, so that their length does not show.
const BLOCK: usize = 256;

type P256 = DhP256HkdfSha256;

/// What is wrong with a sealed password, or with what should be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is shorter or longer than any, or of a length that none has.
    #[error("the sealed password has a wrong length")]
    Length,
    /// It has another version.
    #[error("the sealed password has format version {0}, and this program knows version {VERSION} only")]
    Version(u8),
    /// It is sealed to another key.
    #[error("the password is sealed to another key")]
    OtherKey,
    /// It was changed, or is for another user or directory.
    #[error("the sealed password is damaged, or is for another user or directory")]
    NotOpened,
    /// The public key is no point of the curve.
    #[error("the public key is not a valid P-256 key")]
    PublicKey,
    /// The private key is not valid.
    #[error("the private key is not a valid P-256 key")]
    SecretKey,
    /// The password is empty or too long.
    #[error("a password has 1 to {MAX_PASSWORD_BYTES} bytes")]
    Password,
    /// The names that it is bound to are too long.
    #[error("the name of the directory or the external id of the user is too long")]
    Binding,
}

/// What can be read of a sealed password without a key. It is proven only when the password is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The key that it is sealed to.
    pub key: KeyId,
    /// Its random id. An agent opens each id once.
    pub id: [u8; 16],
    /// When it expires, milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
}

impl Header {
    /// Reads the part that is not secret.
    pub fn read(sealed: &[u8]) -> Result<Self, Error> {
        let version = *sealed.first().ok_or(Error::Length)?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let filled = sealed.len().checked_sub(CIPHERTEXT + TAG).ok_or(Error::Length)?;
        if filled == 0 || !filled.is_multiple_of(BLOCK) || sealed.len() > MAX_SEALED_BYTES {
            return Err(Error::Length);
        }
        Ok(Self {
            key: KeyId(part(sealed, 1)?),
            id: part(sealed, ID)?,
            expires_at_ms: u64::from_be_bytes(part(sealed, EXPIRY)?),
        })
    }
}

fn part<const N: usize>(sealed: &[u8], from: usize) -> Result<[u8; N], Error> {
    sealed.get(from..).and_then(|rest| rest.first_chunk().copied()).ok_or(Error::Length)
}

/// Seals a password to the key of an agent, with a new random id.
pub fn seal(password: &str, to: &PublicKey, binding: &Binding<'_>, expires_at_ms: u64) -> Result<Vec<u8>, Error> {
    let header = Header { key: to.id(), id: rand::random(), expires_at_ms };
    let text = filled(password)?;
    let aad = binding.aad(&header)?;
    let sealed = hpke::single_shot_seal::<AesGcm256, HkdfSha256, P256>(&OpModeS::Base, &to.0, INFO, &text, &aad);
    let (encapsulated, ciphertext) = sealed.map_err(|_| Error::PublicKey)?;
    let mut bytes = Vec::with_capacity(CIPHERTEXT + ciphertext.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&header.key.0);
    bytes.extend_from_slice(&encapsulated.to_bytes());
    bytes.extend_from_slice(&header.id);
    bytes.extend_from_slice(&header.expires_at_ms.to_be_bytes());
    bytes.extend_from_slice(&ciphertext);
    Ok(bytes)
}

/// Opens a sealed password. The expiry and the id are proven now; the caller looks at the clock and at the ids that it
/// has opened before.
pub fn open(sealed: &[u8], key: &SecretKey, binding: &Binding<'_>) -> Result<Zeroizing<String>, Error> {
    let header = Header::read(sealed)?;
    if header.key != key.public().id() {
        return Err(Error::OtherKey);
    }
    let aad = binding.aad(&header)?;
    let point: [u8; POINT] = part(sealed, ENCAPSULATED)?;
    let encapsulated = <P256 as Kem>::EncappedKey::from_bytes(&point).map_err(|_| Error::NotOpened)?;
    let ciphertext = sealed.get(CIPHERTEXT..).ok_or(Error::Length)?;
    let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, P256>(
        &OpModeR::Base,
        &key.0,
        &encapsulated,
        INFO,
        ciphertext,
        &aad,
    );
    let text = Zeroizing::new(opened.map_err(|_| Error::NotOpened)?);
    let (length, rest) = text.split_first_chunk().ok_or(Error::NotOpened)?;
    let password = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(Error::NotOpened)?;
    let password = str::from_utf8(password).map_err(|_| Error::NotOpened)?;
    if password.is_empty() {
        return Err(Error::Password);
    }
    Ok(Zeroizing::new(password.to_owned()))
}

/// The length in two bytes, the password, and zeros.
fn filled(password: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(Error::Password);
    }
    let length = u16::try_from(password.len()).map_err(|_| Error::Password)?;
    let mut text = Zeroizing::new(vec![0; (password.len() + 2).next_multiple_of(BLOCK)]);
    for (place, byte) in text.iter_mut().zip(length.to_be_bytes().into_iter().chain(password.bytes())) {
        *place = byte;
    }
    Ok(text)
}
