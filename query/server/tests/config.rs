//! Bad config gets one clear sentence that names file, line and key; the example is the defaults.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use skep::config::Config;
use skep::config::example::example;
use skep::config::options::{
    FlightSection, HttpSection, LogOptions, MetastoreOptions, SqlSection, StoreSection, TlsSection,
};

const ONE: &str = "[[metastore]]\nname = \"dc1\"\nuris = [\"thrift://h:9083\"]\n";

/// Text of the file, and the sentence expected (code and advice left out).
const BAD: &[(&str, &str)] = &[
    ("data_dri = \"x\"\n", "etc/skep.toml line 1, data_dri: unknown key; did you mean data_dir?"),
    (
        "[sql]\nstatement_timeout = 5\n",
        "etc/skep.toml line 2, sql.statement_timeout: unknown key; did you mean statement_timeout_ms?",
    ),
    ("[sqll]\n", "etc/skep.toml line 1, sqll: unknown key; did you mean sql?"),
    ("[log]\nq = 1\n", "etc/skep.toml line 2, log.q: unknown key; known ones here are level, format"),
    (
        "statement_timeout_ms = 1\n",
        "etc/skep.toml line 1, statement_timeout_ms: unknown key here; it belongs in [sql]",
    ),
    (
        "[log]\ncache_bytes = 1\n",
        "etc/skep.toml line 2, log.cache_bytes: unknown key here; it belongs in [store] or [sql]",
    ),
    ("data_dir = 5\n", "etc/skep.toml line 1, data_dir: must be a path in quotes, not a TOML integer"),
    (
        "\n[sql]\nstatement_timeout_ms = \"60s\"\n",
        "etc/skep.toml line 3, sql.statement_timeout_ms: must be a whole number, not a TOML string",
    ),
    (
        "[sql]\nstatement_timeout_ms = 0\n",
        "etc/skep.toml line 2, sql.statement_timeout_ms: the value must be between 1 and 3_600_000",
    ),
    (
        "[sql]\nresult_rows_max = -1\n",
        "etc/skep.toml line 2, sql.result_rows_max: the value must be between 1 and 1_099_511_627_776",
    ),
    (
        "[log]\nlevel = \"loud\"\n",
        "etc/skep.toml line 2, log.level: \"loud\" is none of error, warn, info, debug, trace",
    ),
    ("sql = 1\n", "etc/skep.toml line 1, sql: must be a section, written [sql]"),
    ("", "etc/skep.toml: no [[metastore]] section: there is nothing to mirror"),
    (
        "[metastore]\nname = \"a\"\n",
        "etc/skep.toml line 1, metastore: must be written [[metastore]], once per metastore",
    ),
    ("[[metastore]]\nname = \"dc1\"\n", "etc/skep.toml line 1, metastore.uris: the key is missing"),
    (
        "[[metastore]]\nuris = [\"thrift://h:9083\"]\n",
        "etc/skep.toml line 1, metastore.name: the key is missing",
    ),
    (
        "[[metastore]]\nname = \"a.b\"\nuris = [\"thrift://h:9083\"]\n",
        "etc/skep.toml line 2, metastore.name: \"a.b\" is no name for a metastore: at most 64 letters, digits, - and _",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = [\"thrift://h:1\"]\n[[metastore]]\nname = \"b\"\nuris = [\"thrift://h:1\"]\n",
        "etc/skep.toml line 6, metastore.uris: \"thrift://h:1\" is an address of metastore \"a\" already: everything would be there twice",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = []\n",
        "etc/skep.toml line 3, metastore.uris: the list must not be empty",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = [\"h:9083\"]\n",
        "etc/skep.toml line 3, metastore.uris: \"h:9083\": it does not begin with thrift://",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = [\"thrift://g:1\", \"thrift://h:99999\"]\n",
        "etc/skep.toml line 3, metastore.uris: \"thrift://h:99999\": the port is not a number from 1 to 65535",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = [\"zookeeper://z:2181/hms\"]\n",
        "etc/skep.toml line 3, metastore.uris: \"zookeeper://z:2181/hms\": it needs ZooKeeper, which this build does not have yet",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = [\"thrift://h:1\"]\nfollow = \"polling\"\npass_interval_ms = 0\n",
        "etc/skep.toml line 5, metastore.pass_interval_ms: the value must be between 1_000 and 2_592_000_000",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = [\"thrift://h:1\"]\n[metastore.tls]\nclient_cert_file = \"c.pem\"\n",
        "etc/skep.toml line 4, metastore.tls.client_key_file: the key of client_cert_file is missing",
    ),
    (
        "[[metastore]]\nname = \"a\"\nuris = [\"thrift://h:1\"]\n[metastore.tls]\nca_file = \"none.pem\"\n",
        "etc/skep.toml line 4, metastore.tls.ca_file: etc/none.pem: No such file or directory (os error 2)",
    ),
    (
        "[flight]\nlisten = \"0.0.0.0:32010\"\n",
        "etc/skep.toml line 1, flight.listen: \"0.0.0.0:32010\" can be reached from other machines, and TLS and users are not both configured",
    ),
    (
        "[flight]\nlisten = \"localhost\"\n",
        "etc/skep.toml line 1, flight.listen: \"localhost\" is no address to listen on",
    ),
    (
        "[flight]\nport = 1\n",
        "etc/skep.toml line 2, flight.port: unknown key; known ones here are listen, bearer_lifetime_ms, insecure_listen_without_tls_or_users, tls, user",
    ),
    ("[door]\n", "etc/skep.toml line 1, [door]: this build does not have the Thrift front door yet"),
    (
        "[http]\nlisten = \"0.0.0.0:32080\"\n",
        "etc/skep.toml line 1, http.listen: \"0.0.0.0:32080\" can be reached from other machines, and nobody is asked who they are",
    ),
    ("[http]\nlisten = \"8080\"\n", "etc/skep.toml line 1, http.listen: \"8080\" is no address to listen on"),
    ("[zookeeper]\n", "etc/skep.toml line 1, [zookeeper]: this build does not have ZooKeeper yet"),
];

/// Mistakes in `[[flight.user]]`, with the line of the file and what is wrong.
const BAD_USERS: &[(&str, &str)] = &[
    ("[flight.user]\nname = \"a\"\n", "line 2, flight.user: must be written [[flight.user]], once for each"),
    ("[[flight.user]]\n", "line 2, flight.user.name: the key is missing"),
    ("[[flight.user]]\nname = \"a:b\"\n", "line 3, flight.user.name: \"a:b\" is no name for a user"),
    (
        "[[flight.user]]\nname = \"anonymous\"\n",
        "line 3, flight.user.name: \"anonymous\" is no name for a user",
    ),
    ("[[flight.user]]\nname = \"a\"\n", "line 3, flight.user.name: nobody could be \"a\""),
    (
        "[[flight.user]]\nname = \"a\"\npassword_hash = \"PLANTED\"\n",
        "line 4, flight.user.password_hash: it is no hash of a password",
    ),
    (
        "[[flight.user]]\nname = \"a\"\ntoken_hashes = [\"sha256:PLANTED\"]\n",
        "line 4, flight.user.token_hashes: it is no hash of a token",
    ),
    (
        "[[flight.user]]\nname = \"a\"\nrole = \"root\"\n",
        "line 4, flight.user.role: \"root\" is none of reader, operator, admin",
    ),
    (
        "[[flight.user]]\nname = \"a\"\ncert_names = [\"a.example\"]\n",
        "line 4, flight.user.cert_names: certificates of clients are not looked at without flight.tls.client_ca_file",
    ),
    (
        "[[flight.user]]\nname = \"a\"\npassword = \"PLANTED\"\n",
        "line 4, flight.user.password: unknown key; did you mean password_hash?",
    ),
    (
        "[flight.tls]\ncert_file = \"none.pem\"\nkey_file = \"k.pem\"\n",
        "line 2, flight.tls.cert_file: etc/none.pem: No such file or directory",
    ),
    ("[flight.tls]\nkey_file = \"k.pem\"\n", "line 2, flight.tls.cert_file: the key is missing"),
];

fn user(name: &str, more: &str) -> String {
    format!("[[flight.user]]\nname = \"{name}\"\ntoken_hashes = [\"sha256:{}\"]\n{more}", "a".repeat(64))
}

#[test]
fn mistakes_in_users_are_told_without_their_secrets() {
    let same_token = user("a", "") + &user("b", "");
    let same_name = user("a", "") + &user("a", "");
    let pattern = user("a", "databases = [\"@spark\"]\n");
    let more = [
        (same_token.as_str(), "line 7, flight.user.token_hashes: user \"a\" has the same token"),
        (&same_name, "line 6, flight.user.name: a user named \"a\" is declared twice"),
        (&pattern, "line 5, flight.user.databases: \"@spark\" names a catalog only"),
    ];
    for (text, sentence) in BAD_USERS.iter().chain(&more) {
        let text = format!("[flight]\n{text}{ONE}");
        let fault = Config::parse(&text, Path::new("etc/skep.toml")).unwrap_err();
        assert!(fault.message().starts_with(&format!("etc/skep.toml {sentence}")), "{fault}\nfor\n{text}");
        assert!(!fault.to_string().contains("PLANTED") && !fault.to_string().contains('\n'), "{fault}");
    }
}

#[test]
fn secrets_are_in_no_setting_and_no_debug_output() {
    let users = user("ann", "databases = [\"sales\"]\n");
    let config = Config::parse(&format!("[flight]\n{users}{ONE}"), Path::new("skep.toml")).unwrap();
    let shown = format!("{config:?} {:?}", config.settings());
    assert!(shown.contains("flight.user.ann.databases") && !shown.contains("aaaa"), "{shown}");
    let hashes = config.settings().into_iter().find(|s| s.key == "flight.user.ann.token_hashes").unwrap();
    assert_eq!(hashes.value.as_deref(), Some("[\"***\"]"));
}

#[test]
fn other_addresses_than_loopback_need_tls_and_users_or_a_long_word() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["c.pem", "k.pem"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    let parse = |more: &str| {
        let text = format!("[flight]\nlisten = \"0.0.0.0:0\"\n{more}{ONE}");
        Config::parse(&text, &folder.path().join("skep.toml")).map(|config| config.flight.unwrap())
    };
    let tls = "[flight.tls]\ncert_file = \"c.pem\"\nkey_file = \"k.pem\"\n";
    for refused in ["", tls, &user("a", "")] {
        let fault = parse(refused).unwrap_err();
        assert!(fault.to_string().contains("insecure_listen_without_tls_or_users"), "{fault}");
    }
    let protected = parse(&format!("{tls}{}", user("a", ""))).unwrap();
    assert_eq!(protected.uri(), "grpc+tls://127.0.0.1:0");
    assert_eq!(parse("insecure_listen_without_tls_or_users = true\n").unwrap().uri(), "grpc://127.0.0.1:0");
}

#[test]
fn every_mistake_gets_its_own_sentence() {
    for (text, sentence) in BAD {
        let fault = Config::parse(text, Path::new("etc/skep.toml")).unwrap_err();
        assert_eq!(fault.code.as_str(), "CONFIG_INVALID");
        assert_eq!(fault.message(), *sentence, "for\n{text}");
        assert!(!fault.to_string().contains('\n'));
    }
}

#[test]
fn broken_toml_and_twice_declared_names_are_told_with_their_line() {
    let twice = format!("{ONE}{ONE}");
    let fault = Config::parse(&twice, Path::new("skep.toml")).unwrap_err();
    assert_eq!(
        fault.message(),
        "skep.toml line 5, metastore.name: a metastore named \"dc1\" is declared twice"
    );

    let fault = Config::parse("data_dir = \n", Path::new("skep.toml")).unwrap_err();
    assert!(fault.message().starts_with("skep.toml line 1: not valid TOML: "), "{fault}");
    let fault = Config::parse("[sql]\n[sql]\n", Path::new("skep.toml")).unwrap_err();
    assert!(fault.message().starts_with("skep.toml line 2: not valid TOML: "), "{fault}");
}

#[test]
fn unreadable_file_is_named() {
    let fault = Config::load(Path::new("/nowhere/skep.toml")).unwrap_err();
    assert_eq!(fault.code.as_str(), "CONFIG_UNREADABLE");
    assert_eq!(fault.message(), "/nowhere/skep.toml: No such file or directory (os error 2)");
}

#[test]
fn relative_paths_are_relative_to_the_config_file() {
    let config = Config::parse(ONE, Path::new("/etc/skep/skep.toml")).unwrap();
    assert_eq!(config.root.data_dir, PathBuf::from("/etc/skep/skep-data"));
    let config = Config::parse(&format!("data_dir = \"/data\"\n{ONE}"), Path::new("/etc/skep.toml")).unwrap();
    assert_eq!(config.root.data_dir, PathBuf::from("/data"));
}

#[test]
fn example_is_exactly_the_defaults() {
    let config = Config::parse(&example(), Path::new("skep.toml")).unwrap();
    assert_eq!(config.root.data_dir, PathBuf::from("skep-data"));
    assert_eq!(config.log, LogOptions::default());
    assert_eq!(config.store, StoreSection::default());
    assert_eq!(config.sql, SqlSection::default());
    let flight = config.flight.unwrap();
    assert_eq!((flight.options, flight.tls, flight.users.len()), (FlightSection::default(), None, 0));
    assert_eq!(config.http, Some(HttpSection::default()));
    let [metastore] = &config.metastores[..] else { panic!("one metastore") };
    let uris = vec!["thrift://hms1.example:9083".to_owned()];
    let defaults = MetastoreOptions { name: "dc1".to_owned(), uris, ..MetastoreOptions::default() };
    assert_eq!(metastore.options, defaults);
    assert_eq!(metastore.tls, None);
}

#[test]
fn example_is_right_in_its_comments_too() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["ca.pem", "client.pem", "client.key", "skep.pem", "skep.key", "clients.pem"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    let example = example();
    let is_option = |line: &str| line.starts_with("# [") || line.contains(" = ");
    let uncommented: String = example
        .lines()
        .map(|line| if is_option(line) { line.trim_start_matches("# ") } else { line })
        .flat_map(|line| [line, "\n"])
        .collect();
    // Hashes are shown in part only.
    let hash = format!("$pbkdf2-sha256$i=600000${}${}", "A".repeat(22), "A".repeat(43));
    let uncommented = uncommented
        .replace("$pbkdf2-sha256$...", &hash)
        .replace("sha256:...", &format!("sha256:{}", "0".repeat(64)));
    let config = Config::parse(&uncommented, &folder.path().join("skep.toml")).unwrap();
    let flight = config.flight.unwrap();
    assert_eq!(flight.tls.unwrap().cert_file, folder.path().join("skep.pem"));
    let [user] = &flight.users[..] else { panic!("one user") };
    assert!(user.user.password.is_some() && user.user.tokens.len() == 1);
    assert!(!user.user.scope.has_metastore("dev") && user.user.scope.has_database("hive", "risk_eu"));
    assert_eq!(config.metastores[0].options.user.as_deref(), Some("skep"));
    let tls = config.metastores[0].tls.clone().unwrap();
    let path = |file| Some(folder.path().join(file));
    assert_eq!(
        tls,
        TlsSection {
            ca_file: path("ca.pem"),
            client_cert_file: path("client.pem"),
            client_key_file: path("client.key"),
            server_name: Some("hms.example".to_owned())
        }
    );
}

#[test]
fn every_option_is_documented_and_shown_in_the_settings() {
    let config = Config::parse(&example(), Path::new("skep.toml")).unwrap();
    let settings = config.settings();
    assert!(settings.iter().all(|setting| !setting.doc.is_empty()));
    let timeout = settings.iter().find(|setting| setting.key == "metastore.dc1.request_timeout_ms").unwrap();
    assert_eq!(timeout.value.as_deref(), Some("30000"));
}

#[test]
fn a_file_without_an_end_is_not_read_for_ever() {
    let fault = Config::load(Path::new("/dev/zero")).unwrap_err();
    assert!(fault.to_string().contains("longer than"), "{fault}");
}
