//! Who makes a call: found out for every call, whatever it asks, before anything of it is read.
//!
//! - [`gate`]: the layer in front of all calls;
//! - [`users`]: who may come in;
//! - [`hash`]: how passwords and tokens are kept;
//! - [`checks`]: checking passwords, in bounds;
//! - here: from the headers of a call and the certificate of its connection to a caller.
//!
//! A name and a password, or a token, come in the header `authorization` of every call, or of a
//! handshake, which gives a bearer token for it: signed, so that nothing is kept here, good for a
//! time, and only as long as the user has what it was got with.

pub mod checks;
pub mod gate;
pub mod hash;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use prost::Message;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::ports::Clock;
use skep_query::{Caller, Role, Scope};
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::header::AUTHORIZATION;

use crate::connection::Peer;
use crate::seal::{Key, Purpose};
use crate::seldom::Seldom;
use checks::Checks;
use hash::TokenHash;
use users::{Proof, User, Users};

/// The principal of those whom nobody asks who they are.
const ANONYMOUS: &str = "anonymous";
/// Clients write it with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a handshake gives, sealed.
#[derive(Clone, PartialEq, Message)]
struct Bearer {
    /// For whom it was made.
    #[prost(string, tag = "1")]
    principal: String,
    /// See [`User::stamp`].
    #[prost(bytes = "vec", tag = "2")]
    stamp: Vec<u8>,
    /// Microseconds since 1970.
    #[prost(int64, tag = "3")]
    expires_at: i64,
}

/// What a call says of who makes it.
enum Said {
    Nothing,
    Password {
        name: String,
        password: String,
    },
    Token(String),
    /// Nobody could understand it.
    Nonsense,
}

/// Finds out who makes a call.
pub struct Auth {
    users: ArcSwap<Users>,
    /// Whether everybody is let in: not when the last user is removed later.
    is_open: AtomicBool,
    key: Key,
    clock: Arc<dyn Clock>,
    bearer_lifetime_ms: u64,
    checks: Checks,
    refusals: Seldom,
}

/// Somebody whose call is let in.
pub struct Admitted {
    /// Who.
    pub caller: Caller,
    /// The bearer token that a handshake gives.
    pub bearer: Option<String>,
}

impl Auth {
    /// Among these users; everybody is let in when there are none.
    ///
    /// Errors: `INTERNAL` when the machine gives no randomness.
    pub fn new(
        users: Vec<User>,
        bearer_lifetime_ms: u64,
        key: Key,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let is_open = AtomicBool::new(users.is_empty());
        let users = ArcSwap::from_pointee(Users::new(users));
        let (checks, refusals) = (Checks::new()?, Seldom::default());
        Ok(Self { users, is_open, key, clock, bearer_lifetime_ms, checks, refusals })
    }

    /// From now on these users: with none nobody comes in, if there were some before.
    pub fn set_users(&self, users: Vec<User>) {
        if !users.is_empty() {
            self.is_open.store(false, Ordering::Release);
        }
        self.users.store(Arc::new(Users::new(users)));
    }

