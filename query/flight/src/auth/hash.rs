//! How passwords and tokens are kept: never as themselves.
//!
//! People choose passwords, so these get a slow hash, PBKDF2 with HMAC-SHA-256 and a salt of their
//! own. Tokens are random and long: SHA-256 is enough, and costs nothing on every call.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, pbkdf2};
use skep_catalog::fault::Fault;

const PASSWORD_PREFIX: &str = "$pbkdf2-sha256$i=";
const TOKEN_PREFIX: &str = "sha256:";
/// What OWASP's password storage cheat sheet asks of PBKDF2 with HMAC-SHA-256.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).expect("it is not 0");
/// Fewer are as good as none; more make every check take minutes.
const ITERATIONS_ALLOWED: std::ops::RangeInclusive<u32> = 10_000..=20_000_000;
const SALT_BYTES: usize = 16;
const SALT_BYTES_MAX: usize = 64;
const HASH_BYTES: usize = digest::SHA256_OUTPUT_LEN;
const TOKEN_BYTES: usize = 32;

/// A password, hashed: `$pbkdf2-sha256$i=ITERATIONS$SALT$HASH`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: [u8; HASH_BYTES],
}

/// A token, hashed: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; HASH_BYTES]);

impl PasswordHash {
    /// Hashes a password. Takes some tenths of a second.
    ///
    /// Errors: `INTERNAL` when the machine gives no randomness.
    pub fn new(password: &str) -> Result<Self, Fault> {
        Ok(Self::made(password, random::<SALT_BYTES>()?.to_vec(), ITERATIONS))
    }

    /// A hash that no password is known for, which takes as long to check as others.
    pub fn of_nobody() -> Self {
        Self { iterations: ITERATIONS, salt: vec![0; SALT_BYTES], hash: [0; HASH_BYTES] }
    }

    /// As quick as is allowed.
    #[cfg(test)]
    pub fn quick(password: &str) -> Self {
        Self::made(password, vec![7; SALT_BYTES], NonZeroU32::new(10_000).expect("it is not 0"))
    }

    fn made(password: &str, salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        let mut hash = [0; HASH_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut hash);
        Self { iterations, salt, hash }
    }

    /// Whether it is of this password. Takes some tenths of a second.
    pub fn is_of(&self, password: &str) -> bool {
        let Self { iterations, salt, hash } = self;
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::verify(algorithm, *iterations, salt, password.as_bytes(), hash).is_ok()
    }
}

impl TokenHash {
    /// Hashes a token.
    pub fn new(token: &str) -> Self {
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }
}

/// A token that nobody can guess.
///
/// Errors: `INTERNAL` when the machine gives no randomness.
pub fn random_token() -> Result<String, Fault> {
    Ok(format!("skep_{}", BASE64_URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?)))
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Fault::internal("making a secret", "the machine gives no randomness"))?;
    Ok(bytes)
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
        write!(f, "{PASSWORD_PREFIX}{}${}${}", self.iterations, encoded(&self.salt), encoded(&self.hash))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TOKEN_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes are for checking, not for reading.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

impl FromStr for PasswordHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text
            .strip_prefix(PASSWORD_PREFIX)
            .ok_or("it is no hash of a password: skep hash-password makes one")?;
        let damaged = "it is a damaged hash of a password";
        let mut parts = rest.split('$');
        let (Some(iterations), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(damaged);
        };
        let iterations: NonZeroU32 = iterations.parse().map_err(|_| damaged)?;
        if !ITERATIONS_ALLOWED.contains(&iterations.get()) {
            return Err("its iterations are fewer than 10,000 or more than 20,000,000");
        }
        let decoded = |text: &str| BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| damaged);
        let (salt, hash) = (decoded(salt)?, decoded(hash)?);
        if !(8..=SALT_BYTES_MAX).contains(&salt.len()) {
            return Err("its salt is shorter than 8 bytes or longer than 64");
        }
        Ok(Self { iterations, salt, hash: hash.try_into().map_err(|_| damaged)? })
    }
}

impl FromStr for TokenHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let damaged = "it is no hash of a token: skep token makes one, sha256: and 64 hexadecimal digits";
        let digits = text.strip_prefix(TOKEN_PREFIX).ok_or(damaged)?.as_bytes();
        if digits.len() != 2 * HASH_BYTES {
            return Err(damaged);
        }
        let mut hash = [0; HASH_BYTES];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(damaged);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).map_err(|_| damaged)?;
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_no_other_is() {
        let hash = PasswordHash::quick("korrekt-pferd");
        let text = hash.to_string();
        assert!(!text.contains("korrekt") && !format!("{hash:?}").contains("pbkdf2"), "{text}");
        let read: PasswordHash = text.parse().unwrap();
        assert_eq!(read, hash);
        assert!(read.is_of("korrekt-pferd"));
        for wrong in ["", "korrekt-pferd ", "Korrekt-pferd", "korrekt-pfer"] {
            assert!(!read.is_of(wrong), "{wrong}");
        }
    }

    /// RFC 7914, section 11: PBKDF2-HMAC-SHA-256 of `passwd` with salt `salt`, 1 iteration.
    #[test]
    fn hashes_are_those_of_the_standard() {
        let hash = PasswordHash::made("passwd", b"salt".to_vec(), NonZeroU32::MIN).hash;
        assert_eq!(hash[..8], [0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f]);
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::new("abc").to_string(), abc);
        assert!(abc.parse::<TokenHash>().unwrap() == TokenHash::new("abc"));
    }

    #[test]
    fn what_is_no_hash_is_told() {
        let good = PasswordHash::quick("x").to_string();
        for bad in [
            "",
            "secret",
            "$pbkdf2-sha256$i=600000",
            "$pbkdf2-sha256$i=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
            &good.replace("i=10000", "i=9999"),
            &good.replace("i=10000", "i=0"),
            &good.replace("i=10000", "i=99999999"),
            &good[..good.len() - 4],
            &format!("{good}$"),
            &good.replace("BwcHBwcHBwcHBwcHBwcHBw", "Bwc"),
        ] {
            assert!(bad.parse::<PasswordHash>().is_err(), "{bad}");
        }
        for bad in [
            "",
            "sha256:",
            "sha256:ab",
            &format!("sha256:{}", "g".repeat(64)),
            &"a".repeat(64),
            &format!("sha256:{}", "ü".repeat(32)),
        ] {
            assert!(bad.parse::<TokenHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (a, b) = (random_token().unwrap(), random_token().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), "skep_".len() + 43);
    }
}
