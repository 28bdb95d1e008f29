//! Every procedure, declared once.
//!
//! What is written here decides what a CALL may say, and feeds `runtime.procedures`,
//! `runtime.procedure_parameters`, `docs.procedures` and the reference page.

use crate::caller::Role;
use crate::spec::Kind;

/// Schema of all procedures.
pub const SCHEMA: &str = "ops";

/// One argument.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentSpec {
    /// Name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a call must have it.
    pub is_required: bool,
    /// What it is when a call does not have it, as written in SQL.
    pub default: Option<&'static str>,
    /// Whether it is left out of the audit log and of messages.
    pub is_secret: bool,
    /// One sentence.
    pub comment: &'static str,
}

impl ArgumentSpec {
    const fn new(name: &'static str, kind: Kind, comment: &'static str) -> Self {
        Self { name, kind, is_required: false, default: None, is_secret: false, comment }
    }
    const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
    const fn default(mut self, sql: &'static str) -> Self {
        self.default = Some(sql);
        self
    }
}

const fn text(name: &'static str, comment: &'static str) -> ArgumentSpec {
    ArgumentSpec::new(name, Kind::Text, comment)
}
const fn int(name: &'static str, comment: &'static str) -> ArgumentSpec {
    ArgumentSpec::new(name, Kind::Int, comment)
}
const fn boolean(name: &'static str, comment: &'static str) -> ArgumentSpec {
    ArgumentSpec::new(name, Kind::Bool, comment)
}
const fn list(name: &'static str, comment: &'static str) -> ArgumentSpec {
    ArgumentSpec::new(name, Kind::TextList, comment)
}

/// One procedure.
#[derive(Clone, Copy, Debug)]
pub struct ProcedureSpec {
    /// Name, without the schema.
    pub name: &'static str,
    /// One sentence.
    pub comment: &'static str,
    /// Who may call it.
    pub role: Role,
    /// Its own arguments, in order; [`COMMON`] come after them.
    pub arguments: &'static [ArgumentSpec],
    /// Whether the object that it changes has versions: [`EXPECTED_VERSION`] is the last argument.
    pub is_versioned: bool,
    /// A call of it.
    pub example: &'static str,
}

impl ProcedureSpec {
    /// `ops.name`.
    pub fn full_name(&self) -> String {
        format!("{SCHEMA}.{}", self.name)
    }

    /// All arguments in order.
    pub fn all_arguments(&self) -> impl Iterator<Item = &'static ArgumentSpec> + use<> {
        self.arguments.iter().chain(COMMON).chain(self.is_versioned.then_some(&EXPECTED_VERSION))
    }
}

/// Arguments that every procedure has.
pub const COMMON: &[ArgumentSpec] = &[
    boolean("dry_run", "Whether to only say what would happen.").default("FALSE"),
    text("reason", "Why, for the audit log."),
    text("idempotency_key", "A repeat of this call with the same key answers with the first result."),
];

/// Argument of the procedures whose object has versions.
pub const EXPECTED_VERSION: ArgumentSpec = int(
    "expected_version",
    "The call is refused when the object has another version; 0 is one that no call has changed.",
);

const METASTORE: ArgumentSpec = text("name", "Metastore.").required();
const OF_METASTORE: ArgumentSpec = text("metastore_name", "Metastore.").required();
const URIS: ArgumentSpec =
    list("uris", "Thrift addresses of one metastore service; the next is tried when one fails.");
const CATALOG_NAME: ArgumentSpec =
    text("catalog_name", "Catalog inside the metastore; 'hive' where the server has none.").default("'hive'");
const DATABASE: ArgumentSpec = text("database_name", "Database.").required();
const SETTING: ArgumentSpec = text("name", "Setting, as in runtime.settings.").required();