    /// Who makes a call with these headers on this connection. Cancel safe.
    ///
    /// Errors: `UNAUTHENTICATED`, which does not tell what was wrong, and `LOGIN_BUSY`.
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        is_handshake: bool,
    ) -> Result<Admitted, Fault> {
        let users = self.users.load_full();
        let client = peer.address.to_string();
        if self.is_open.load(Ordering::Acquire) {
            // Clients that send a name and a password fail without a token for later calls.
            let bearer = (is_handshake && headers.contains_key(AUTHORIZATION)).then(|| ANONYMOUS.to_owned());
            let caller = Caller {
                principal: ANONYMOUS.into(),
                client: client.into(),
                role: Role::Admin,
                scope: Scope::everything(),
            };
            return Ok(Admitted { caller, bearer });
        }
        let said = said(headers);
        let found = self.find(&users, &said, peer).await?;
        let Some((user, proof)) = found else {
            if let Some(untold) = self.refusals.tell() {
                // Only a name that is in the config: another one may be a mistyped password.
                let name = match &said {
                    Said::Password { name, .. } => users.named(name).map(|user| user.name.as_str()),
                    _ => None,
                };
                tracing::warn!(%client, user = name.unwrap_or("unknown"), untold, "call refused: not authenticated");
            }
            return Err(refused(&said, peer));
        };
        let bearer = proof.filter(|_| is_handshake).and_then(|proof| self.bearer(&user, &proof));
        let caller = Caller {
            principal: user.name.as_str().into(),
            client: client.into(),
            role: user.role,
            scope: Arc::clone(&user.scope),
        };
        Ok(Admitted { caller, bearer })
    }

    /// The user, and with what it showed to be it: nothing new is got for a bearer token.
    async fn find(
        &self,
        users: &Users,
        said: &Said,
        peer: &Peer,
    ) -> Result<Option<(Arc<User>, Option<Proof>)>, Fault> {
        let by_token = |token: &str| {
            let token = TokenHash::new(token);
            users.with_token(token).map(|user| (Arc::clone(user), Some(Proof::Token(token))))
        };
        Ok(match said {
            Said::Nonsense => None,
            Said::Nothing => {
                let found = users.with_certificate(&peer.certificate_names);
                found.map(|(user, name)| (Arc::clone(user), Some(Proof::Certificate(name.clone()))))
            }
            Said::Token(token) => {
                by_token(token).or_else(|| self.of_bearer(users, token).map(|user| (user, None)))
            }
            Said::Password { name, password } => {
                // Tools that know no tokens send them as passwords.
                if let Some(found) = by_token(password).filter(|(user, _)| user.name == *name) {
                    return Ok(Some(found));
                }
                let user = users.named(name);
                let hash = user.and_then(|user| user.password.as_ref());
                let is_right = self.checks.is_right(name, password, hash, peer.address.ip()).await?;
                user.filter(|_| is_right).map(|user| (Arc::clone(user), Some(Proof::Password)))
            }
        })
    }

    fn bearer(&self, user: &User, proof: &Proof) -> Option<String> {
        let lifetime = i64::try_from(self.bearer_lifetime_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let bearer = Bearer {
            principal: user.name.clone(),
            stamp: user.stamp(proof)?,
            expires_at: self.clock.now_micros().saturating_add(lifetime),
        };
        Some(BASE64_URL_SAFE_NO_PAD.encode(self.key.seal(Purpose::Bearer, &bearer)))
    }

    fn of_bearer(&self, users: &Users, text: &str) -> Option<Arc<User>> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let bearer: Bearer = self.key.open(Purpose::Bearer, &sealed).ok()?;
        let user = users.named(&bearer.principal)?;
        let is_good = self.clock.now_micros() < bearer.expires_at && user.has_stamp(&bearer.stamp);
        is_good.then(|| Arc::clone(user))
    }
}

/// Reads the header `authorization`.
fn said(headers: &HeaderMap) -> Said {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Said::Nothing };
    // Of two nobody knows which one is meant.
    let Some(text) = value.to_str().ok().filter(|_| values.next().is_none()) else { return Said::Nonsense };
    let Some((scheme, rest)) = text.trim().split_once(' ') else { return Said::Nonsense };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Said::Token(rest.to_owned());
    }
    let decoded = match scheme.eq_ignore_ascii_case("basic") {
        true => BASE64.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
        false => None,
    };
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((name, password)) => Said::Password { name: name.to_owned(), password: password.to_owned() },
        None => Said::Nonsense,
    }
}

