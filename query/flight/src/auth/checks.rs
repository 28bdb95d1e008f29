//! Checking passwords, which is slow on purpose, without letting a flood of wrong ones take the
//! processor or the memory.
//!
//! Few are checked at once, few more wait, and of one address only a part of these. A password that
//! was right is remembered (as a keyed hash) with the hash that it was checked against, and so are
//! the last that were wrong, so that clients that send it on every call cost nothing.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use ring::hmac;
use skep_catalog::fault::{Code, Fault};
use tokio::sync::Semaphore;

use super::hash::PasswordHash;
use crate::limits::{CHECKS_PER_ADDRESS_MAX, CHECKS_WAITING_MAX, WRONG_PASSWORDS_KEPT_MAX};
use crate::seal::random_bytes;

type Digest = [u8; 32];

/// See the head of this file.
pub struct Checks {
    key: hmac::Key,
    places: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The last that was right, by name of the user.
    right: HashMap<String, Digest>,
    /// The oldest first.
    wrong: VecDeque<Digest>,
    under_way: HashMap<IpAddr, usize>,
    waiting: usize,
}

impl Checks {
    /// Nothing is remembered.
    ///
    /// Errors: `INTERNAL` when the machine gives no randomness.
    pub fn new() -> Result<Self, Fault> {
        let key = random_bytes::<32>(&ring::rand::SystemRandom::new())?;
        let half = std::thread::available_parallelism().map_or(1, |count| usize::from(count) / 2);
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            places: Arc::new(Semaphore::new(half.max(1))),
            state: Arc::default(),
        })
    }

    /// Whether `hash` is of the password; `None`, there is no user of that name, takes as long as
    /// no. Cancel safety: a check that has begun ends.
    ///
    /// Errors: `LOGIN_BUSY`.
    pub async fn is_right(
        &self,
        name: &str,
        password: &str,
        hash: Option<&PasswordHash>,
        client: IpAddr,
    ) -> Result<bool, Fault> {
        let digest = self.digest(name, password, hash);
        if let Some(known) = self.state.lock().known(name, &digest) {
            return Ok(known);
        }
        let waiting = Waiting::begin(&self.state, client)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Fault::internal("checking a password", "no place for it"))?;
        // Another call may have found it out meanwhile.
        if let Some(known) = self.state.lock().known(name, &digest) {
            return Ok(known);
        }
        let (is_known, hash) = match hash {
            Some(hash) => (true, hash.clone()),
            None => (false, PasswordHash::of_nobody()),
        };
        let password = password.to_owned();
        let checking = tokio::task::spawn_blocking(move || {
            let _held = (place, waiting);
            hash.is_of(&password)
        });
        let is_right =
            checking.await.map_err(|error| Fault::internal("checking a password", error.to_string()))?;
        let is_right = is_right && is_known;
        self.state.lock().remember(name, digest, is_right);
        Ok(is_right)
    }

    /// Of everything that the answer depends on, so that it is never given to another question.
    fn digest(&self, name: &str, password: &str, hash: Option<&PasswordHash>) -> Digest {
        let hash = hash.map(ToString::to_string).unwrap_or_default();
        let mut text = Vec::new();
        for part in [name, password, &hash] {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(hmac::sign(&self.key, &text).as_ref());
        digest
    }
}

impl State {
    fn known(&self, name: &str, digest: &Digest) -> Option<bool> {
        match self.right.get(name) == Some(digest) {
            true => Some(true),
            false => self.wrong.contains(digest).then_some(false),
        }
    }

    fn remember(&mut self, name: &str, digest: Digest, is_right: bool) {
        if is_right {
            // As many as there are users.
            self.right.insert(name.to_owned(), digest);
            return;
        }
        if self.wrong.len() == WRONG_PASSWORDS_KEPT_MAX {
            self.wrong.pop_front();
        }
        self.wrong.push_back(digest);
    }
}

/// A check that waits or is under way.
struct Waiting {
    state: Arc<Mutex<State>>,
    client: IpAddr,
}

impl Waiting {
    fn begin(state: &Arc<Mutex<State>>, client: IpAddr) -> Result<Self, Fault> {
        let mut locked = state.lock();
        let of_client = locked.under_way.get(&client).copied().unwrap_or_default();
        if CHECKS_WAITING_MAX <= locked.waiting || CHECKS_PER_ADDRESS_MAX <= of_client {
            return Err(Fault::new(
                Code::LOGIN_BUSY,
                "call refused",
                "too many passwords are being checked, or too many from this address",
            ));
        }
        locked.waiting += 1;
        locked.under_way.insert(client, of_client + 1);
        Ok(Self { state: Arc::clone(state), client })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.waiting -= 1;
        if let Some(count) = state.under_way.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                state.under_way.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// Of `right`, with 10,000 iterations and a salt of sevens.
    fn hash() -> PasswordHash {
        PasswordHash::quick("right")
    }

    #[tokio::test]
    async fn an_answer_is_remembered_for_the_same_question_only() {
        let (checks, hash) = (Checks::new().unwrap(), hash());
        let ask = async |password: &str, hash: Option<&PasswordHash>| {
            checks.is_right("ann", password, hash, HOME).await.unwrap()
        };
        for _ in 0..2 {
            assert!(ask("right", Some(&hash)).await);
            assert!(!ask("wrong", Some(&hash)).await);
        }
        assert_eq!(checks.state.lock().right.len(), 1);
        assert_eq!(checks.state.lock().wrong.len(), 1);
        // Another hash of the user: what was right is not any more.
        assert!(!ask("right", Some(&PasswordHash::quick("other"))).await);
        assert!(!ask("right", None).await);
        assert!(checks.state.lock().under_way.is_empty());
        assert_eq!(checks.state.lock().waiting, 0);
    }

    #[tokio::test]
    async fn nobody_can_make_others_wait_without_end() {
        let checks = Checks::new().unwrap();
        // Nothing is checked as long as this is held.
        let held =
            Arc::clone(&checks.places).acquire_many_owned(checks.places.available_permits() as u32).await;
        let hash = hash();
        let mut waiting = Vec::new();
        for number in 0..CHECKS_PER_ADDRESS_MAX {
            let password = format!("wrong {number}");
            let (checks, hash) = (&checks, &hash);
            waiting.push(Box::pin(async move { checks.is_right("ann", &password, Some(hash), HOME).await }));
        }
        for check in &mut waiting {
            assert!(futures::poll!(check).is_pending());
        }
        let refused = checks.is_right("ann", "right", Some(&hash), HOME).await.unwrap_err();
        assert_eq!(refused.code, Code::LOGIN_BUSY);
        let elsewhere = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let mut other = Box::pin(checks.is_right("ann", "right", Some(&hash), elsewhere));
        assert!(futures::poll!(&mut other).is_pending());
        // Those that do not wait any more free their places.
        drop(waiting);
        drop(held);
        assert!(other.await.unwrap());
        assert!(checks.is_right("ann", "right", Some(&hash), HOME).await.unwrap());
        assert!(checks.state.lock().under_way.is_empty());
    }

    #[test]
    fn wrong_passwords_that_are_remembered_are_bounded() {
        let mut state = State::default();
        for number in 0..2 * WRONG_PASSWORDS_KEPT_MAX {
            let mut digest = Digest::default();
            digest[..8].copy_from_slice(&(number as u64).to_le_bytes());
            state.remember("ann", digest, false);
        }
        assert_eq!(state.wrong.len(), WRONG_PASSWORDS_KEPT_MAX);
        assert!(state.right.is_empty());
    }
}
