//! From the text of a CALL to a procedure with typed arguments.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Array, DollarQuotedString, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, ObjectName, UnaryOperator, Value as SqlValue,
};
use skep_catalog::fault::{Code, Fault};

use super::spec::{ArgumentSpec, PROCEDURES, ProcedureSpec, SCHEMA, find};
use crate::errors::nearest;
use crate::parameters;
use crate::spec::{CATALOG, Kind};

/// Bytes of the texts of one argument: every one is kept in the journal and in memory.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// A value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// See [`Kind::Text`].
    Text(String),
    /// See [`Kind::Int`].
    Int(i64),
    /// See [`Kind::Bool`].
    Bool(bool),
    /// See [`Kind::TextList`].
    TextList(Vec<String>),
}

impl Value {
    fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Int(_) => Kind::Int,
            Self::Bool(_) => Kind::Bool,
            Self::TextList(_) => Kind::TextList,
        }
    }

    /// As the audit log shows it, and as options of the config file are given as texts.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Bool(is) => is.to_string(),
            Self::TextList(texts) => serde_json::Value::from(texts.clone()).to_string(),
        }
    }
}

/// A procedure with its arguments. Those that are neither given nor have a default are not there.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What is called.
    pub procedure: &'static ProcedureSpec,
    values: BTreeMap<&'static str, Value>,
}

impl Bound {
    /// The text of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The text of this name, which the declaration requires or has a default for.
    ///
    /// Errors: `INTERNAL` when it does not.
    pub fn required(&self, name: &str) -> Result<&str, Fault> {
        self.text(name)
            .ok_or_else(|| Fault::internal(self.what(), format!("{name} is not declared as required")))
    }

    /// The number of this name.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// Whether the argument of this name is there and true.
    pub fn is(&self, name: &str) -> bool {
        self.values.get(name) == Some(&Value::Bool(true))
    }

    /// `CALL ops.name`: what faults are about.
    pub fn what(&self) -> String {
        format!("CALL {}", self.procedure.full_name())
    }

    /// A fault of this call.
    pub fn invalid(&self, why: impl Into<String>) -> Fault {
        Fault::new(Code::CALL_INVALID, self.what(), why)
    }

    /// Its own arguments by name, those in common not among them.
    pub fn own(&self) -> impl Iterator<Item = (&'static ArgumentSpec, &Value)> {
        self.procedure.arguments.iter().filter_map(|spec| Some((spec, self.values.get(spec.name)?)))
    }

    /// All of its own, as the audit log shows them: without secrets.
    pub fn shown(&self) -> BTreeMap<String, String> {
        let open = self.own().filter(|(spec, _)| !spec.is_secret);
        open.map(|(spec, value)| (spec.name.to_owned(), value.shown())).collect()
    }
}

/// What parameters stand for.
#[derive(Clone, Copy)]
pub enum Parameters<'a> {
    /// They are not known yet.
    Open,
    /// Of `$1`, `$2`, ... in order.
    Values(&'a [ScalarValue]),
}

fn invalid(what: impl std::fmt::Display, why: impl Into<String>) -> Fault {
    Fault::new(Code::CALL_INVALID, format!("CALL {what}"), why)
}

/// Binds a CALL. With open parameters the arguments that they stand for are there without a value.
///
/// Errors: `CALL_INVALID`, which names what there is instead, and no value.
pub fn bind(call: &Function, parameters: Parameters<'_>) -> Result<Bound, Fault> {
    let (procedure, given) = read(call)?;
    let name = procedure.full_name();
    let mut values = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (spec, expr) in given {
        if !seen.insert(spec.name) {
            return Err(invalid(&name, format!("{} is given twice", spec.name)));
        }
        // NULL is as if it were not there, so that a parameter can leave an argument out.
        match value(&name, spec, expr, parameters)? {
            Given::Value(value) => drop(values.insert(spec.name, value)),
            Given::Null => drop(seen.remove(spec.name)),
            Given::Open => {}
        }
    }
    for spec in procedure.all_arguments().filter(|spec| !seen.contains(spec.name)) {
        if spec.is_required {
            return Err(invalid(&name, format!("{} is missing", spec.name)).with_fix(takes(procedure)));
        }
        let default = match spec.default {
            None => continue,
            Some("FALSE") => Value::Bool(false),
            Some(text) => Value::Text(text.trim_matches('\'').to_owned()),
        };
        values.insert(spec.name, default);
    }
    Ok(Bound { procedure, values })
}

