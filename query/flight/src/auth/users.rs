//! Who may come in: the users of the config.

use std::collections::HashMap;
use std::sync::Arc;

use ring::digest;
use skep_query::{Role, Scope};

use super::hash::{PasswordHash, TokenHash};

/// One user. Without password, tokens and names of certificates nobody can be it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name: the principal of its calls.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What of the metastores it sees.
    pub scope: Arc<Scope>,
    /// Its password.
    pub password: Option<PasswordHash>,
    /// Its tokens: several, so that one can take the place of another.
    pub tokens: Vec<TokenHash>,
    /// Names in certificates of clients: DNS names, URIs and common names.
    pub certificate_names: Vec<String>,
}

/// What one proved to be a user with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The password of the user.
    Password,
    /// One of its tokens.
    Token(TokenHash),
    /// A certificate with this name.
    Certificate(String),
}

/// All users, by everything that finds one.
#[derive(Debug, Default)]
pub struct Users {
    by_name: HashMap<String, Arc<User>>,
    by_token: HashMap<TokenHash, Arc<User>>,
    by_certificate: HashMap<String, Arc<User>>,
}

impl Users {
    /// These. Names, tokens and names of certificates are of one user each; of several the last
    /// counts.
    pub fn new(users: Vec<User>) -> Self {
        let mut all = Self::default();
        for user in users.into_iter().map(Arc::new) {
            all.by_token.extend(user.tokens.iter().map(|token| (*token, Arc::clone(&user))));
            let names = user.certificate_names.iter();
            all.by_certificate.extend(names.map(|name| (name.clone(), Arc::clone(&user))));
            all.by_name.insert(user.name.clone(), user);
        }
        all
    }

    /// The user of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The user with this token.
    pub fn with_token(&self, token: TokenHash) -> Option<&Arc<User>> {
        self.by_token.get(&token)
    }

    /// The user of a certificate with these names, and the name that tells.
    pub fn with_certificate<'a>(&'a self, names: &'a [String]) -> Option<(&'a Arc<User>, &'a String)> {
        names.iter().find_map(|name| self.by_certificate.get(name).map(|user| (user, name)))
    }
}

impl User {
    /// What is in a bearer token of what it was got with: another password, and it is good no more.
    /// `None` when the user has no such thing (any more).
    pub fn stamp(&self, proof: &Proof) -> Option<Vec<u8>> {
        let text = match proof {
            Proof::Password => format!("password {}", self.password.as_ref()?),
            Proof::Token(token) => format!("token {}", self.tokens.iter().find(|own| *own == token)?),
            Proof::Certificate(name) => {
                format!("certificate {}", self.certificate_names.iter().find(|own| *own == name)?)
            }
        };
        Some(digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec())
    }

    /// Whether the user still has what this stamp was made of.
    pub fn has_stamp(&self, stamp: &[u8]) -> bool {
        let tokens = self.tokens.iter().copied().map(Proof::Token);
        let certificates = self.certificate_names.iter().cloned().map(Proof::Certificate);
        let mut proofs = std::iter::once(Proof::Password).chain(tokens).chain(certificates);
        proofs.any(|proof| self.stamp(&proof).is_some_and(|own| own == stamp))
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub fn user(name: &str) -> User {
        User {
            name: name.to_owned(),
            role: Role::Reader,
            scope: Scope::everything(),
            password: None,
            tokens: Vec::new(),
            certificate_names: Vec::new(),
        }
    }

    #[test]
    fn users_are_found_by_what_they_have_and_by_nothing_else() {
        let token = TokenHash::new("t");
        let ann = User { tokens: vec![token], certificate_names: vec!["ann.example".into()], ..user("ann") };
        let users = Users::new(vec![ann, user("bob")]);
        let name = |user: Option<&Arc<User>>| user.map(|user| user.name.clone());
        assert_eq!(name(users.named("bob")).as_deref(), Some("bob"));
        assert_eq!(name(users.named("eve")), None);
        assert_eq!(name(users.with_token(token)).as_deref(), Some("ann"));
        assert_eq!(name(users.with_token(TokenHash::new("T"))), None);
        let certificate = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            users.with_certificate(&names).map(|(user, name)| (user.name.clone(), name.clone()))
        };
        assert_eq!(certificate(&["x", "ann.example"]), Some(("ann".into(), "ann.example".into())));
        assert_eq!(certificate(&["ann", "bob"]), None);
    }

    #[test]
    fn a_stamp_is_good_while_the_user_has_what_it_was_made_of() {
        let token = TokenHash::new("t");
        let ann = User { tokens: vec![token], certificate_names: vec!["ann".into()], ..user("ann") };
        for proof in [Proof::Token(token), Proof::Certificate("ann".into())] {
            let stamp = ann.stamp(&proof).unwrap();
            assert!(ann.has_stamp(&stamp));
            assert!(!user("ann").has_stamp(&stamp), "{proof:?}");
        }
        assert_eq!(ann.stamp(&Proof::Password), None);
        assert_eq!(ann.stamp(&Proof::Token(TokenHash::new("u"))), None);
        assert!(!ann.has_stamp(&[]));
    }
}