fn refused(said: &Said, peer: &Peer) -> Fault {
    let why = match said {
        Said::Nothing if peer.certificate_names.is_empty() => "it does not say who makes it",
        _ => "its name and password, token or certificate are not known here, or not any more",
    };
    Fault::new(Code::UNAUTHENTICATED, "call refused", why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::AtomicI64;

    use tonic::codegen::http::HeaderValue;

    use super::hash::PasswordHash;
    use super::users::tests::user;
    use super::*;

    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now_micros(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    struct Fixture {
        auth: Auth,
        clock: Arc<Hands>,
    }

    fn ann() -> User {
        User {
            password: Some(PasswordHash::quick("pferd")),
            tokens: vec![TokenHash::new("a-token")],
            certificate_names: vec!["ann.example".into()],
            role: Role::Operator,
            ..user("ann")
        }
    }

    fn fixture(users: Vec<User>) -> Fixture {
        let clock = Arc::new(Hands(AtomicI64::new(1_000_000)));
        let auth = Auth::new(users, 1_000, Key::random().unwrap(), Arc::clone(&clock) as _).unwrap();
        Fixture { auth, clock }
    }

    fn peer(names: &[&str]) -> Peer {
        Peer {
            address: "10.0.0.1:4711".parse().unwrap(),
            certificate_names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn headers(values: &[String]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn basic(name: &str, password: &str) -> String {
        format!("Basic {}", BASE64.encode(format!("{name}:{password}")))
    }

    impl Fixture {
        async fn admit(&self, value: &str, names: &[&str]) -> Result<Admitted, Fault> {
            self.auth.admit(&headers(&[value.to_owned()]), &peer(names), true).await
        }
        async fn is_in(&self, value: &str) -> bool {
            match self.admit(value, &[]).await {
                Ok(_) => true,
                Err(fault) => {
                    assert_eq!(fault.code, Code::UNAUTHENTICATED);
                    assert!(fault.why.contains("not known here"), "{fault}");
                    false
                }
            }
        }
    }

    #[tokio::test]
    async fn everything_that_a_user_has_lets_it_in_and_nothing_else_does() {
        let f = fixture(vec![ann(), user("bob")]);
        let bearer = f.admit(&basic("ann", "pferd"), &[]).await.unwrap().bearer.unwrap();
        for value in [
            basic("ann", "pferd"),
            basic("ann", "pferd").replace("Basic", "bAsIc").trim_end_matches('=').to_owned(),
            basic("ann", "a-token"),
            "Bearer a-token".to_owned(),
            format!("bearer  {bearer}"),
        ] {
            let admitted = f.admit(&value, &[]).await.unwrap();
            assert_eq!(admitted.caller.principal.as_ref(), "ann", "{value}");
            assert_eq!(admitted.caller.client.as_ref(), "10.0.0.1:4711");
            assert_eq!(admitted.caller.role, Role::Operator);
        }
        let by_certificate =
            f.auth.admit(&HeaderMap::new(), &peer(&["x", "ann.example"]), true).await.unwrap();
        assert_eq!(by_certificate.caller.principal.as_ref(), "ann");
        for value in [
            basic("ann", "Pferd"),
            basic("ann", ""),
            basic("bob", "pferd"),
            basic("bob", "a-token"),
            basic("bob", ""),
            basic("eve", "pferd"),
            "Bearer b-token".to_owned(),
            "Bearer ".to_owned(),
            "Bearer anonymous".to_owned(),
            format!("Bearer {}", TokenHash::new("a-token")),
            format!("Bearer {}", PasswordHash::quick("pferd")),
            format!("Bearer {bearer}A"),
            format!("Basic {bearer}"),
            "Basic %%%".to_owned(),
            format!("Basic {}", BASE64.encode("no colon")),
            format!("Basic {}", BASE64.encode([0xff, b':', 0xfe])),
            "Negotiate abc".to_owned(),
            "ann".to_owned(),
            String::new(),
        ] {
            assert!(!f.is_in(&value).await, "{value}");
        }
        // What the header says counts, not the certificate.
        assert!(f.admit(&basic("eve", "x"), &["ann.example"]).await.is_err());
        let two = headers(&[basic("ann", "pferd"), basic("ann", "pferd")]);
        assert!(f.auth.admit(&two, &peer(&[]), false).await.is_err());
        let nothing = f.auth.admit(&HeaderMap::new(), &peer(&[]), false).await.err().unwrap();
        assert_eq!(nothing.code, Code::UNAUTHENTICATED);
        assert!(nothing.why.contains("does not say"), "{nothing}");
    }

    #[tokio::test]
    async fn a_bearer_token_ends_with_its_time_and_with_what_it_was_got_with() {
        let f = fixture(vec![ann()]);
        let got =
            async |value: &str| format!("Bearer {}", f.admit(value, &[]).await.unwrap().bearer.unwrap());
        let (by_password, by_token) = (got(&basic("ann", "pferd")).await, got("Bearer a-token").await);
        assert!(f.is_in(&by_password).await && f.is_in(&by_token).await);
        // It is not prolonged by itself.
        assert!(f.admit(&by_password, &[]).await.unwrap().bearer.is_none());
        f.auth.set_users(vec![User { password: Some(PasswordHash::quick("kuh")), ..ann() }]);
        assert!(!f.is_in(&by_password).await && f.is_in(&by_token).await);
        f.auth.set_users(vec![User { tokens: Vec::new(), ..ann() }]);
        assert!(f.is_in(&by_password).await && !f.is_in(&by_token).await);
        f.auth.set_users(vec![user("bob")]);
        assert!(!f.is_in(&by_password).await);
        f.auth.set_users(vec![ann()]);
        assert!(f.is_in(&by_password).await);
        f.clock.0.fetch_add(1_000_000, Ordering::Relaxed);
        assert!(!f.is_in(&by_password).await && !f.is_in(&by_token).await);
        assert!(f.is_in(&basic("ann", "pferd")).await);
        // One that another service signed.
        let other = fixture(vec![ann()]);
        let foreign = other.admit("Bearer a-token", &[]).await.unwrap().bearer.unwrap();
        assert!(!f.is_in(&format!("Bearer {foreign}")).await);
    }

    #[tokio::test]
    async fn without_users_everybody_is_let_in_as_nobody() {
        let f = fixture(Vec::new());
        for value in [basic("ann", "x"), "Bearer x".to_owned(), "x".to_owned()] {
            let admitted = f.admit(&value, &["ann.example"]).await.unwrap();
            assert_eq!(admitted.caller.principal.as_ref(), ANONYMOUS);
            assert!(admitted.bearer.is_some());
        }
        assert!(f.auth.admit(&HeaderMap::new(), &peer(&[]), true).await.unwrap().bearer.is_none());
        // From the first user on everybody is asked, also when the last is removed.
        for users in [vec![ann()], Vec::new()] {
            f.auth.set_users(users);
            assert!(f.auth.admit(&HeaderMap::new(), &peer(&[]), true).await.is_err());
        }
    }
}
