//! Every option of the config file, declared once.

use std::path::PathBuf;

use skep_catalog::limits::DISK_FREE_BYTES_MIN;
use skep_catalog::mirror::MirrorOptions;
use skep_catalog::store::StoreOptions;
use skep_flight::Protection;
use skep_hms::ClientOptions;
use skep_query::EngineOptions;

use super::section::{OptionSpec, Section, section};
use super::value::Rule::{Any, OfMachine, OneOf, Optional, Required, Within};
use super::value::{Secret, Secrets};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

section! {
    /// Options of the whole process.
    /// Relative paths, here and below, are relative to this file.
    struct RootOptions in "" {
        /// Folder of the catalog: the mirrors of all metastores.
        /// It is made when it does not exist; one process at a time may use it.
        data_dir: PathBuf = PathBuf::from("skep-data"), Any;
    }
}

section! {
    /// Log, on standard error.
    struct LogOptions in "log" {
        /// How much is logged; SIGHUP applies a change, and CALL ops.set_setting makes one.
        level: String = "info".to_owned(), OneOf(&["error", "warn", "info", "debug", "trace"]);
        /// Lines of text, or one JSON object per line.
        format: String = "text".to_owned(), OneOf(&["text", "json"]);
    }
}

section! {
    /// The store that keeps the mirrors on disk.
    struct StoreSection in "store" {
        /// Memory for cached pages of the store, in bytes.
        cache_bytes: u64 = StoreOptions::default().cache_bytes, Within(1 << 20..=1 << 40);
        /// Free space on the volume of data_dir, in bytes, below which nothing is written any more.
        disk_free_bytes_min: u64 = DISK_FREE_BYTES_MIN, Within(64 << 20..=1 << 50);
    }
}

section! {
    /// What SQL statements may use. All but cache_bytes change with SIGHUP, and by CALL ops.set_setting.
    struct SqlSection in "sql" {
        /// Memory that all running statements together may use, in bytes.
        memory_pool_bytes: u64 = EngineOptions::default().memory_pool_bytes as u64, Within(16 << 20..=1 << 44);
        /// Memory for rows that are kept ready between statements, in bytes; taken as it is needed.
        /// Unless set, an eighth of the memory of the machine or container, at least 256 MiB, at most 8 GiB.
        /// Statements that read more partitions than fit, some 30 million per GiB, decode them every time.
        cache_bytes: u64 = EngineOptions::default().cache_bytes as u64, OfMachine(0..=1 << 44);
        /// Time after which a statement ends with SQL_TIMEOUT, in ms.
        statement_timeout_ms: u64 = EngineOptions::default().statement_timeout_ms, Within(1..=HOUR_MS);
        /// Time that planning a statement may take of it, in ms.
        planning_timeout_ms: u64 = EngineOptions::default().planning_timeout_ms, Within(1..=HOUR_MS);
        /// Rows after which a result ends with SQL_TOO_MANY_ROWS.
        result_rows_max: u64 = EngineOptions::default().result_rows_max, Within(1..=1 << 40);
    }
}

section! {
    /// SQL for clients and BI tools (Flight SQL): `skep serve` opens this door when the section is here.
    struct FlightSection in "flight" {
        /// Address to listen on: an IP address and a port; port 0 takes a free one, shown in
        /// runtime.nodes. Other addresses than those of loopback (127.0.0.1, [::1]) need both
        /// sections [flight.tls] and [[flight.user]].
        listen: String = "127.0.0.1:32010".to_owned(), Any;
        /// Time for which the token that a client gets for name and password is good, in ms. It is
        /// good no more before that when the user or its password_hash is removed from this file.
        bearer_lifetime_ms: u64 = Protection::default().bearer_lifetime_ms, Within(60_000..=30 * DAY_MS);
        /// Listen on any address without TLS, or without users, in which case everybody who reaches
        /// it may do everything: for a network where something else protects it.
        insecure_listen_without_tls_or_users: bool = false, Any;
    }
}

section! {
    /// TLS of the door above (grpc+tls://). New certificates in the same files are used within some
    /// seconds, and at SIGHUP; files that are not good change nothing.
    struct FlightTlsSection in "flight.tls" {
        /// Certificate chain of the service, PEM.
        cert_file: PathBuf = PathBuf::new(), Required("\"skep.pem\"");
        /// Private key of cert_file, PEM.
        key_file: PathBuf = PathBuf::new(), Required("\"skep.key\"");
        /// Certificates of the authorities whose certificates clients may show, PEM; without it they
        /// are not asked for one.
        client_ca_file: Option<PathBuf> = None, Optional("\"clients.pem\"");
        /// Refuse connections without such a certificate.
        client_cert_required: bool = false, Any;
    }
}

section! {
    /// A user of the door above; repeat the section for each. Without any, everybody who can connect
    /// is let in as 'anonymous' and may do everything. SIGHUP applies changes.
    struct UserSection in "flight.user" {
        /// Name, unique: the principal in runtime.queries.
        name: String = String::new(), Required("\"ann\"");
        /// What it may do: reader asks, operator also has metastores read again or paused and ends
        /// statements, admin also changes metastores and settings.
        role: String = "reader".to_owned(), OneOf(&["reader", "operator", "admin"]);
        /// Hash of its password, made by skep hash-password.
        password_hash: Option<Secret> = None, Optional("\"$pbkdf2-sha256$...\"");
        /// Hashes of its tokens, made by skep token; several, so that one can take the place of another.
        token_hashes: Option<Secrets> = None, Optional("[\"sha256:...\"]");
        /// Names in the certificates that it shows: a DNS name, a URI or the common name.
        cert_names: Option<Vec<String>> = None, Optional("[\"ann.example\"]");
        /// Metastores of which it sees rows, in all tables; * stands for any text. Without it all.
        metastores: Option<Vec<String>> = None, Optional("[\"prod_*\"]");
        /// Databases of which it sees rows; @spark#sales is one in catalog spark. Without it all.
        databases: Option<Vec<String>> = None, Optional("[\"sales\", \"risk_*\"]");
    }
}

