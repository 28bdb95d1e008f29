//! The config file: one TOML file, read once, checked whole, passed down as plain values.
//!
//! Map: [`options`] declares every option; [`section`] makes parsing, checks and documentation
//! from a declaration; [`value`] knows the types; [`reader`] words what is wrong; [`flight`] reads
//! the door with its users; [`example`]
//! prints the documented file. Every error is one sentence with file, line and key, and ends the
//! process with exit code 64.
//!
//! Deliberately absent: globals, options from the environment (which only names the file,
//! `SKEP_CONFIG`, and overrules the log's level, `RUST_LOG`), defaults anywhere else.

pub mod example;
pub mod flight;
pub mod options;
pub mod reader;
pub mod section;
pub mod value;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use skep_catalog::fault::{Code, Fault};
use skep_hms::{Client, ClientOptions};
use skep_query::Subject;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use flight::FlightConfig;
use options::{HttpSection, LogOptions, MetastoreOptions, RootOptions, SqlSection, StoreSection, TlsSection};
use reader::{Source, TableReader, check_readable, read_section_with};
use section::{Section, Setting, closed, of_subject};

/// Sections that belong to parts which this build does not have: refused, so that nobody
/// believes that a door is open.
const NOT_YET: &[(&str, &str)] = &[("door", "the Thrift front door"), ("zookeeper", "ZooKeeper")];

const URI_FIX: &str = "Write it as thrift://host:port, IPv6 addresses as thrift://[::1]:9083.";

/// Bytes of a config file: thousands of metastores.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Characters of a metastore's name.
const METASTORE_NAME_CHARS_MAX: usize = 64;

/// A metastore of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct MetastoreConfig {
    /// Its options.
    pub options: MetastoreOptions,
    /// TLS, when its section is there.
    pub tls: Option<TlsSection>,
    /// `config`, or `procedure` for one that was added by a call.
    pub origin: &'static str,
}

impl MetastoreConfig {
    /// A metastore whose options are given as plain texts by name, not among `others` yet.
    ///
    /// Errors: why it cannot be, in words.
    pub fn of_texts<'a>(
        name: &str,
        texts: impl IntoIterator<Item = (&'a String, &'a String)>,
        others: &[Self],
    ) -> Result<Self, String> {
        let mut options = MetastoreOptions { name: name.to_owned(), ..MetastoreOptions::default() };
        for (key, text) in texts {
            options.set(key, text).map_err(|why| format!("{key}: {why}"))?;
        }
        check_metastore_name(name)?;
        for uri in &options.uris {
            check_uri(uri).map_err(|why| format!("uris: \"{uri}\": {why}"))?;
            if let Some(other) = others.iter().find(|other| other.options.uris.contains(uri)) {
                let other = &other.options.name;
                return Err(format!(
                    "uris: \"{uri}\" is an address of {other} already: everything would be there twice"
                ));
            }
        }
        Ok(Self { options, tls: None, origin: "procedure" })
    }
}

/// The whole file, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it was read.
    pub file: PathBuf,
    /// Options of the whole process.
    pub root: RootOptions,
    /// Log.
    pub log: LogOptions,
    /// Store.
    pub store: StoreSection,
    /// SQL limits.
    pub sql: SqlSection,
    /// Door for SQL clients, when its section is there.
    pub flight: Option<FlightConfig>,
    /// Door for metrics and health, when its section is there.
    pub http: Option<HttpSection>,
    /// Metastores in the order of the file; at least one.
    pub metastores: Vec<MetastoreConfig>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// Errors: `CONFIG_UNREADABLE`, `CONFIG_INVALID`; one sentence about the first thing wrong.
    pub fn load(file: &Path) -> Result<Self, Fault> {
        let unreadable = |why: String| Fault::new(Code::CONFIG_UNREADABLE, file.display().to_string(), why);
        let mut text = Vec::new();
        std::fs::File::open(file)
            .and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut text))
            .map_err(|error| unreadable(error.to_string()))?;
        if FILE_BYTES_MAX < text.len() as u64 {
            return Err(unreadable(format!("it is longer than {FILE_BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(text).map_err(|_| {
            Fault::new(Code::CONFIG_INVALID, file.display().to_string(), "it is not UTF-8 text")
        })?;
        Self::parse(&text, file)
    }

    /// Checks the text of a file; `file` is what messages name and what relative paths start from.
    ///
    /// Errors: `CONFIG_INVALID`.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Fault> {
        let source = Source { file, text };
        let document = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(text.len(), |span| span.start);
            let why = format!("not valid TOML: {}", error.message());
            source.invalid(offset, "", why).with_fix("Correct this line, or one just above it.")
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let top = document.get_ref();

        for (name, what) in NOT_YET {
            if let Some((key, _)) = top.get_key_value(*name) {
                let why = format!("this build does not have {what} yet");
                return Err(source
                    .invalid(key.span().start, &format!("[{name}]"), why)
                    .with_fix(format!("Remove the section [{name}].")));
            }
        }
        let mut reader = TableReader {
            source,
            offset: 0,
            table: top,
            tables_within: &["log", "store", "sql", "flight", "http", "metastore"],
        };
        let root = RootOptions::read(&mut reader, folder)?;
        let log = read_section(&reader, folder)?.unwrap_or_default();
        let store = read_section(&reader, folder)?.unwrap_or_default();
        let sql = read_section(&reader, folder)?.unwrap_or_default();
        let flight = FlightConfig::read(&reader, folder)?;
        let http: Option<HttpSection> = read_section(&reader, folder)?;
        if let Some(http) = &http {
            http.address().map_err(|(why, fix)| {
                let offset = reader.get("http").map_or(0, |(offset, _)| offset);
                source.invalid(offset, "http.listen", why).with_fix(fix)
            })?;
        }
        let metastores = read_metastores(&reader, folder)?;
        Ok(Self { file: file.to_owned(), root, log, store, sql, flight, http, metastores })
    }

    /// Every option with the value in effect, metastores by name (`metastore.dc1.follow`).
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = self.root.settings();
        settings.extend(self.log.settings());
        settings.extend(self.store.settings());
        settings.extend(self.sql.settings());
        settings.extend(FlightConfig::settings(self.flight.as_ref()));
        settings.extend(match &self.http {
            Some(http) => http.settings(),
            None => closed(HttpSection::default().settings()),
        });
        for metastore in &self.metastores {
            let of_metastore = metastore.options.settings().into_iter();
            let of_tls = metastore.tls.iter().flat_map(Section::settings);
            let (name, all) = (&metastore.options.name, of_metastore.chain(of_tls).collect());
            let subject = Subject::Metastore(name.clone());
            settings.extend(of_subject(all, "metastore.", name, &subject));
        }
        settings
    }
}