const FOLLOW: ArgumentSpec = text("follow", "How changes are learned: 'auto', 'events' or 'polling'.");
const USER: ArgumentSpec = text("user", "User told to the metastore with set_ugi; without it none is told.");
const CONNECT_TIMEOUT: ArgumentSpec = int("connect_timeout_ms", "Time for one connection attempt.");
const REQUEST_TIMEOUT: ArgumentSpec = int("request_timeout_ms", "Time for one whole reply.");
const IDLE_TIMEOUT: ArgumentSpec = int("idle_timeout_ms", "Time after which an unused connection is closed.");
const IN_FLIGHT: ArgumentSpec = int("requests_in_flight_max", "Requests under way at once.");
const PER_SECOND: ArgumentSpec = int("requests_per_second_max", "Requests begun per second; 0 is no limit.");
const FRAMED: ArgumentSpec = boolean("framed", "Framed transport.");
const COMPACT: ArgumentSpec = boolean("compact", "Compact protocol.");
const EVENTS_INTERVAL: ArgumentSpec =
    int("events_interval_ms", "Pause between looks at the notification log while nothing comes.");
const POLL_INTERVAL: ArgumentSpec =
    int("poll_interval_ms", "With polling: pause between listings of all names.");
const PASS_INTERVAL: ArgumentSpec =
    int("pass_interval_ms", "With polling: pause between complete passes over all objects.");
const REFRESH_INTERVAL: ArgumentSpec =
    int("refresh_interval_ms", "With events: pause between complete passes over all objects; 0 is none.");

