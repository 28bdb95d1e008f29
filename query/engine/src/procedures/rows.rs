//! What calls answer, as rows: the same columns for every procedure.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use skep_catalog::control::{Call, State, Touched};
use skep_catalog::fault::Fault;

use super::arguments::Bound;
use super::decide::{Facts, check_role, decide};
use crate::rows::{Rows, Value};
use crate::spec::{CALL_EXPLAINED, CALL_RESULT, TableSpec};

/// Columns of the answer of a CALL.
pub fn result_schema() -> SchemaRef {
    CALL_RESULT.arrow_schema()
}

/// Columns of EXPLAIN CALL.
pub fn explain_schema() -> SchemaRef {
    CALL_EXPLAINED.arrow_schema()
}

fn all(spec: &TableSpec) -> Vec<usize> {
    (0..spec.columns.len()).collect()
}

/// One row per object; never none.
pub fn result(call: &Call) -> Result<RecordBatch, Fault> {
    let mut rows = Rows::new(&CALL_RESULT, &all(&CALL_RESULT));
    let none = [Touched::default()];
    let touched = if call.touched.is_empty() { none.as_slice() } else { call.touched.as_slice() };
    for object in touched {
        let known = |text| Some(text).filter(|text: &&String| !text.is_empty());
        rows.push(&[
            (&call.request.call_id).into(),
            (&call.request.procedure_name).into(),
            call.status.as_str().into(),
            known(&object.object_type).into(),
            known(&object.object_name).into(),
            object.version_before.into(),
            object.version_after.into(),
            object.message.as_ref().into(),
        ]);
    }
    rows.finish()
}

/// What a call would do: its arguments, what is checked, what it would touch.
pub fn explain(bound: &Bound, facts: &Facts<'_>) -> Result<RecordBatch, Fault> {
    let mut rows = Rows::new(&CALL_EXPLAINED, &all(&CALL_EXPLAINED));
    let mut row = |part: &'static str, name: &str, is_ok: Option<bool>, detail: Option<&str>| {
        rows.push(&[part.into(), name.into(), is_ok.into(), detail.into()]);
    };
    row("procedure", &bound.procedure.full_name(), None, Some(bound.procedure.comment));
    for (spec, value) in bound.own() {
        let shown = if spec.is_secret { "...".to_owned() } else { value.shown() };
        row("argument", spec.name, None, Some(&shown));
    }
    let told = |result: &Result<(), Fault>| match result {
        Ok(()) => None,
        Err(fault) => Some(fault.to_string()),
    };
    let role = check_role(bound, facts.caller);
    row("check", "role", Some(role.is_ok()), told(&role).as_deref());
    let (objects, decided) = match role.and_then(|()| decide(bound, facts)) {
        Ok(decided) => (Ok(()), Some(decided)),
        Err(fault) => (Err(fault), None),
    };
    row("check", "objects", Some(objects.is_ok()), told(&objects).as_deref());
    if let Some(decided) = decided {
        for object in &decided.decision.touched {
            let name = format!("{} {}", object.object_type, object.object_name);
            row("object", &name, None, object.message.as_deref());
            row("before", &name, None, object.before_json.as_deref());
            row("after", &name, None, object.after_json.as_deref());
        }
        let status = decided.decision.status(false).as_str();
        row("status", status, None, Some("What the call would answer now."));
    }
    rows.finish()
}

/// `runtime.audit_log`: one row per call of those whom `is_seen` says, the oldest first.
pub fn audit_log(rows: &mut Rows, state: &State, is_seen: impl Fn(&str) -> bool) {
    for call in state.calls.iter().filter(|call| is_seen(&call.request.principal)) {
        let request = &call.request;
        let arguments: Vec<(String, String)> =
            request.arguments.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let objects = Objects::of(&call.touched);
        let (code, message) = call.error.as_ref().map(|(code, message)| (code, message)).unzip();
        rows.push(&[
            request.called_at.into(),
            (&request.call_id).into(),
            (&request.principal).into(),
            (&request.client).into(),
            (&request.procedure_name).into(),
            Value::Map(&arguments),
            call.status.as_str().into(),
            request.reason.as_ref().into(),
            request.idempotency_key.as_ref().into(),
            objects.types.into(),
            objects.names.into(),
            objects.version_before.into(),
            objects.version_after.into(),
            objects.before.into(),
            objects.after.into(),
            objects.messages.into(),
            code.into(),
            message.into(),
        ]);
    }
}

/// All objects of a call in one row; nearly always it is one.
struct Objects {
    types: Option<String>,
    names: Option<String>,
    version_before: Option<u64>,
    version_after: Option<u64>,
    before: Option<String>,
    after: Option<String>,
    messages: Option<String>,
}

impl Objects {
    fn of(touched: &[Touched]) -> Self {
        let joined = |text: fn(&Touched) -> Option<&String>| {
            let texts: Vec<&str> = touched.iter().filter_map(text).map(String::as_str).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        };
        let listed = |json: fn(&Touched) -> Option<&String>| match touched {
            [one] => json(one).cloned(),
            all => joined(json).filter(|_| !all.is_empty()).map(|texts| format!("[{texts}]")),
        };
        let newest = |version: fn(&Touched) -> Option<u64>| touched.iter().filter_map(version).max();
        Self {
            types: joined(|object| Some(&object.object_type)),
            names: joined(|object| Some(&object.object_name)),
            version_before: newest(|object| object.version_before),
            version_after: newest(|object| object.version_after),
            before: listed(|object| object.before_json.as_ref()),
            after: listed(|object| object.after_json.as_ref()),
            messages: joined(|object| object.message.as_ref()),
        }
    }
}
