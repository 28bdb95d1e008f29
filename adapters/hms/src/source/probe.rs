//! What a server is and can.

use std::sync::atomic::Ordering;

use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::{ConstraintKind, DEFAULT_CATALOG, DatabaseName};
use skep_catalog::ports::{Source, SourceFacts};

use super::reply::{NEVER_NOT_FOUND, read_text};
use super::request::{next_notification, nothing, privileges_of};
use super::{Answer, HmsSource, details, is_there};

impl HmsSource {
    pub(super) async fn find_facts(&self) -> Result<SourceFacts, Fault> {
        // A server may have been replaced by another release since it was last asked.
        self.missing.lock().clear();
        *self.has_catalogs.lock() = None;
        let has_catalogs = self.dialect().await?.has_catalogs;
        let hive_version = self.version(has_catalogs).await?;
        let (head_event_id, log_fault) = match self.log().await? {
            Log::Open(head) => (Some(head), None),
            Log::None => (None, None),
            Log::Unreadable(fault) => (None, Some(fault)),
        };
        let database_id =
            if self.try_optional_methods().await? { self.find_database_id().await } else { None };
        // A method whose sister does the same is not missed.
        let optional = |method: &&&str| OPTIONAL.contains(method);
        let missing_methods =
            self.missing.lock().iter().filter(optional).map(|&method| method.to_owned()).collect();
        Ok(SourceFacts {
            hive_version,
            endpoint_uri: self.client.endpoint_uri(),
            has_catalogs,
            head_event_id,
            log_fault,
            database_id,
            missing_methods,
            auth_mode: if self.client.options().tls.is_some() { "tls" } else { "none" }.to_owned(),
        })
    }

    /// `getVersion` answers "3.0" on all of 2.3 and 3.x and the release on 4.x. Catalogs came
    /// with 3.0.
    async fn version(&self, has_catalogs: bool) -> Result<String, Fault> {
        let said = self.ask("getVersion", &nothing(), NEVER_NOT_FOUND, read_text).await;
        let said = match said {
            Ok(said) => said,
            Err(failure) => is_there::<()>(Err(failure)).map(|_| String::new())?,
        };
        let major = said.split('.').next().and_then(|major| major.parse::<u32>().ok());
        Ok(match (major, has_catalogs) {
            (Some(4..), _) => said,
            (_, true) => "3.1".to_owned(),
            (_, false) => "2.3".to_owned(),
        })
    }

    /// Asks each optional method once about nothing in particular, until one runs into its
    /// deadline: the others are taken to be there, and show when they are needed. Whether none did.
    async fn try_optional_methods(&self) -> Result<bool, Fault> {
        let dialect = self.dialect().await?;
        let database = DatabaseName::new(DEFAULT_CATALOG, "default");
        // A name that no table can have: the answer is empty or an error, both show the method.
        let table = database.table(NOBODY);
        for method in OPTIONAL {
            let kind = ConstraintKind::ALL.into_iter().find(|kind| details::method(*kind) == method);
            let arguments = match (method, kind) {
                (_, Some(kind)) => dialect.constraints(kind, &table),
                ("get_functions", _) => dialect.of_database_and(&database, NOBODY),
                ("get_table_statistics_req", _) => dialect.statistics(&table, &[]),
                ("list_privileges", _) => privileges_of(NOBODY),
                ("get_next_notification", _) => next_notification(i64::MAX - 1, 1),
                _ => nothing(),
            };
            match self.ask(method, &arguments, NEVER_NOT_FOUND, |_, _, _| Ok(())).await {
                // A server without the method says so at once: one that is busy with it has it.
                Err(failure) if failure.fault.code == Code::METASTORE_SLOW => return Ok(false),
                asked => is_there(asked).map(|_| ())?,
            }
        }
        Ok(true)
    }

    /// What identifies the database behind the server, when it can say so.
    pub(super) async fn find_database_id(&self) -> Option<String> {
        let asked = self.ask("get_metastore_db_uuid", &nothing(), NEVER_NOT_FOUND, read_text).await;
        asked.ok().filter(|id| !id.is_empty())
    }

    /// The log. A server without a listener answers 0; so does one whose log is still empty, but
    /// then it holds no more than its default database.
    async fn log(&self) -> Result<Log, Fault> {
        match self.log_if_open().await? {
            Log::Open(0) => {}
            log => return Ok(log),
        }
        let databases = self.database_names(DEFAULT_CATALOG).await?;
        let has_objects = databases.iter().any(|name| name != "default")
            || !self.table_names(&DatabaseName::new(DEFAULT_CATALOG, "default")).await?.is_empty();
        Ok(if has_objects { Log::None } else { Log::Open(0) })
    }

    /// The log, as the server tells of it.
    ///
    /// A server whose database is down must not seem to have no log: its mirror would lose its
    /// position. Hive says neither that it refuses its log
    /// (`metastore.event.db.notification.api.auth`) nor that its database is down: both are the
    /// same internal error. A log that was read before is not closed; one that was not is unreadable
    /// when it fails twice while the database answers in between.
    async fn log_if_open(&self) -> Result<Log, Fault> {
        let first = self.read_head().await;
        if let Some(known) = known_log(&first) {
            return Ok(known);
        }
        if let Err(failure) = first
            && (!failure.is_undeclared || self.has_shown_log.load(Ordering::Relaxed))
        {
            return Err(failure.fault);
        }
        self.database_names(DEFAULT_CATALOG).await?;
        let second = self.read_head().await;
        match (known_log(&second), second) {
            (Some(known), _) => Ok(known),
            (None, Err(failure)) if failure.is_undeclared => Ok(Log::Unreadable(failure.fault)),
            (None, Err(failure)) => Err(failure.fault),
            (None, Ok(head)) => Ok(Log::Open(head)),
        }
    }
}

/// A notification log.
enum Log {
    /// Its newest event id.
    Open(i64),
    /// There is none for us.
    None,
    /// It may be kept from us, or fail.
    Unreadable(Fault),
}

/// What an answer says of the log for sure: its head, or that there is none for us.
fn known_log(asked: &Answer<i64>) -> Option<Log> {
    match asked {
        Ok(head) => Some(Log::Open(*head)),
        Err(failure) => {
            matches!(failure.fault.code, Code::METASTORE_METHOD_MISSING | Code::METASTORE_REFUSED)
                .then_some(Log::None)
        }
    }
}

/// A name that no object and no principal has.
const NOBODY: &str = "skep_probe";

/// Methods whose absence leaves something out of the mirror.
const OPTIONAL: [&str; 11] = [
    "get_current_notificationEventId",
    "get_next_notification",
    "get_functions",
    "get_primary_keys",
    "get_foreign_keys",
    "get_unique_constraints",
    "get_not_null_constraints",
    "get_default_constraints",
    "get_check_constraints",
    "get_table_statistics_req",
    "list_privileges",
];
