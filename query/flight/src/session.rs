//! Sessions: options that a client sets once for all its later calls.
//!
//! They are in a signed cookie that the client sends with every call, so there is nothing to keep,
//! to bound or to lose here. A client that keeps no cookies has no session.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use prost::{Enumeration, Message, Oneof};
use skep_catalog::fault::Fault;
use skep_query::spec::{CATALOG, DEFAULT_SCHEMA, SCHEMAS};

use crate::asker::Asker;
use crate::seal::{Key, Purpose};
use crate::status::unreadable;
use crate::ticket::Session;

const COOKIE: &str = "skep_session";
const OPTION_CATALOG: &str = "catalog";
pub const OPTION_SCHEMA: &str = "schema";

/// The value of an option on the wire.
#[derive(Clone, PartialEq, Message)]
pub struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    value: Option<Value>,
}

/// See [`OptionValue`].
#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

/// See [`OptionValue`].
#[derive(Clone, PartialEq, Message)]
struct Texts {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

/// What `SetSessionOptions` sends and `GetSessionOptions` gets.
#[derive(Clone, PartialEq, Message)]
pub struct Options {
    /// By name; an option without a value is to have its default again.
    #[prost(map = "string, message", tag = "1")]
    pub options: HashMap<String, OptionValue>,
}

impl Options {
    /// One that is a text.
    pub fn text(name: &str, value: &str) -> Self {
        let value = OptionValue { value: Some(Value::Text(value.to_owned())) };
        Self { options: HashMap::from([(name.to_owned(), value)]) }
    }
}

/// What `SetSessionOptions` gets.
#[derive(Clone, PartialEq, Message)]
pub struct SetResult {
    /// What was wrong, by name of the option.
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, SetError>,
}

/// See [`SetResult`].
#[derive(Clone, PartialEq, Message)]
pub struct SetError {
    #[prost(enumeration = "SetErrorKind", tag = "1")]
    kind: i32,
}

/// See [`SetError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum SetErrorKind {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
}

/// What `CloseSession` gets.
#[derive(Clone, PartialEq, Message)]
pub struct CloseResult {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl CloseResult {
    /// The session is closed.
    pub const CLOSED: Self = Self { status: 1 };
}

impl Session {
    /// The session of a call; the defaults when it has none.
    ///
    /// Errors: `TICKET_INVALID`, `REQUEST_INVALID` for one that was not made here: its options are
    /// not known, and without them the call could mean something else.
    pub fn of(asker: &Asker, key: &Key) -> Result<Self, Fault> {
        let cookies = asker.headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
        let Some((_, value)) = pairs.find(|(name, _)| name.trim() == COOKIE) else {
            return Ok(Self { principal: asker.caller.principal.to_string(), ..Self::default() });
        };
        let sealed = BASE64_URL_SAFE_NO_PAD
            .decode(value.trim().trim_matches('"'))
            .map_err(|e| unreadable("session cookie", &e.to_string()))?;
        key.open_for(asker, Purpose::Session, &sealed)
    }

    /// The value of the header `set-cookie` that makes it the session of later calls.
    pub fn cookie(&self, key: &Key) -> String {
        format!("{COOKIE}={}", BASE64_URL_SAFE_NO_PAD.encode(key.seal(Purpose::Session, self)))
    }

    /// The same for no session any more.
    pub fn no_cookie() -> String {
        format!("{COOKIE}=; Max-Age=0")
    }

    /// Schema of tables that are named without one.
    pub fn default_schema(&self) -> &'static str {
        schema_named(&self.schema).unwrap_or(DEFAULT_SCHEMA)
    }

    /// All options and their values.
    pub fn options(&self) -> Options {
        let text = |text: &str| OptionValue { value: Some(Value::Text(text.to_owned())) };
        let options = [(OPTION_CATALOG, CATALOG), (OPTION_SCHEMA, self.default_schema())];
        Options { options: options.map(|(name, value)| (name.to_owned(), text(value))).into() }
    }

    /// Sets options, all that can be.
    pub fn set(&mut self, options: Options) -> SetResult {
        let mut errors = HashMap::new();
        for (name, OptionValue { value }) in options.options {
            let kind = match (name.as_str(), value) {
                (OPTION_CATALOG, None) => None,
                (OPTION_CATALOG, Some(Value::Text(text))) if text == CATALOG => None,
                (OPTION_SCHEMA, None) => {
                    self.schema.clear();
                    None
                }
                (OPTION_SCHEMA, Some(Value::Text(text))) if schema_named(&text).is_some() => {
                    self.schema = text;
                    None
                }
                (OPTION_CATALOG | OPTION_SCHEMA, _) => Some(SetErrorKind::InvalidValue),
                _ => Some(SetErrorKind::InvalidName),
            };
            if let Some(kind) = kind {
                errors.insert(name, SetError { kind: kind.into() });
            }
        }
        SetResult { errors }
    }
}

/// The schema of skep with this name.
pub fn schema_named(name: &str) -> Option<&'static str> {
    SCHEMAS.iter().find(|schema| schema.name == name).map(|schema| schema.name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use skep_catalog::fault::Code;
    use skep_query::Caller;
    use tonic::metadata::MetadataMap;

    use super::*;

    fn text(value: &str) -> OptionValue {
        OptionValue { value: Some(Value::Text(value.to_owned())) }
    }

    fn options(pairs: &[(&str, OptionValue)]) -> Options {
        Options { options: pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect() }
    }

    #[test]
    fn options_travel_in_a_cookie_that_nobody_else_can_make() {
        let key = Key::random().unwrap();
        let asker = |principal: &str, cookie: &str| {
            let mut headers = MetadataMap::new();
            headers.insert("cookie", format!("a=b; {cookie}; c=d").parse().unwrap());
            Asker { caller: Caller { principal: principal.into(), ..Caller::local() }, headers }
        };
        let mut session = Session::of(&asker("ann", "d=e"), &key).unwrap();
        assert_eq!(session.default_schema(), "catalog");
        let set = options(&[("schema", text("sync")), ("catalog", text("skep")), ("color", text("red"))]);
        let errors = session.set(set).errors;
        assert_eq!(errors["color"].kind(), SetErrorKind::InvalidName);
        assert_eq!(errors.len(), 1);
        let cookie = session.cookie(&key);
        assert_eq!(Session::of(&asker("ann", &cookie), &key).unwrap().default_schema(), "sync");
        let refused = |asker: &Asker, key: &Key| Session::of(asker, key).unwrap_err().code;
        assert_eq!(refused(&asker("bob", &cookie), &key), Code::TICKET_INVALID);
        assert_eq!(refused(&asker("ann", &cookie), &Key::random().unwrap()), Code::TICKET_INVALID);
        assert_eq!(refused(&asker("ann", &format!("{COOKIE}=%%%")), &key), Code::REQUEST_INVALID);
    }

    #[test]
    fn wrong_values_change_nothing() {
        let mut session = Session::default();
        let wrong =
            options(&[("schema", text("nowhere")), ("catalog", OptionValue { value: Some(Value::Int(1)) })]);
        let errors = session.set(wrong).errors;
        assert!(errors.values().all(|error| error.kind() == SetErrorKind::InvalidValue));
        assert_eq!((errors.len(), session.default_schema()), (2, "catalog"));
        session.set(options(&[("schema", text("docs"))]));
        session.set(options(&[("schema", OptionValue { value: None })]));
        assert_eq!(session.default_schema(), "catalog");
    }
}
