//! What a call comes to: on the newest state, without any effect.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use skep_catalog::control::{Change, Decision, MetastoreOptions, State, Touched};
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::{DatabaseName, TableName};

use super::arguments::Bound;
use super::host::{Effect, Extent, Host};
use crate::caller::Caller;
use crate::errors::nearest;
use crate::jobs::Jobs;
use crate::queries::Queries;
use crate::queries::Query;

/// What calls are decided on.
pub struct Facts<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// What was decided before.
    pub state: &'a State,
    /// The process around.
    pub host: &'a dyn Host,
    /// Statements that run.
    pub queries: &'a Queries,
    /// Work that runs.
    pub jobs: &'a Jobs,
}

/// What is done once a call is recorded.
pub enum Act {
    /// Nothing.
    None,
    /// By the process around the engine.
    Host(Effect),
    /// The same, after the answer.
    Job(Effect),
    /// A statement ends.
    Kill(Arc<Query>, Fault),
}

/// What a call comes to.
pub struct Decided {
    /// To be recorded.
    pub decision: Decision,
    /// To be done then.
    pub act: Act,
}

impl Decided {
    /// One object that changes.
    fn change(changes: Vec<Change>, touched: Touched) -> Self {
        let act = if changes.is_empty() { Act::None } else { Act::Host(Effect::Settle) };
        Self { decision: Decision { changes, touched: vec![touched], ..Decision::default() }, act }
    }
}

/// Whether the role of the caller is enough.
///
/// Errors: `CALL_NOT_ALLOWED`.
pub fn check_role(bound: &Bound, caller: &Caller) -> Result<(), Fault> {
    if bound.procedure.role <= caller.role {
        return Ok(());
    }
    let (needed, has) = (bound.procedure.role.as_str(), caller.role.as_str());
    let why = format!("it is for the role {needed}, and {} is {has}", caller.principal);
    Err(Fault::new(Code::CALL_NOT_ALLOWED, bound.what(), why))
}

fn not_allowed(bound: &Bound, caller: &Caller, why: &str) -> Fault {
    let why = format!("{} sees a part of the metastores only, and {why}", caller.principal);
    Fault::new(Code::CALL_NOT_ALLOWED, bound.what(), why)
        .with_fix("Ask somebody who sees all that the call is about.")
}

/// What is about all metastores is for those who see all of them.
///
/// Errors: `CALL_NOT_ALLOWED`.
fn check_sees_all(bound: &Bound, caller: &Caller) -> Result<(), Fault> {
    match caller.scope.is_everything() {
        true => Ok(()),
        false => Err(not_allowed(bound, caller, "this is about all of them")),
    }
}

/// The same of all databases of a metastore.
fn check_sees_metastore(bound: &Bound, caller: &Caller) -> Result<(), Fault> {
    match caller.scope.has_all_databases() {
        true => Ok(()),
        false => Err(not_allowed(bound, caller, "this is about all databases of one")),
    }
}

/// What a call comes to.
///
/// Errors: `CALL_*`, `METASTORE_UNKNOWN`.
pub fn decide(bound: &Bound, facts: &Facts<'_>) -> Result<Decided, Fault> {
    check_role(bound, facts.caller)?;
    match bound.procedure.name {
        "set_setting" => set_setting(bound, facts),
        "reset_setting" => reset_setting(bound, facts),
        "add_metastore" => add_metastore(bound, facts),
        "alter_metastore" => alter_metastore(bound, facts),
        "remove_metastore" => remove_metastore(bound, facts),
        "pause_metastore" => pause_metastore(bound, facts, true),
        "resume_metastore" => pause_metastore(bound, facts, false),
        "refresh_metastore" => refresh(bound, facts, bound.required("name")?, Extent::Metastore),
        "refresh_database" => {
            refresh(bound, facts, bound.required("metastore_name")?, Extent::Database(database(bound)?))
        }
        "refresh_table" => {
            let table = database(bound)?.table(bound.required("table_name")?.to_lowercase());
            refresh(bound, facts, bound.required("metastore_name")?, Extent::Table(table))
        }
        "kill_query" => kill_query(bound, facts),
        "backup_store" => {
            let path = facts.host.check_backup(bound.required("path")?)?;
            job(bound, facts, "folder", path.clone(), Effect::Backup(path))
        }
        "compact_store" => job(bound, facts, "store", "store".to_owned(), Effect::Compact),
        name => Err(Fault::internal(bound.what(), format!("nothing is decided about {name}"))),
    }
}