impl HttpSection {
    /// Where to listen.
    ///
    /// Errors: why not, and what to do.
    pub fn address(&self) -> Result<SocketAddr, (String, &'static str)> {
        skep_http::check_listen(&self.listen, self.anybody_may_watch_without_authentication)
    }
}

/// Reads `[S::PATH]` (the part after the last dot) below `parent`; `None` when it is not there.
fn read_section<S: Section>(parent: &TableReader<'_, '_>, folder: &Path) -> Result<Option<S>, Fault> {
    Ok(read_section_with(parent, folder, &[])?.map(|(_, _, section)| section))
}

fn read_metastores(top: &TableReader<'_, '_>, folder: &Path) -> Result<Vec<MetastoreConfig>, Fault> {
    let source = top.source;
    let Some((offset, item)) = top.get("metastore") else {
        return Err(source.lacks("no [[metastore]] section: there is nothing to mirror"));
    };
    let entries: Option<Vec<(usize, &DeTable<'_>)>> = item.get_ref().as_array().and_then(|entries| {
        entries
            .iter()
            .map(|entry: &Spanned<DeValue<'_>>| Some((entry.span().start, entry.get_ref().as_table()?)))
            .collect()
    });
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
        return Err(source.invalid(offset, "metastore", "must be written [[metastore]], once per metastore"));
    };

    let mut metastores: Vec<MetastoreConfig> = Vec::new();
    for (offset, table) in entries {
        let mut reader = TableReader { source, offset, table, tables_within: &["tls"] };
        let options = MetastoreOptions::read(&mut reader, folder)?;
        let at = |key| reader.get(key).map_or(offset, |(offset, _)| offset);

        check_metastore_name(&options.name)
            .map_err(|why| source.invalid(at("name"), "metastore.name", why))?;
        if metastores.iter().any(|other| other.options.name == options.name) {
            let why = format!("a metastore named \"{}\" is declared twice", options.name);
            return Err(source.invalid(at("name"), "metastore.name", why));
        }
        for uri in &options.uris {
            if let Some(other) = metastores.iter().find(|other| other.options.uris.contains(uri)) {
                let why = format!(
                    "\"{uri}\" is an address of metastore \"{}\" already: everything would be there twice",
                    other.options.name
                );
                return Err(source.invalid(at("uris"), "metastore.uris", why));
            }
            check_uri(uri).map_err(|why| {
                source.invalid(at("uris"), "metastore.uris", format!("\"{uri}\": {why}")).with_fix(URI_FIX)
            })?;
        }
        let tls: Option<TlsSection> = read_section(&reader, folder)?;
        if let Some(tls) = &tls {
            check_tls(tls).map_err(|(key, why)| {
                let offset = reader.get("tls").map_or(offset, |(offset, _)| offset);
                source.invalid(offset, &format!("metastore.tls.{key}"), why)
            })?;
        }
        metastores.push(MetastoreConfig { options, tls, origin: "config" });
    }
    Ok(metastores)
}

/// Dots and other marks are kept free for `dc1.@spark#sales`.
fn check_metastore_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() <= METASTORE_NAME_CHARS_MAX && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(format!("\"{name}\" is no name for a metastore: at most 64 letters, digits, - and _"))
}

/// The client is who reads addresses; it only has no words for ZooKeeper yet.
fn check_uri(uri: &str) -> Result<(), String> {
    if uri.starts_with("zookeeper://") {
        return Err("it needs ZooKeeper, which this build does not have yet".to_owned());
    }
    let options = ClientOptions { uris: vec![uri.to_owned()], ..ClientOptions::default() };
    Client::new("", options).map(|_| ()).map_err(|fault| fault.why)
}

/// Files must be readable now, not at the first connection.
fn check_tls(tls: &TlsSection) -> Result<(), (&'static str, String)> {
    match (&tls.client_cert_file, &tls.client_key_file) {
        (Some(_), None) => {
            return Err(("client_key_file", "the key of client_cert_file is missing".to_owned()));
        }
        (None, Some(_)) => {
            return Err(("client_cert_file", "the certificate of client_key_file is missing".to_owned()));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    check_readable(&[
        ("ca_file", &tls.ca_file),
        ("client_cert_file", &tls.client_cert_file),
        ("client_key_file", &tls.client_key_file),
    ])
}