/// Types of the parameters of a CALL, in order: what the arguments that they stand for hold.
///
/// Errors: `CALL_INVALID`, `SQL_INVALID`.
pub fn parameter_types(call: &Function) -> Result<Vec<DataType>, Fault> {
    let mut found: BTreeMap<usize, DataType> = BTreeMap::new();
    for (spec, expr) in read(call)?.1 {
        // Lists cannot be bound: a text stands for a list of one.
        let own = if spec.kind == Kind::TextList { Kind::Text } else { spec.kind };
        let parts = match expr {
            Expr::Array(Array { elem, .. }) => elem.as_slice(),
            other => std::slice::from_ref(other),
        };
        for part in parts {
            if let Expr::Value(value) = part
                && let SqlValue::Placeholder(written) = &value.value
            {
                found.entry(parameters::index(written)?).or_insert_with(|| own.arrow_type());
            }
        }
    }
    let count = found.keys().next_back().map_or(0, |last| last + 1);
    Ok((0..count).map(|index| found.remove(&index).unwrap_or(DataType::Utf8)).collect())
}

/// An argument, and what is written for it.
type Written<'a> = (&'static ArgumentSpec, &'a Expr);

/// The procedure, and what is written for which of its arguments.
fn read(call: &Function) -> Result<(&'static ProcedureSpec, Vec<Written<'_>>), Fault> {
    let procedure = procedure_of(&call.name)?;
    let name = procedure.full_name();
    let given = match &call.args {
        FunctionArguments::None => &[],
        FunctionArguments::List(FunctionArgumentList { args, clauses, duplicate_treatment: None })
            if clauses.is_empty() =>
        {
            args.as_slice()
        }
        _ => return Err(invalid(name, "it takes arguments only, such as name => 'value'")),
    };
    let is_plain = call.over.is_none() && call.filter.is_none() && call.within_group.is_empty();
    if !is_plain || call.parameters != FunctionArguments::None || call.null_treatment.is_some() {
        return Err(invalid(name, "nothing may follow the arguments"));
    }
    let mut named = None;
    let mut read = Vec::new();
    for (place, argument) in given.iter().enumerate() {
        let (spec, expr, is_named) = match argument {
            FunctionArg::Named { name: argument, arg: FunctionArgExpr::Expr(expr), .. } => {
                (named_argument(procedure, &argument.value)?, expr, true)
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                let spec = procedure.all_arguments().nth(place);
                (spec.ok_or_else(|| invalid(&name, too_many(procedure)))?, expr, false)
            }
            _ => return Err(invalid(&name, "an argument is not written as name => 'value'")),
        };
        if *named.get_or_insert(is_named) != is_named {
            return Err(invalid(&name, "some arguments are named and some are not")
                .with_fix("Name all arguments, or none."));
        }
        read.push((spec, expr));
    }
    Ok((procedure, read))
}

/// `name` or `ops.name` or `skep.ops.name`, in any case.
fn procedure_of(name: &ObjectName) -> Result<&'static ProcedureSpec, Fault> {
    let parts: Vec<String> =
        name.0.iter().map(|part| part.to_string().replace('"', "").to_lowercase()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let found = match parts.as_slice() {
        [name] | [SCHEMA, name] | [CATALOG, SCHEMA, name] => find(name),
        _ => None,
    };
    found.ok_or_else(|| {
        let last = parts.last().copied().unwrap_or_default();
        let fault = invalid(parts.join("."), format!("there is no procedure {}", parts.join(".")));
        let names: Vec<&str> = PROCEDURES.iter().map(|procedure| procedure.name).collect();
        match nearest(last, &names) {
            Some(near) => {
                fault.with_fix(format!("Did you mean {SCHEMA}.{near}? runtime.procedures lists all."))
            }
            None => fault.with_fix("runtime.procedures lists all."),
        }
    })
}

fn named_argument(procedure: &'static ProcedureSpec, name: &str) -> Result<&'static ArgumentSpec, Fault> {
    let found = procedure.all_arguments().find(|spec| spec.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let names: Vec<&str> = procedure.all_arguments().map(|spec| spec.name).collect();
        let meant = nearest(name, &names).map(|near| format!("Did you mean {near}? ")).unwrap_or_default();
        invalid(procedure.full_name(), format!("it has no argument {name}"))
            .with_fix(format!("{meant}{}", takes(procedure)))
    })
}

fn takes(procedure: &ProcedureSpec) -> String {
    let names: Vec<&str> = procedure.all_arguments().map(|spec| spec.name).collect();
    format!("It takes {}.", names.join(", "))
}

fn too_many(procedure: &ProcedureSpec) -> String {
    format!("it takes at most {} arguments", procedure.all_arguments().count())
}

/// What is written for an argument.
enum Given {
    Null,
    /// A parameter whose value is not known yet.
    Open,
    Value(Value),
}