/// Metastores write names in small letters.
fn database(bound: &Bound) -> Result<DatabaseName, Fault> {
    let [catalog, database] = [bound.required("catalog_name")?, bound.required("database_name")?];
    Ok(DatabaseName::new(catalog.to_lowercase(), database.to_lowercase()))
}

/// Errors: `CALL_CONFLICT`.
fn check_version(bound: &Bound, object: &str, version: Option<u64>) -> Result<(), Fault> {
    let Some(expected) = bound.int("expected_version") else { return Ok(()) };
    let actual = i64::try_from(version.unwrap_or(0)).unwrap_or(i64::MAX);
    if expected == actual {
        return Ok(());
    }
    let why = format!("{object} has version {actual}, not {expected}");
    Err(Fault::new(Code::CALL_CONFLICT, bound.what(), why))
}

fn set_setting(bound: &Bound, facts: &Facts<'_>) -> Result<Decided, Fault> {
    check_sees_all(bound, facts.caller)?;
    let known = facts.host.setting(bound.required("name")?)?;
    let value = facts.host.check_setting(&known.name, bound.required("value")?)?;
    let before = facts.state.settings.get(&known.name);
    check_version(bound, &known.name, before.map(|before| before.version))?;
    let is_so = before.is_some_and(|before| before.value == value);
    let changes = match is_so {
        true => Vec::new(),
        false => vec![Change::SetSetting { name: known.name.clone(), value: value.clone() }],
    };
    let touched = Touched {
        object_type: "setting".to_owned(),
        version_before: before.map(|before| before.version),
        version_after: None,
        before_json: Some(match before {
            Some(before) => setting_json(Some(&before.value), "procedure"),
            None => setting_json(known.value.as_deref(), known.origin),
        }),
        after_json: Some(setting_json(Some(&value), "procedure")),
        message: Some(format!("{} is {value}", known.name)),
        object_name: known.name,
    };
    Ok(Decided::change(changes, touched))
}

fn reset_setting(bound: &Bound, facts: &Facts<'_>) -> Result<Decided, Fault> {
    check_sees_all(bound, facts.caller)?;
    let known = facts.host.setting(bound.required("name")?)?;
    let before = facts.state.settings.get(&known.name);
    check_version(bound, &known.name, before.map(|before| before.version))?;
    let changes = before.map(|_| Change::ResetSetting { name: known.name.clone() });
    let shown = known.value.as_deref().unwrap_or("not set");
    let touched = Touched {
        object_type: "setting".to_owned(),
        version_before: before.map(|before| before.version),
        before_json: before.map(|before| setting_json(Some(&before.value), "procedure")),
        message: Some(format!("{} is {shown}, as the config says", known.name)),
        object_name: known.name,
        ..Touched::default()
    };
    Ok(Decided::change(changes.into_iter().collect(), touched))
}

fn setting_json(value: Option<&str>, origin: &str) -> String {
    json!({ "value": value, "origin": origin }).to_string()
}

/// Options of a metastore that a call names.
fn options_of(bound: &Bound) -> MetastoreOptions {
    let options = bound.own().filter(|(spec, _)| spec.name != "name");
    options.map(|(spec, value)| (spec.name.to_owned(), value.shown())).collect()
}

fn metastore_json(options: Option<&MetastoreOptions>, is_paused: bool) -> String {
    // What the config file says of a metastore is in runtime.settings.
    let options = options.map_or(Json::Null, |options| json!(options));
    json!({ "options": options, "is_paused": is_paused }).to_string()
}

/// A metastore as it is before a call.
fn metastore(facts: &Facts<'_>, name: &str) -> Touched {
    let is_paused = facts.state.paused.contains_key(name);
    let options = facts.state.metastores.get(name).map(|options| &options.value);
    let is_there = options.is_some() || facts.host.configured().iter().any(|known| known == name);
    Touched {
        object_type: "metastore".to_owned(),
        object_name: name.to_owned(),
        version_before: facts.state.metastore_versions.get(name).copied(),
        before_json: is_there.then(|| metastore_json(options, is_paused)),
        ..Touched::default()
    }
}