section! {
    /// Metrics for Prometheus and health over HTTP: `skep serve` opens this door when the section
    /// is here.
    struct HttpSection in "http" {
        /// Address to listen on: an IP address and a port; port 0 takes a free one, shown in
        /// runtime.nodes. Beyond this machine's loopback it needs the option below.
        listen: String = "127.0.0.1:32080".to_owned(), Any;
        /// Lets other machines connect: whoever reaches the address may read the names of metastores,
        /// how many objects they have, and the meters of the process; nothing else.
        anybody_may_watch_without_authentication: bool = false, Any;
    }
}

section! {
    /// A Hive Metastore to mirror; repeat the section for each.
    struct MetastoreOptions in "metastore" {
        /// Name, unique: letters, digits, - and _, at most 64. It is the metastore_name of every row.
        name: String = String::new(), Required("\"dc1\"");
        /// Thrift addresses of one metastore service; with several, the next is tried when one fails.
        /// Without a port it is 9083.
        uris: Vec<String> = Vec::new(), Required("[\"thrift://hms1.example:9083\"]");
        /// How changes are learned: events (its notification log), polling, or auto: events
        /// where the metastore keeps a log.
        follow: String = "auto".to_owned(), OneOf(&["auto", "events", "polling"]);
        /// User told to the metastore with set_ugi; without it none is told.
        user: Option<String> = None, Optional("\"skep\"");
        /// Time for one connection attempt, in ms.
        connect_timeout_ms: u64 = ClientOptions::default().connect_timeout_ms, Within(10..=10 * 60_000);
        /// Time for one whole reply, in ms, however slowly it comes.
        request_timeout_ms: u64 = ClientOptions::default().request_timeout_ms, Within(10..=HOUR_MS);
        /// Time after which an unused connection is closed, in ms.
        idle_timeout_ms: u64 = ClientOptions::default().idle_timeout_ms, Within(1_000..=DAY_MS);
        /// Requests under way at once; fewer are used while the metastore is slow.
        requests_in_flight_max: u64 = ClientOptions::default().requests_in_flight_max as u64, Within(1..=256);
        /// Requests begun per second; 0 is no limit.
        requests_per_second_max: u64 = 0, Within(0..=1_000_000);
        /// Framed transport (hive.metastore.thrift.framed.transport.enabled).
        framed: bool = false, Any;
        /// Compact protocol (hive.metastore.thrift.compact.protocol.enabled).
        compact: bool = false, Any;
        /// Pause between looks at the notification log while nothing comes, in ms; while events come,
        /// looks begin a tenth of it after each other.
        events_interval_ms: u64 = MirrorOptions::default().events_interval_ms, Within(10..=HOUR_MS);
        /// With polling: pause between listings of all names, in ms.
        poll_interval_ms: u64 = MirrorOptions::default().poll_interval_ms, Within(100..=DAY_MS);
        /// With polling: pause between complete passes over all objects, in ms.
        pass_interval_ms: u64 = MirrorOptions::default().pass_interval_ms, Within(1_000..=30 * DAY_MS);
        /// With events: pause between complete passes over all objects, in ms; 0 is none.
        refresh_interval_ms: u64 = MirrorOptions::default().refresh_interval_ms, Within(0..=30 * DAY_MS);
    }
}

section! {
    /// TLS towards the metastore named above; leave the section out for plain connections.
    struct TlsSection in "metastore.tls" {
        /// Certificates of the authorities to trust, PEM; without it those of the system.
        ca_file: Option<PathBuf> = None, Optional("\"ca.pem\"");
        /// Certificate chain to show to the metastore, PEM.
        client_cert_file: Option<PathBuf> = None, Optional("\"client.pem\"");
        /// Private key of client_cert_file, PEM.
        client_key_file: Option<PathBuf> = None, Optional("\"client.key\"");
        /// Name that the metastore's certificate must have; without it the host of the URI.
        server_name: Option<String> = None, Optional("\"hms.example\"");
    }
}

/// Where options of this key belong, as written in the file; `None` when there are none.
pub fn home_of(key: &str) -> Option<String> {
    let has = |options: Vec<OptionSpec>| options.iter().any(|option| option.key == key);
    let homes = [
        ("the lines above the first section", has(RootOptions::options())),
        ("[log]", has(LogOptions::options())),
        ("[store]", has(StoreSection::options())),
        ("[sql]", has(SqlSection::options())),
        ("[flight]", has(FlightSection::options())),
        ("[flight.tls]", has(FlightTlsSection::options())),
        ("[[flight.user]]", has(UserSection::options())),
        ("[http]", has(HttpSection::options())),
        ("[[metastore]]", has(MetastoreOptions::options())),
        ("[metastore.tls]", has(TlsSection::options())),
    ];
    let homes: Vec<&str> = homes.into_iter().filter_map(|(home, has)| has.then_some(home)).collect();
    (!homes.is_empty()).then(|| homes.join(" or "))
}
