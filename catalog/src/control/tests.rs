#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::journal::Folder;

fn open(folder: &TempDir) -> Control {
    let salt = AtomicU64::new(1);
    let disk = Box::new(Folder::open(folder.path()).unwrap());
    Control::open(disk, move || salt.fetch_add(1, Ordering::Relaxed)).unwrap().0
}

fn request(key: Option<&str>, value: &str) -> Request {
    Request {
        call_id: format!("call-{value}"),
        principal: "anna".to_owned(),
        procedure_name: "ops.set_setting".to_owned(),
        arguments: [("value".to_owned(), value.to_owned())].into(),
        idempotency_key: key.map(str::to_owned),
        ..Request::default()
    }
}

fn set(state: &State, value: &str) -> Result<Decision, Fault> {
    let before = state.settings.get("x");
    let changes = match before.is_some_and(|before| before.value == value) {
        true => Vec::new(),
        false => vec![Change::SetSetting { name: "x".to_owned(), value: value.to_owned() }],
    };
    let touched = Touched {
        object_type: "setting".to_owned(),
        object_name: "x".to_owned(),
        version_before: before.map(|before| before.version),
        before_json: before.map(|before| format!("{:?}", before.value)),
        after_json: Some(format!("{value:?}")),
        ..Touched::default()
    };
    Ok(Decision { changes, touched: vec![touched], ..Decision::default() })
}

fn applied(state: &State) -> usize {
    state.calls.iter().filter(|call| call.status == Status::Applied).count()
}

#[test]
fn what_was_answered_is_there_after_opening() {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    let call = control.call(request(None, "1"), false, |state| set(state, "1")).unwrap();
    assert_eq!((call.status, call.touched[0].version_after), (Status::Applied, Some(1)));
    let call = control.call(request(None, "1"), false, |state| set(state, "1")).unwrap();
    assert_eq!((call.status, call.touched[0].version_after), (Status::Unchanged, Some(1)));
    let call = control.call(request(None, "2"), true, |state| set(state, "2")).unwrap();
    assert_eq!((call.status, call.touched[0].version_before), (Status::Planned, Some(1)));
    let state = control.state();
    assert_eq!(state.settings["x"], Versioned { value: "1".to_owned(), version: 1 });
    drop(control);
    assert_eq!(open(&folder).state(), state);
}

#[test]
fn a_repeated_key_answers_with_the_first_result_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder).call(request(Some("k"), "1"), false, |state| set(state, "1")).unwrap();
    let control = open(&folder);
    control.call(request(None, "2"), false, |state| set(state, "2")).unwrap();
    let again = Request { call_id: "another".to_owned(), ..request(Some("k"), "1") };
    let again = control.call(again, false, |_| panic!("decided again")).unwrap();
    assert_eq!((again.status, &again.touched), (Status::Replayed, &first.touched));
    assert_eq!(again.request.call_id, first.request.call_id);
    assert_eq!(control.state().settings["x"].value, "2");
    let other = control.call(request(Some("k"), "3"), false, |_| panic!("decided")).unwrap_err();
    assert_eq!(other.code, Code::CALL_INVALID);
    let theirs = Request { principal: "ben".to_owned(), ..request(Some("k"), "3") };
    assert_eq!(control.call(theirs, false, |state| set(state, "3")).unwrap().status, Status::Applied);
    let statuses: Vec<_> = control.state().calls.iter().map(|call| call.status.as_str()).collect();
    assert_eq!(statuses, ["applied", "applied", "replayed", "rejected", "applied"]);
}

#[test]
fn a_refused_or_dry_call_does_not_use_its_key_up() {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    let refusal = || Err(Fault::new(Code::CALL_CONFLICT, "CALL", "version 1, not 2"));
    assert_eq!(
        control.call(request(Some("k"), "1"), false, |_| refusal()).unwrap_err().code,
        Code::CALL_CONFLICT
    );
    assert_eq!(control.call(request(Some("k"), "1"), true, |s| set(s, "1")).unwrap().status, Status::Planned);
    assert_eq!(
        control.call(request(Some("k"), "1"), false, |s| set(s, "1")).unwrap().status,
        Status::Applied
    );
    let rejected = &control.state().calls[0];
    assert_eq!(rejected.error, Some(("CALL_CONFLICT".to_owned(), "CALL: version 1, not 2".to_owned())));
}

#[test]
fn one_key_from_eight_threads_takes_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| control.call(request(Some("k"), "1"), false, |s| set(s, "1")).unwrap());
        }
    });
    let state = control.state();
    assert_eq!((applied(&state), state.calls.len()), (1, 8));
}

#[test]
fn a_copy_goes_on_where_it_was_made() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let control = open(&folder);
    control.call(request(Some("k"), "1"), false, |state| set(state, "1")).unwrap();
    control.copy(&Folder::open(other.path()).unwrap()).unwrap();
    let state = control.state();
    control.call(request(None, "2"), false, |state| set(state, "2")).unwrap();
    let copy = open(&other);
    assert_eq!(copy.state(), state);
    let call = copy.call(request(None, "3"), false, |state| set(state, "3")).unwrap();
    assert_eq!(call.touched[0].version_after, Some(2), "numbers of versions go on");
    assert_eq!(open(&other).state(), copy.state());
}

#[test]
fn a_checkpoint_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    for i in 0..40 {
        let value = format!("{i}{}", "x".repeat(100_000));
        control.call(request(None, &value), false, |state| set(state, &value)).unwrap();
    }
    assert!(control.journal.lock().begun_bytes() > CHECKPOINT_BYTES_MIN, "a checkpoint was made");
    let state = control.state();
    drop(control);
    assert_eq!(open(&folder).state(), state);
}

#[test]
fn a_key_outlives_any_number_of_other_calls_and_of_its_own_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    control.call(request(Some("k"), "1"), false, |state| set(state, "1")).unwrap();
    // 64 texts of half a MiB are more than is kept of calls.
    for i in 0..70 {
        let value = "x".repeat(1 << 19);
        let refused = Request { call_id: format!("refused-{i}"), ..request(Some("other"), &value) };
        let fault = || Fault::new(Code::CALL_INVALID, "CALL", "no");
        control.call(refused, false, |_| Err(fault())).unwrap_err();
        let planned = request(Some("other"), "2");
        control.call(planned, true, |state| set(state, "2")).unwrap();
        control.call(request(Some("k"), "1"), false, |_| panic!("decided again")).unwrap();
    }
    let state = control.state();
    assert!(state.calls.len() < 3 * 70, "the oldest rows are gone: {}", state.calls.len());
    assert_eq!(applied(&state), 0, "that of the call with the key too");
    drop(control);
    let again = open(&folder).call(request(Some("k"), "1"), false, |_| panic!("decided again")).unwrap();
    assert_eq!(again.status, Status::Replayed);
}

#[test]
fn a_request_of_a_megabyte_is_refused_and_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    let long = Request { reason: Some("x".repeat(REQUEST_BYTES_MAX)), ..request(None, "1") };
    let fault = control.call(long, false, |_| panic!("decided")).unwrap_err();
    assert_eq!((fault.code, control.state().calls.len()), (Code::CALL_INVALID, 0));
}

#[test]
fn a_queued_call_that_changes_something_tells_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    let queued = |state: &State| Ok(Decision { is_queued: true, ..set(state, "1")? });
    let call = control.call(request(None, "1"), false, queued).unwrap();
    assert_eq!((call.status, call.touched[0].version_after), (Status::Queued, Some(1)));
    assert_eq!(control.state().settings["x"].version, 1);
}