fn unknown_metastore(bound: &Bound, facts: &Facts<'_>, name: &str) -> Fault {
    let configured = facts.host.configured();
    let known = configured.iter().chain(facts.state.metastores.keys());
    let known = known.map(String::as_str).filter(|name| facts.caller.scope.has_metastore(name));
    let known: Vec<&str> = known.collect();
    let fault =
        Fault::new(Code::METASTORE_UNKNOWN, bound.what(), format!("no metastore has the name {name}"));
    match nearest(name, &known) {
        Some(near) => fault.with_fix(format!("Did you mean {near}?")),
        None => fault,
    }
}

fn of_config(bound: &Bound, name: &str) -> Fault {
    bound
        .invalid(format!("{name} is a metastore of the config file"))
        .with_fix("Change the config file and send SIGHUP; calls can pause, resume and refresh it.")
}

fn add_metastore(bound: &Bound, facts: &Facts<'_>) -> Result<Decided, Fault> {
    check_sees_all(bound, facts.caller)?;
    let name = bound.required("name")?;
    if facts.host.configured().iter().any(|known| known == name) {
        return Err(of_config(bound, name));
    }
    let options = options_of(bound);
    let before = facts.state.metastores.get(name);
    if before.is_some_and(|before| before.value != options) {
        return Err(bound
            .invalid(format!("there is a metastore {name} with other options"))
            .with_fix("Change it with ops.alter_metastore, or choose another name."));
    }
    facts.host.check_metastore(name, &options, facts.state)?;
    let touched = Touched {
        after_json: Some(metastore_json(Some(&options), facts.state.paused.contains_key(name))),
        message: Some(match facts.host.follows() {
            true => format!("{name} is mirrored from now on: sync.status tells how far it is"),
            false => format!("{name} is mirrored by the next skep serve or skep sync"),
        }),
        ..metastore(facts, name)
    };
    let change = Change::PutMetastore { name: name.to_owned(), options };
    Ok(Decided::change(if before.is_some() { Vec::new() } else { vec![change] }, touched))
}

fn alter_metastore(bound: &Bound, facts: &Facts<'_>) -> Result<Decided, Fault> {
    check_sees_all(bound, facts.caller)?;
    let name = bound.required("name")?;
    let Some(before) = facts.state.metastores.get(name) else {
        let is_configured = facts.host.configured().iter().any(|known| known == name);
        return Err(if is_configured {
            of_config(bound, name)
        } else {
            unknown_metastore(bound, facts, name)
        });
    };
    let touched = metastore(facts, name);
    check_version(bound, name, touched.version_before)?;
    let mut options = before.value.clone();
    options.extend(options_of(bound));
    let is_so = options == before.value;
    facts.host.check_metastore(name, &options, facts.state)?;
    let touched = Touched {
        after_json: Some(metastore_json(Some(&options), facts.state.paused.contains_key(name))),
        message: Some(format!("{name} is asked so from now on; what is mirrored of it stays")),
        ..touched
    };
    let change = Change::PutMetastore { name: name.to_owned(), options };
    Ok(Decided::change(if is_so { Vec::new() } else { vec![change] }, touched))
}

fn remove_metastore(bound: &Bound, facts: &Facts<'_>) -> Result<Decided, Fault> {
    check_sees_all(bound, facts.caller)?;
    let name = bound.required("name")?;
    if !facts.state.metastores.contains_key(name) {
        let is_configured = facts.host.configured().iter().any(|known| known == name);
        return Err(if is_configured {
            of_config(bound, name)
        } else {
            unknown_metastore(bound, facts, name)
        });
    }
    let touched = metastore(facts, name);
    check_version(bound, name, touched.version_before)?;
    let touched = Touched { message: Some(format!("{name} and its rows are gone")), ..touched };
    Ok(Decided::change(vec![Change::RemoveMetastore { name: name.to_owned() }], touched))
}

fn pause_metastore(bound: &Bound, facts: &Facts<'_>, is_to_pause: bool) -> Result<Decided, Fault> {
    let name = known_metastore(bound, facts, bound.required("name")?)?;
    check_sees_metastore(bound, facts.caller)?;
    let touched = metastore(facts, &name);
    check_version(bound, &name, touched.version_before)?;
    let is_paused = facts.state.paused.contains_key(&name);
    let options = facts.state.metastores.get(&name).map(|options| &options.value);
    let message = match is_to_pause {
        true => format!("{name} is not asked until it is resumed; its rows stay"),
        false => format!("{name} is asked again"),
    };
    let touched =
        Touched { after_json: Some(metastore_json(options, is_to_pause)), message: Some(message), ..touched };
    let change = match is_to_pause {
        true => Change::PauseMetastore { name },
        false => Change::ResumeMetastore { name },
    };
    Ok(Decided::change(if is_paused == is_to_pause { Vec::new() } else { vec![change] }, touched))
}

