//! Signing what clients carry for us: handles, tickets, sessions. Nothing of it is kept here, so
//! nothing of it can be too much; what was not made with the key is refused.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use prost::Message;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use skep_catalog::fault::{Code, Fault};

use crate::asker::Asker;
use crate::ticket::Owned;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;

/// What a signature is for: one is never good for another.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// A prepared statement.
    Handle = 1,
    /// The rows of one execution.
    Ticket = 2,
    /// The options of a session.
    Session = 3,
    /// That somebody logged in.
    Bearer = 4,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Handle => "prepared statement",
            Self::Ticket => "ticket",
            Self::Session => "session",
            Self::Bearer => "bearer token",
        }
    }
}

/// The secret behind all signatures.
#[derive(Clone)]
pub struct Key {
    key: hmac::Key,
    random: SystemRandom,
}

impl Key {
    /// The key in a file, made when there is none: handles then outlive the process.
    ///
    /// Errors: `STORE_IO`.
    pub fn in_file(path: &Path) -> Result<Self, Fault> {
        let failed = |why: String| {
            Fault::new(Code::STORE_IO, format!("key for tickets in {}", path.display()), why).with_fix(
                "Check the volume of data_dir; a damaged key file can be removed, a new one is made.",
            )
        };
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => {
                file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
                if bytes.len() != KEY_BYTES {
                    return Err(failed(format!("it is not {KEY_BYTES} bytes long")));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bytes = random_bytes::<KEY_BYTES>(&SystemRandom::new())?.to_vec();
                // Named once it is whole, so that a crash leaves no half of it.
                let new = path.with_extension("new");
                OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&new)
                    .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
                    .and_then(|()| std::fs::rename(&new, path))
                    .map_err(|e| failed(e.to_string()))?;
            }
            Err(error) => return Err(failed(error.to_string())),
        }
        Ok(Self::of(&bytes))
    }

    /// A key that nobody else has.
    ///
    /// Errors: `INTERNAL` when the machine gives no randomness.
    pub fn random() -> Result<Self, Fault> {
        Ok(Self::of(&random_bytes::<KEY_BYTES>(&SystemRandom::new())?))
    }

    fn of(bytes: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, bytes), random: SystemRandom::new() }
    }

    /// A number that nobody can guess.
    ///
    /// Errors: `INTERNAL` when the machine gives no randomness.
    pub fn number(&self) -> Result<u64, Fault> {
        random_bytes(&self.random).map(u64::from_le_bytes)
    }

    /// A message and its signature.
    pub fn seal(&self, purpose: Purpose, message: &impl Message) -> Vec<u8> {
        let mut sealed = vec![0; TAG_BYTES];
        // Writing to a vector cannot fail.
        let _ = message.encode(&mut sealed);
        let tag = hmac::sign(&self.key, &signed(purpose, &sealed[TAG_BYTES..]));
        sealed[..TAG_BYTES].copy_from_slice(tag.as_ref());
        sealed
    }

    /// The message that was sealed for this purpose and for who asks.
    ///
    /// Errors: `TICKET_INVALID`.
    pub fn open_for<M: Message + Default + Owned>(
        &self,
        asker: &Asker,
        purpose: Purpose,
        sealed: &[u8],
    ) -> Result<M, Fault> {
        let message: M = self.open(purpose, sealed)?;
        asker.check_owner(purpose.word(), message.principal())?;
        Ok(message)
    }

    /// The message that was sealed for this purpose, whoever it was made for.
    ///
    /// Errors: `TICKET_INVALID`.
    pub fn open<M: Message + Default>(&self, purpose: Purpose, sealed: &[u8]) -> Result<M, Fault> {
        let what = purpose.word();
        let unknown = || Fault::new(Code::TICKET_INVALID, what, "it was not made by this service");
        let (tag, message) = sealed.split_at_checked(TAG_BYTES).ok_or_else(unknown)?;
        hmac::verify(&self.key, &signed(purpose, message), tag).map_err(|_| unknown())?;
        M::decode(message).map_err(|_| unknown())
    }
}

fn signed(purpose: Purpose, message: &[u8]) -> Vec<u8> {
    [&[purpose as u8][..], message].concat()
}

/// Bytes that nobody can guess.
///
/// Errors: `INTERNAL` when the machine gives no randomness.
pub fn random_bytes<const N: usize>(random: &SystemRandom) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    random
        .fill(&mut bytes)
        .map_err(|_| Fault::internal("making a secret", "the machine gives no randomness"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ticket::Handle;

    #[test]
    fn what_was_changed_or_made_for_something_else_is_refused() {
        let key = Key::random().unwrap();
        let handle = Handle { sql: "SELECT 1".to_owned(), ..Handle::default() };
        let sealed = key.seal(Purpose::Handle, &handle);
        assert_eq!(key.open::<Handle>(Purpose::Handle, &sealed).unwrap(), handle);
        let refused = |key: &Key, purpose, sealed: &[u8]| {
            key.open::<Handle>(purpose, sealed).unwrap_err().code == Code::TICKET_INVALID
        };
        assert!(refused(&key, Purpose::Ticket, &sealed));
        assert!(refused(&Key::random().unwrap(), Purpose::Handle, &sealed));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(refused(&key, Purpose::Handle, &changed), "byte {index}");
            assert!(refused(&key, Purpose::Handle, &sealed[..index]), "{index} bytes");
        }
    }

    #[test]
    fn key_in_a_file_stays_the_same_and_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let sealed = Key::in_file(&path).unwrap().seal(Purpose::Handle, &Handle::default());
        Key::in_file(&path).unwrap().open::<Handle>(Purpose::Handle, &sealed).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert_eq!(Key::in_file(&path).err().unwrap().code, Code::STORE_IO);
    }
}