fn value(name: &str, spec: &ArgumentSpec, expr: &Expr, parameters: Parameters<'_>) -> Result<Given, Fault> {
    let wrong = |why: String| invalid(name, format!("{} {why}", spec.name));
    let value = match constant(expr, parameters).map_err(&wrong)? {
        Given::Value(value) => value,
        other => return Ok(other),
    };
    let value = match (spec.kind, value) {
        // Parameters whose type nothing tells are texts.
        (Kind::Int, Value::Text(text)) => text.parse().map_or(Value::Text(text), Value::Int),
        (Kind::Bool, Value::Text(text)) => text.parse().map_or(Value::Text(text), Value::Bool),
        (Kind::TextList, Value::Text(text)) => Value::TextList(vec![text]),
        // What settings and options are given as.
        (Kind::Text, value @ (Value::Int(_) | Value::Bool(_))) if spec.name == "value" => {
            Value::Text(value.shown())
        }
        (_, value) => value,
    };
    if value.kind() != spec.kind {
        let (wanted, given) = (spec.kind.sql_name(), value.kind().sql_name());
        return Err(wrong(format!("is a {wanted}, not a {given}")));
    }
    let texts = match &value {
        Value::Text(text) => std::slice::from_ref(text),
        Value::TextList(texts) => texts.as_slice(),
        Value::Int(_) | Value::Bool(_) => &[],
    };
    if TEXT_BYTES_MAX < texts.iter().map(|text| text.len() + 1).sum() {
        return Err(wrong(format!("is longer than {TEXT_BYTES_MAX} bytes")));
    }
    // No name, address or message has them, and logs and terminals obey some.
    if texts.iter().any(|text| text.contains(|c: char| c.is_control() && c != '\n' && c != '\t')) {
        return Err(wrong("has a control character".to_owned()));
    }
    Ok(Given::Value(value))
}

