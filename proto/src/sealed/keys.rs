//! The keys that passwords are sealed to. The private one never leaves its agent.

use std::fmt;
use std::str::FromStr;

use hpke::kem::DhP256HkdfSha256 as P256;
use hpke::{Deserializable as _, Kem, Serializable as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Error;

/// What identifies a key: the SHA-256 digest of its public half. As text, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(super) [u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Length);
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * place..2 * place + 2).ok_or(Error::Length)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| Error::Length)?;
        }
        Ok(Self(bytes))
    }
}

/// The key that anybody may seal to: a point of P-256, uncompressed (SEC 1, 2.3.3), 65 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(pub(super) <P256 as Kem>::PublicKey);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl PublicKey {
    /// Reads a key, and refuses what is no point of the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        <P256 as Kem>::PublicKey::from_bytes(bytes).map(Self).map_err(|_| Error::PublicKey)
    }

    /// The 65 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    /// What identifies it.
    pub fn id(&self) -> KeyId {
        KeyId(Sha256::digest(self.to_bytes()).into())
    }
}

/// The key that opens.
#[derive(Clone)]
pub struct SecretKey(pub(super) <P256 as Kem>::PrivateKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}

impl SecretKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        Self(P256::gen_keypair().0)
    }

    /// Reads a key that was stored: 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        <P256 as Kem>::PrivateKey::from_bytes(bytes).map(Self).map_err(|_| Error::SecretKey)
    }

    /// The 32 bytes, for the agent's own file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_bytes().to_vec())
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(P256::sk_to_pk(&self.0))
    }
}
