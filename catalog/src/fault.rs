//! The one error that leaves the process, and the list of all its codes.

use std::fmt;

/// Whose doing a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller asked for something that cannot be.
    Caller,
    /// A metastore (or the way to it) failed.
    Metastore,
    /// This machine (disk, memory, ports) failed.
    Machine,
    /// skep itself: a bug.
    Skep,
}

impl Blame {
    /// Lower-case word, as shown in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Metastore => "metastore",
            Self::Machine => "machine",
            Self::Skep => "skep",
        }
    }
}

macro_rules! codes {
    ($($code:ident, $blame:ident, $retry:literal, $meaning:literal, $fix:literal;)*) => {
        /// Stable error codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types, missing_docs)]
        pub enum Code { $($code),* }

        impl Code {
            /// Every code, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];
            /// The code as users see it.
            pub fn as_str(self) -> &'static str { match self { $(Self::$code => stringify!($code)),* } }
            /// Whose doing it is.
            pub fn blame(self) -> Blame { match self { $(Self::$code => Blame::$blame),* } }
            /// Whether the same request may go through later.
            pub fn is_retryable(self) -> bool { match self { $(Self::$code => $retry),* } }
            /// What it means, one sentence.
            pub fn meaning(self) -> &'static str { match self { $(Self::$code => $meaning),* } }
            /// What usually helps, one sentence.
            pub fn fix(self) -> &'static str { match self { $(Self::$code => $fix),* } }
        }
    };
}

