//! What people decided, folded from the journal.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Calls that are kept as rows of the audit log, and as many more by their idempotency keys.
pub const CALLS_KEPT_MAX: usize = 100_000;
/// Bytes of text in those of either kind.
const CALLS_BYTES_MAX: usize = 32 << 20;
/// Bytes of text in one request.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Options of a metastore, by their names in the config file.
pub type MetastoreOptions = BTreeMap<String, String>;

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A setting has this value, whatever the config file says.
    SetSetting {
        /// As in `runtime.settings`.
        name: String,
        /// As text.
        value: String,
    },
    /// A setting has the value of the config file again.
    ResetSetting {
        /// As in `runtime.settings`.
        name: String,
    },
    /// A metastore is there besides those of the config file, or has other options.
    PutMetastore {
        /// Unique among all.
        name: String,
        /// All of them.
        options: MetastoreOptions,
    },
    /// A metastore that was put is there no more.
    RemoveMetastore {
        /// Its name.
        name: String,
    },
    /// A metastore is not asked any more.
    PauseMetastore {
        /// Of the config file, or put.
        name: String,
    },
    /// It is asked again.
    ResumeMetastore {
        /// Of the config file, or put.
        name: String,
    },
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A dry run: nothing changed.
    Planned,
    /// It took effect.
    Applied,
    /// All was as asked for already.
    Unchanged,
    /// It is accepted and goes on by itself.
    Queued,
    /// It was refused.
    Rejected,
    /// The same idempotency key was there before: the answer is that of the first call.
    Replayed,
}

impl Status {
    /// As shown in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Queued => "queued",
            Self::Rejected => "rejected",
            Self::Replayed => "replayed",
        }
    }
}

/// What a call did to one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    /// `setting`, `metastore`, ...
    pub object_type: String,
    /// Its name.
    pub object_name: String,
    /// See [`Versioned`]; `None` when it was not there.
    pub version_before: Option<u64>,
    /// `None` when it is not there any more. Filled in when the change is recorded.
    pub version_after: Option<u64>,
    /// What it was, as JSON.
    pub before_json: Option<String>,
    /// What it is, as JSON.
    pub after_json: Option<String>,
    /// For people.
    pub message: Option<String>,
}

/// Who calls what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Unique; made by whoever accepts the call.
    pub call_id: String,
    /// Microseconds since 1970, UTC.
    pub called_at: i64,
    /// Who calls.
    pub principal: String,
    /// From where.
    pub client: String,
    /// `ops.set_setting`, ...
    pub procedure_name: String,
    /// By name, as text; secrets are left out before.
    pub arguments: BTreeMap<String, String>,
    /// Why, in the words of the caller.
    pub reason: Option<String>,
    /// A repeat of the same call with the same key has no effect.
    pub idempotency_key: Option<String>,
}

/// A call and what became of it: a row of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Who and what. Of a replay, `call_id` is that of the first call.
    pub request: Request,
    /// See [`Status`].
    pub status: Status,
    /// One per object.
    pub touched: Vec<Touched>,
    /// Code and message, of a rejected one.
    pub error: Option<(String, String)>,
}

impl Request {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        let arguments = self.arguments.iter().map(|(name, value)| name.len() + value.len());
        let optional = [&self.reason, &self.idempotency_key].into_iter().flatten().map(String::len);
        let texts = [&self.call_id, &self.principal, &self.client, &self.procedure_name];
        texts.into_iter().map(String::len).chain(optional).chain(arguments).sum()
    }
}

impl Call {
    fn bytes(&self) -> usize {
        let touched = self.touched.iter().map(|object| {
            let optional = [&object.before_json, &object.after_json, &object.message];
            let optional = optional.into_iter().flatten().map(String::len).sum::<usize>();
            object.object_type.len() + object.object_name.len() + optional
        });
        let error = self.error.iter().map(|(code, message)| code.len() + message.len());
        self.request.bytes() + touched.chain(error).sum::<usize>()
    }
}

/// A value and when it became so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Number of the journal's record that made it so.
    pub version: u64,
}

/// One record of the journal: a call with its changes, so that there is never one without the
/// other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub call: Arc<Call>,
    pub changes: Vec<Change>,
}

/// Everything that was decided, as of one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Settings that differ from the config file, by name.
    pub settings: BTreeMap<String, Versioned<String>>,
    /// Metastores besides those of the config file, by name.
    pub metastores: BTreeMap<String, Versioned<MetastoreOptions>>,
    /// Metastores that are not asked, by name.
    pub paused: BTreeMap<String, Versioned<()>>,
    /// Number of the last record that changed a metastore, by its name.
    pub metastore_versions: BTreeMap<String, u64>,
    /// The newest of all.
    pub calls: Calls,
    /// The newest that used a key up: rows of the audit log must not push them out.
    keyed: Calls,
}

/// Calls, oldest first: at most [`CALLS_KEPT_MAX`], with at most 32 MiB of text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    calls: VecDeque<Arc<Call>>,
    bytes: usize,
}

impl Calls {
    fn push(&mut self, call: &Arc<Call>) {
        self.calls.push_back(Arc::clone(call));
        self.bytes += call.bytes();
        while (CALLS_KEPT_MAX < self.calls.len() || CALLS_BYTES_MAX < self.bytes) && 1 < self.calls.len() {
            self.bytes -= self.calls.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }
}

impl Deref for Calls {
    type Target = VecDeque<Arc<Call>>;

    fn deref(&self) -> &Self::Target {
        &self.calls
    }
}

impl State {
    /// The call that used up this key of this principal.
    pub fn call_with_key(&self, principal: &str, key: &str) -> Option<&Arc<Call>> {
        let has_key = |call: &&Arc<Call>| {
            call.request.idempotency_key.as_deref() == Some(key) && call.request.principal == principal
        };
        self.keyed.iter().rev().find(has_key)
    }

    /// The call with this id that was not a replay.
    pub fn call(&self, call_id: &str) -> Option<&Arc<Call>> {
        self.calls
            .iter()
            .rev()
            .find(|call| call.request.call_id == call_id && call.status != Status::Replayed)
    }

    /// The state after this record.
    pub(super) fn apply(&mut self, record: &Record, number: u64) {
        for change in &record.changes {
            self.change(change, number);
        }
        self.calls.push(&record.call);
        if record.call.request.idempotency_key.is_some() && record.call.status != Status::Replayed {
            self.keyed.push(&record.call);
        }
    }

    fn change(&mut self, change: &Change, version: u64) {
        match change {
            Change::SetSetting { name, value } => {
                self.settings.insert(name.clone(), Versioned { value: value.clone(), version });
            }
            Change::ResetSetting { name } => {
                self.settings.remove(name);
            }
            Change::PutMetastore { name, options } => {
                self.metastore_versions.insert(name.clone(), version);
                self.metastores.insert(name.clone(), Versioned { value: options.clone(), version });
            }
            Change::RemoveMetastore { name } => {
                self.metastore_versions.remove(name);
                self.metastores.remove(name);
                self.paused.remove(name);
            }
            Change::PauseMetastore { name } => {
                self.metastore_versions.insert(name.clone(), version);
                self.paused.insert(name.clone(), Versioned { value: (), version });
            }
            Change::ResumeMetastore { name } => {
                self.metastore_versions.insert(name.clone(), version);
                self.paused.remove(name);
            }
        }
    }
}