/// All procedures, by name.
pub const PROCEDURES: &[ProcedureSpec] = &[
    ProcedureSpec {
        name: "add_metastore",
        comment: "Mirrors another metastore; options that are not named are those of the config file's defaults.",
        role: Role::Admin,
        arguments: &[
            text("name", "Name, unique: letters, digits, - and _, at most 64.").required(),
            URIS.required(),
            FOLLOW,
            USER,
            CONNECT_TIMEOUT,
            REQUEST_TIMEOUT,
            IDLE_TIMEOUT,
            IN_FLIGHT,
            PER_SECOND,
            FRAMED,
            COMPACT,
            EVENTS_INTERVAL,
            POLL_INTERVAL,
            PASS_INTERVAL,
            REFRESH_INTERVAL,
        ],
        is_versioned: false,
        example: "CALL ops.add_metastore(name => 'dc9', uris => ['thrift://hms9.example:9083'], follow => 'polling')",
    },
    ProcedureSpec {
        name: "alter_metastore",
        comment: "Changes options of a metastore that was added by a call; what is not named stays.",
        role: Role::Admin,
        arguments: &[
            METASTORE,
            URIS,
            FOLLOW,
            USER,
            CONNECT_TIMEOUT,
            REQUEST_TIMEOUT,
            IDLE_TIMEOUT,
            IN_FLIGHT,
            PER_SECOND,
            FRAMED,
            COMPACT,
            EVENTS_INTERVAL,
            POLL_INTERVAL,
            PASS_INTERVAL,
            REFRESH_INTERVAL,
        ],
        is_versioned: true,
        example: "CALL ops.alter_metastore(name => 'dc9', uris => ['thrift://hms9.example:9083', 'thrift://hms10.example:9083'])",
    },
    ProcedureSpec {
        name: "backup_store",
        comment: "Copies the catalog and the journal to a new folder, which can be a data_dir.",
        role: Role::Admin,
        arguments: &[text(
            "path",
            "Folder on the machine of skep; it must not exist yet, the one above must.",
        )
        .required()],
        is_versioned: false,
        example: "CALL ops.backup_store(path => '/backup/skep-2026-11-22')",
    },
    ProcedureSpec {
        name: "compact_store",
        comment: "Merges changes into segments and gives the space of what was overwritten back.",
        role: Role::Operator,
        arguments: &[],
        is_versioned: false,
        example: "CALL ops.compact_store()",
    },
    ProcedureSpec {
        name: "kill_query",
        comment: "Ends a statement that runs.",
        role: Role::Operator,
        arguments: &[
            int("query_id", "Number of the statement, as in runtime.queries.").required(),
            text("message", "Told to whoever asked."),
        ],
        is_versioned: false,
        example: "CALL ops.kill_query(query_id => 42, message => 'please add a filter')",
    },
    ProcedureSpec {
        name: "pause_metastore",
        comment: "Asks a metastore nothing any more, until it is resumed; its rows stay.",
        role: Role::Operator,
        arguments: &[METASTORE],
        is_versioned: true,
        example: "CALL ops.pause_metastore(name => 'dc1', reason => 'upgrade of its database')",
    },
    ProcedureSpec {
        name: "refresh_database",
        comment: "Reads a database with its tables and partitions again, as soon as its metastore is followed.",
        role: Role::Operator,
        arguments: &[OF_METASTORE, DATABASE, CATALOG_NAME],
        is_versioned: false,
        example: "CALL ops.refresh_database(metastore_name => 'dc1', database_name => 'sales')",
    },
    ProcedureSpec {
        name: "refresh_metastore",
        comment: "Reads every object of a metastore again, as soon as it is followed.",
        role: Role::Operator,
        arguments: &[METASTORE],
        is_versioned: false,
        example: "CALL ops.refresh_metastore(name => 'dc1')",
    },
    ProcedureSpec {
        name: "refresh_table",
        comment: "Reads a table with its partitions again, as soon as its metastore is followed.",
        role: Role::Operator,
        arguments: &[OF_METASTORE, DATABASE, text("table_name", "Table or view.").required(), CATALOG_NAME],
        is_versioned: false,
        example: "CALL ops.refresh_table(metastore_name => 'dc1', database_name => 'sales', table_name => 'orders')",
    },
    ProcedureSpec {
        name: "remove_metastore",
        comment: "Mirrors a metastore that was added by a call no more; its rows go.",
        role: Role::Admin,
        arguments: &[METASTORE],
        is_versioned: true,
        example: "CALL ops.remove_metastore(name => 'dc9', dry_run => TRUE)",
    },
    ProcedureSpec {
        name: "reset_setting",
        comment: "Gives a setting the value of the config file again.",
        role: Role::Admin,
        arguments: &[SETTING],
        is_versioned: true,
        example: "CALL ops.reset_setting(name => 'statement_timeout_ms')",
    },
    ProcedureSpec {
        name: "resume_metastore",
        comment: "Asks a paused metastore again.",
        role: Role::Operator,
        arguments: &[METASTORE],
        is_versioned: true,
        example: "CALL ops.resume_metastore(name => 'dc1')",
    },
    ProcedureSpec {
        name: "set_setting",
        comment: "Gives a setting a value that wins over the config file until it is reset.",
        role: Role::Admin,
        arguments: &[SETTING, text("value", "Value, as text.").required()],
        is_versioned: true,
        example: "CALL ops.set_setting(name => 'statement_timeout_ms', value => '60000', reason => 'month end')",
    },
];

/// The procedure of this name, without the schema.
pub fn find(name: &str) -> Option<&'static ProcedureSpec> {
    PROCEDURES.iter().find(|procedure| procedure.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procedures_are_described_once() {
        assert!(PROCEDURES.is_sorted_by_key(|procedure| procedure.name));
        for procedure in PROCEDURES {
            assert!(procedure.comment.ends_with('.'), "{}", procedure.name);
            assert!(
                procedure.role > Role::Reader,
                "{}: everything that is called changes something",
                procedure.name
            );
            let mut seen = std::collections::BTreeSet::new();
            for argument in procedure.all_arguments() {
                assert!(seen.insert(argument.name), "{}: {} twice", procedure.name, argument.name);
                assert!(argument.comment.ends_with('.'), "{}: {}", procedure.name, argument.name);
                assert!(!argument.is_required || argument.default.is_none(), "{}", argument.name);
            }
        }
    }
}