/// Errors: `METASTORE_UNKNOWN`.
fn known_metastore(bound: &Bound, facts: &Facts<'_>, name: &str) -> Result<String, Fault> {
    let is_known = facts.state.metastores.contains_key(name)
        || facts.host.configured().iter().any(|known| known == name);
    if is_known && facts.caller.scope.has_metastore(name) {
        Ok(name.to_owned())
    } else {
        Err(unknown_metastore(bound, facts, name))
    }
}

fn refresh(bound: &Bound, facts: &Facts<'_>, name: &str, extent: Extent) -> Result<Decided, Fault> {
    let metastore = known_metastore(bound, facts, name)?;
    if !facts.host.follows() {
        let why = "no metastore is followed in this process";
        return Err(Fault::new(Code::CALL_NOT_HERE, bound.what(), why)
            .with_fix("Read everything again with skep sync, or call this at the service."));
    }
    if facts.state.paused.contains_key(&metastore) {
        let why = format!("{metastore} is paused");
        return Err(bound.invalid(why).with_fix("Resume it first: CALL ops.resume_metastore."));
    }
    let seen = &facts.caller.scope;
    match &extent {
        Extent::Metastore => check_sees_metastore(bound, facts.caller)?,
        Extent::Database(database) | Extent::Table(TableName { database, .. }) => {
            if !seen.has_database(&database.catalog, &database.database) {
                return Err(not_allowed(
                    bound,
                    facts.caller,
                    &format!("{metastore}.{database} is not in it"),
                ));
            }
        }
    }
    let (object_type, object_name) = match &extent {
        Extent::Metastore => ("metastore", metastore.clone()),
        Extent::Database(database) => ("database", format!("{metastore}.{database}")),
        Extent::Table(table) => ("table", format!("{metastore}.{table}")),
    };
    let touched = Touched {
        object_type: object_type.to_owned(),
        message: Some(match extent {
            Extent::Metastore => format!("{object_name} is read again: sync.runs tells when it is done"),
            _ => format!("{object_name} is read again: its synced_at tells when it is done"),
        }),
        object_name,
        ..Touched::default()
    };
    let decision = Decision { touched: vec![touched], is_queued: true, ..Decision::default() };
    Ok(Decided { decision, act: Act::Host(Effect::Refresh { metastore, extent }) })
}

/// Work that takes its time.
fn job(
    bound: &Bound,
    facts: &Facts<'_>,
    object_type: &str,
    object_name: String,
    effect: Effect,
) -> Result<Decided, Fault> {
    check_sees_all(bound, facts.caller)?;
    facts.jobs.check_room()?;
    let touched = Touched {
        object_type: object_type.to_owned(),
        object_name,
        message: Some("it has begun: runtime.jobs tells when it is done".to_owned()),
        ..Touched::default()
    };
    let decision = Decision { touched: vec![touched], is_queued: true, ..Decision::default() };
    Ok(Decided { decision, act: Act::Job(effect) })
}

fn kill_query(bound: &Bound, facts: &Facts<'_>) -> Result<Decided, Fault> {
    let query_id = bound.int("query_id").and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
    let Some(query) = facts.queries.get(query_id) else {
        return Err(bound
            .invalid(format!("no statement with the number {query_id} runs"))
            .with_fix("runtime.queries lists those that run; it may have ended by itself."));
    };
    if query.is_call {
        return Err(bound.invalid(format!("{query_id} is a CALL, which is not ended half way")));
    }
    let caller = facts.caller;
    let message = bound.text("message").map(|message| format!(": {message}")).unwrap_or_default();
    let fault = Fault::new(
        Code::SQL_CANCELLED,
        "statement ended",
        format!("{} ended it with ops.kill_query{message}", caller.principal),
    );
    let touched = Touched {
        object_type: "query".to_owned(),
        object_name: query_id.to_string(),
        message: Some(format!("statement {query_id} of {} is ended", query.caller.principal)),
        ..Touched::default()
    };
    let decision = Decision { touched: vec![touched], has_effect: true, ..Decision::default() };
    Ok(Decided { decision, act: Act::Kill(query, fault) })
}