/// A constant. What it is not is not shown: it may be a secret.
fn constant(expr: &Expr, parameters: Parameters<'_>) -> Result<Given, String> {
    const NOT_PLAIN: &str = "is no plain value: a text in single quotes, a whole number, TRUE, FALSE, NULL \
                             or a list of texts such as ['a', 'b']";
    let value = match expr {
        Expr::Value(value) => match &value.value {
            SqlValue::Null => return Ok(Given::Null),
            SqlValue::Boolean(is) => Value::Bool(*is),
            SqlValue::Number(digits, _) => {
                Value::Int(digits.parse().map_err(|_| "is no whole number of 64 bits".to_owned())?)
            }
            SqlValue::SingleQuotedString(text)
            | SqlValue::EscapedStringLiteral(text)
            | SqlValue::DollarQuotedString(DollarQuotedString { value: text, .. }) => {
                Value::Text(text.clone())
            }
            SqlValue::Placeholder(written) => return parameter(written, parameters),
            _ => return Err(NOT_PLAIN.to_owned()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match constant(expr, parameters)? {
            Given::Value(Value::Int(number)) => Value::Int(number.saturating_neg()),
            _ => return Err(NOT_PLAIN.to_owned()),
        },
        Expr::Array(Array { elem, .. }) => {
            let mut texts = Vec::new();
            for expr in elem {
                match constant(expr, parameters)? {
                    Given::Value(Value::Text(text)) => texts.push(text),
                    Given::Open => return Ok(Given::Open),
                    _ => return Err("is a list of something else than texts".to_owned()),
                }
            }
            Value::TextList(texts)
        }
        _ => return Err(NOT_PLAIN.to_owned()),
    };
    Ok(Given::Value(value))
}

fn parameter(written: &str, parameters: Parameters<'_>) -> Result<Given, String> {
    let Parameters::Values(values) = parameters else { return Ok(Given::Open) };
    let index = parameters::index(written).map_err(|fault| fault.why)?;
    Ok(match values.get(index) {
        Some(ScalarValue::Utf8(Some(text))) => Given::Value(Value::Text(text.clone())),
        Some(ScalarValue::Int64(Some(number))) => Given::Value(Value::Int(*number)),
        Some(ScalarValue::Boolean(Some(is))) => Given::Value(Value::Bool(*is)),
        Some(value) if value.is_null() => Given::Null,
        _ => return Err(format!("is {written}, which has no value")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn parsed(sql: &str) -> Function {
        let mut parsed = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        let Some(Statement::Call(call)) = parsed.pop() else { panic!("{sql}") };
        call
    }

    fn call(sql: &str, values: &[ScalarValue]) -> Result<Bound, Fault> {
        bind(&parsed(sql), Parameters::Values(values))
    }

    fn refusal(sql: &str) -> String {
        let fault = call(sql, &[]).unwrap_err();
        assert_eq!(fault.code, Code::CALL_INVALID, "{sql}");
        fault.to_string()
    }

    #[test]
    fn every_example_binds() {
        for procedure in PROCEDURES {
            assert_eq!(call(procedure.example, &[]).unwrap().procedure.name, procedure.name);
        }
    }

    #[test]
    fn arguments_are_bound_by_name_or_by_place() {
        for sql in [
            "CALL ops.set_setting(name => 'statement_timeout_ms', value => '5')",
            "CALL set_setting('statement_timeout_ms', 5)",
            "call skep.OPS.Set_Setting(VALUE => '5', name => 'statement_timeout_ms', reason => NULL)",
        ] {
            let bound = call(sql, &[]).unwrap();
            assert_eq!(bound.procedure.name, "set_setting");
            assert_eq!((bound.text("name"), bound.text("value")), (Some("statement_timeout_ms"), Some("5")));
            assert_eq!((bound.is("dry_run"), bound.text("reason")), (false, None));
            assert_eq!(bound.shown().len(), 2);
        }
    }

    #[test]
    fn values_have_the_types_of_their_arguments() {
        let sql = "CALL ops.add_metastore(name => $2, uris => ['thrift://a:1', $1], framed => $3, \
                   connect_timeout_ms => $4, dry_run => true, user => $5)";
        let types = parameter_types(&parsed(sql)).unwrap();
        let (text, null) = (DataType::Utf8, ScalarValue::Utf8(None));
        assert_eq!(types, [text.clone(), text.clone(), DataType::Boolean, DataType::Int64, text]);
        let open = bind(&parsed(sql), Parameters::Open).unwrap();
        assert_eq!((open.text("name"), open.is("dry_run")), (None, true));
        let values = [
            ScalarValue::from("thrift://b:2"),
            ScalarValue::from("dc9"),
            ScalarValue::from(true),
            ScalarValue::from(7_i64),
            null,
        ];
        let shown = call(sql, &values).unwrap().shown();
        let shown: Vec<_> = shown.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("connect_timeout_ms", "7"),
                ("framed", "true"),
                ("name", "dc9"),
                ("uris", "[\"thrift://a:1\",\"thrift://b:2\"]")
            ]
        );
        assert!(refusal(sql).contains("which has no value"));
    }

    #[test]
    fn mistakes_are_named_with_what_there_is() {
        for (sql, told) in [
            ("CALL ops.set_settin('a', 'b')", "Did you mean ops.set_setting?"),
            ("CALL other.set_setting('a', 'b')", "there is no procedure other.set_setting"),
            (
                "CALL ops.set_setting(nam => 'a', value => 'b')",
                "no argument nam. Fix: Did you mean name? It takes name, value,",
            ),
            (
                "CALL ops.set_setting(name => 'a')",
                "value is missing. Fix: It takes name, value, dry_run, reason,",
            ),
            ("CALL ops.set_setting(name => 'a', value => NULL)", "value is missing"),
            ("CALL ops.set_setting(name => 'a', NAME => 'b', value => 'c')", "name is given twice"),
            ("CALL ops.set_setting('a', value => 'b')", "some arguments are named and some are not"),
            ("CALL ops.kill_query(query_id => 'x')", "query_id is a BIGINT, not a VARCHAR"),
            ("CALL ops.kill_query(1, 2)", "message is a VARCHAR, not a BIGINT"),
            ("CALL ops.kill_query(1.5)", "query_id is no whole number"),
            ("CALL ops.kill_query(1, dry_run)", "message is no plain value"),
            ("CALL ops.kill_query(1, 'a' || 'b')", "message is no plain value"),
            ("CALL ops.add_metastore('a', [1])", "uris is a list of something else than texts"),
            ("CALL ops.kill_query(1, 'm', FALSE, 'r', 'k', 6)", "it takes at most 5 arguments"),
            ("CALL ops.kill_query(1, e'a\\x01b')", "message has a control character"),
        ] {
            let refusal = refusal(sql);
            assert!(refusal.contains(told), "{sql}: {refusal}");
        }
        assert!(refusal(&format!("CALL ops.kill_query(1, '{}')", "x".repeat(5_000))).contains("longer than"));
    }

    #[test]
    fn no_refusal_shows_a_value() {
        for sql in [
            "CALL ops.add_metastore(name => 'a', uris => ['b'], password => 'hunter2')",
            "CALL ops.set_setting(name => 'a', value => hunter2)",
            "CALL ops.set_setting(name => 'a', value => \"hunter2\")",
            "CALL ops.kill_query('hunter2')",
            "CALL ops.set_setting(*, 'hunter2')",
        ] {
            let refusal = refusal(sql);
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }
}