codes! {
    METASTORE_UNREACHABLE, Metastore, true, "No endpoint of the metastore accepted a connection.", "Check that the metastore runs and that host, port and firewall are right.";
    METASTORE_SLOW, Metastore, true, "The metastore did not answer within the deadline.", "Look at the metastore's load, or raise request_timeout_ms.";
    METASTORE_CLOSED, Metastore, true, "The metastore closed the connection in the middle of a call.", "Check the metastore's log; a wrong transport (framed, compact, TLS, SASL) shows like this too.";
    METASTORE_MALFORMED, Metastore, false, "The metastore answered bytes that are not a valid reply.", "Check that the URI names a Hive Metastore's Thrift port and that framed, compact and tls fit it.";
    METASTORE_REFUSED, Metastore, false, "The metastore refused the caller.", "Check the user and the metastore's authorisation settings.";
    METASTORE_ERROR, Metastore, true, "The metastore answered with an error of its own.", "The metastore's log says more.";
    METASTORE_METHOD_MISSING, Metastore, false, "The metastore does not have the method.", "Nothing to do: sync.coverage shows what is not mirrored because of it.";
    METASTORE_NOT_FOUND, Metastore, false, "The object does not exist in the metastore.", "It was dropped or renamed in the meantime; the next pass settles it.";
    METASTORE_EVENTS_LOST, Metastore, true, "The metastore trimmed its notification log before it was read.", "Nothing to do: every object is read again. Raise hive.metastore.event.db.listener.timetolive to avoid it.";
    METASTORE_UNKNOWN, Caller, false, "No metastore has this name.", "Look into federation.metastores for the names.";
    STORE_LOCKED, Machine, true, "Another process holds the store.", "Stop the other process, or give this one its own data_dir.";
    STORE_FULL, Machine, true, "The disk of the store is full.", "Free space on the volume of data_dir; skep goes on by itself, unless the message asks for a restart.";
    STORE_DAMAGED, Machine, false, "The store holds bytes that cannot be read.", "skep rebuilds the mirror from the metastores; check the disk.";
    STORE_FORMAT, Machine, false, "The store was written by a newer skep.", "Use that version, or remove data_dir and mirror again.";
    STORE_IO, Machine, true, "Reading or writing the store failed.", "Check the volume of data_dir.";
    JOURNAL_DAMAGED, Machine, false, "The journal of accepted changes holds bytes that cannot be read.", "Check the disk and bring the journal back from a backup.";
    JOURNAL_IO, Machine, false, "Reading or writing the journal of accepted changes failed.", "Check the volume of data_dir, then restart skep: what the disk holds shows then.";
    CONFIG_UNREADABLE, Caller, false, "The config file cannot be read.", "Check path and permissions.";
    CONFIG_INVALID, Caller, false, "The config file holds something that is not valid.", "Correct the named key; `skep config example` prints a documented file.";
    PORT_TAKEN, Machine, true, "The address to listen on is taken.", "Stop what listens there, or change the listen option.";
    SERVICE_UNREACHABLE, Machine, true, "No skep service answers at the address.", "Start it with skep serve, whose log tells its address (flight=grpc://...), or correct the address.";
    UNAUTHENTICATED, Caller, false, "Nobody is known by the name and password, the token or the certificate that came with a call.", "Give name and password, or a token, of a user in the config of the service; log in again when they were right before.";
    LOGIN_BUSY, Machine, true, "Too many passwords are being checked.", "Try again in a moment, or use a token, which needs no checking.";
    SQL_TOO_LONG, Caller, false, "The statement's text is longer than allowed.", "Shorten it to at most 64 KiB.";
    SQL_TOO_COMPLEX, Caller, false, "The statement has too many or too deeply nested parts.", "Split it: at most 5,000 nodes and depth 200. IN (...) is one level, a chain of OR or UNION is one for each.";
    SQL_SYNTAX, Caller, false, "The statement cannot be parsed.", "Correct the text at the named place.";
    SQL_INVALID, Caller, false, "The statement names something that does not exist, or types that do not fit.", "Follow the suggestion in the message; docs.tables and docs.columns list what exists.";
    SQL_READ_ONLY, Caller, false, "The statement would change something.", "The tables of skep are read-only.";
    SQL_FORBIDDEN, Caller, false, "The function or statement is not allowed because its cost cannot be bounded.", "Use another formulation.";
    SQL_TIMEOUT, Caller, true, "The statement ran longer than statement_timeout_ms.", "Narrow it down by metastore_name, database_name and table_name, or raise sql.statement_timeout_ms in the config.";
    SQL_MEMORY, Caller, true, "The statement needs more memory than memory_pool_bytes.", "Narrow it down, or raise sql.memory_pool_bytes in the config.";
    SQL_TOO_MANY_ROWS, Caller, false, "The result has more rows than result_rows_max.", "Add LIMIT or a filter, or raise sql.result_rows_max in the config.";
    SQL_BUSY, Machine, true, "Too many statements are being planned or run.", "Try again in a moment.";
    SQL_CANCELLED, Caller, false, "The statement was cancelled.", "Nothing to do.";
    SNAPSHOT_GONE, Caller, true, "The rows were asked for so late that what the statement was planned on is gone.", "Run the statement again, and fetch its rows at once.";
    TICKET_INVALID, Caller, false, "A ticket or handle was not made by this service, or was changed.", "Run or prepare the statement again.";
    REQUEST_INVALID, Caller, false, "A request of the SQL protocol cannot be read.", "Use a Flight SQL client, such as ADBC or the Flight SQL JDBC driver.";
    NOT_SUPPORTED, Caller, false, "skep does not have this part of the SQL protocol.", "Do without it: statements, prepared statements, metadata, sessions and cancelling are there.";
    SQL_FAILED, Caller, false, "The statement failed while it ran.", "Correct the value or the function that the message is about.";
    CALL_INVALID, Caller, false, "The procedure or one of its arguments is not valid.", "runtime.procedures and runtime.procedure_parameters list what there is.";
    CALL_CONFLICT, Caller, true, "The object was changed since the version that the call expects.", "Look at it again, then repeat the call with its version.";
    CALL_NOT_ALLOWED, Caller, false, "The procedure is for another role than the caller's.", "Ask somebody with that role: runtime.procedures tells which one it is.";
    CALL_NOT_HERE, Caller, false, "This process cannot do what the call asks for.", "Call the procedure at the service that follows the metastores: skep sql --connect.";
    INTERNAL, Skep, false, "A bug in skep.", "Please report it with the message.";
}

/// What happened, why, and how to fix it.
///
/// `Display` gives `CODE: what: why. Fix: ...` on one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Stable code.
    pub code: Code,
    /// What did not work, naming the subject ("metastore dc1: get_table").
    pub what: String,
    /// The cause, with limits and actual values.
    pub why: String,
    /// What helps, when it is more exact than [`Code::fix`].
    pub fix: Option<String>,
}

impl Fault {
    /// A fault with the code's own advice.
    pub fn new(code: Code, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: why.into(), fix: None }
    }

    /// The same with better advice.
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// A bug in skep.
    pub fn internal(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Code::INTERNAL, what, why)
    }

    /// The advice to show.
    pub fn fix(&self) -> &str {
        self.fix.as_deref().unwrap_or_else(|| self.code.fix())
    }

    /// `what: why` without code and advice: the `error_message` of tables.
    pub fn message(&self) -> String {
        format!("{}: {}", self.what, self.why)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A metastore's words may hold anything, and this goes to terminals.
        let one_line = |text: &str| text.replace(char::is_control, " ");
        let why = one_line(self.why.trim_end_matches('.'));
        write!(
            f,
            "{}: {}: {why}{} Fix: {}",
            self.code.as_str(),
            one_line(&self.what),
            if why.ends_with('?') { "" } else { "." },
            one_line(self.fix())
        )
    }
}

impl std::error::Error for Fault {}
