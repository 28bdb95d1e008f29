//! Session options, for clients that keep cookies.

use std::collections::HashMap;

use prost::{Message, Oneof};
use tonic::Code;

use crate::fixture::{Client, Served, act, code};

/// The messages of the protocol, which the client library does not have.
#[derive(Clone, PartialEq, Message)]
struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
}

#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SetError {
    #[prost(int32, tag = "1")]
    value: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, SetError>,
}

fn options(pairs: &[(&str, Value)]) -> Vec<u8> {
    let value = |value: &Value| OptionValue { value: Some(value.clone()) };
    let options = pairs.iter().map(|(name, v)| ((*name).to_owned(), value(v))).collect();
    Options { options }.encode_to_vec()
}

async fn shown(client: &mut Client, cookie: Option<&str>) -> [String; 2] {
    let (result, _) = act(client, "GetSessionOptions", Vec::new(), cookie).await.unwrap();
    let Options { options } = Options::decode(result.unwrap()).unwrap();
    assert_eq!(options.len(), 2);
    ["catalog", "schema"].map(|name| match &options[name].value {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{name}: {other:?}"),
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn the_schema_of_a_session_is_where_unqualified_tables_are_looked_for() {
    let served = Served::start().await;
    let mut client = served.client().await;
    assert_eq!(shown(&mut client, None).await, ["skep", "catalog"]);
    let body = options(&[("schema", text("docs")), ("catalog", text("skep"))]);
    let (result, cookie) = act(&mut client, "SetSessionOptions", body, None).await.unwrap();
    assert_eq!(SetResult::decode(result.unwrap()).unwrap().errors.len(), 0);
    let cookie = cookie.unwrap();
    assert_eq!(shown(&mut client, Some(&cookie)).await, ["skep", "docs"]);

    let sql = "SELECT question FROM examples LIMIT 1";
    let error = crate::fixture::rows(&mut client, sql).await.unwrap_err();
    assert_eq!(code(&error), "SQL_INVALID");
    let mut with_session = served.client().await;
    with_session.set_header("cookie", format!("other=1; {cookie}"));
    assert_eq!(crate::fixture::rows(&mut with_session, sql).await.unwrap().len(), 1);
    assert_ne!(crate::fixture::rows(&mut with_session, "DESCRIBE examples").await.unwrap().len(), 0);
    let mut prepared = with_session.prepare(sql.to_owned(), None).await.unwrap();
    let info = prepared.execute().await.unwrap();
    // The ticket has all that its rows depend on.
    assert_eq!(crate::fixture::fetch(&mut client, &info).await.unwrap().1[0].num_rows(), 1);

    let (_, closed) = act(&mut client, "CloseSession", Vec::new(), Some(&cookie)).await.unwrap();
    assert!(closed.unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn wrong_options_are_named_and_the_others_are_set() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let wrong = [("schema", text("nowhere")), ("catalog", Value::Bool(true)), ("colour", text("red"))];
    let (result, cookie) = act(&mut client, "SetSessionOptions", options(&wrong), None).await.unwrap();
    let errors = SetResult::decode(result.unwrap()).unwrap().errors;
    assert_eq!(["schema", "catalog", "colour"].map(|name| errors[name].value), [2, 2, 1]);
    assert_eq!(shown(&mut client, cookie.as_deref()).await, ["skep", "catalog"]);
}

#[tokio::test]
async fn a_session_that_was_not_made_here_is_refused() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for cookie in ["skep_session=AAAA", "skep_session=%", "skep_session="] {
        let error = act(&mut client, "GetSessionOptions", Vec::new(), Some(cookie)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{cookie}");
        code(&error);
    }
}
