//! The binary as a user runs it: exit codes, what goes where, signals, locks.
#![allow(clippy::unwrap_used)]

#[path = "cli/calls.rs"]
mod calls;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use skep_sample::{Content, Generation, SampleServer, SampleSpec, ServerOptions, Trouble, TroubleRule};

/// Guard against a hang; no promise about time.
const PATIENCE: Duration = Duration::from_secs(60);

fn skep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command.stdin(Stdio::null());
    for variable in ["RUST_LOG", "SKEP_CONFIG", "SKEP_USER", "SKEP_PASSWORD", "SKEP_TOKEN"] {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    skep().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder with a config file.
struct Place(tempfile::TempDir);

impl Place {
    fn new(config: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write(config);
        place
    }
    /// With a door on a free port.
    fn write(&self, config: &str) {
        std::fs::write(self.file(), format!("{config}\n[flight]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
    }
    fn file(&self) -> PathBuf {
        self.0.path().join("skep.toml")
    }
    fn run(&self, command: &str, more: &[&str]) -> Output {
        skep().arg(command).arg("--config").arg(self.file()).args(more).output().unwrap()
    }
    fn csv(&self, sql: &str) -> String {
        let output = self.run("sql", &["--output", "csv", "-c", sql]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stdout).to_owned()
    }
}

fn metastore(name: &str, uri: &str) -> String {
    format!("[[metastore]]\nname = \"{name}\"\nuris = [\"{uri}\"]\nrequest_timeout_ms = 2_000\n")
}

fn sample(name: &str) -> SampleServer {
    let spec = SampleSpec::new(name, Generation::V3_1, Content::Company);
    SampleServer::start(&spec, ServerOptions::default()).unwrap()
}

/// A running `serve` and the lines of its log.
struct Serving {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Serving {
    fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    fn start_with(place: &Place, variables: &[(&str, &str)]) -> Self {
        let mut command = skep();
        command.envs(variables.iter().copied());
        command.arg("serve").arg("--config").arg(place.file()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { process, lines }
    }

    fn wait_for(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("{words:?} is not in the log:\n{}", seen.join("\n")),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn end(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("serve does not end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn wrong_usage_and_config_exit_with_64_and_one_sentence() {
    for arguments in
        [&[][..], &["fly"], &["sync"], &["demo", "--output", "xml"], &["demo", "-c", "x", "-f", "y"]]
    {
        assert_eq!(run(arguments).status.code(), Some(64), "{arguments:?}");
    }
    let output = run(&["sql", "--connect", "http://127.0.0.1:1", "-c", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(
        text(&output.stderr),
        "CONFIG_INVALID: address http://127.0.0.1:1: it is no address of a service. \
         Fix: Write it as grpc://HOST:PORT, or grpc+tls://HOST:PORT for TLS.\n"
    );
    let output = run(&["sql", "--connect", "grpc://127.0.0.1:1", "-c", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.starts_with("SERVICE_UNREACHABLE: service at grpc://127.0.0.1:1: "), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    for command in ["check", "sync", "serve", "sql"] {
        let place = Place::new("[door]\nlisten = \"127.0.0.1:9083\"\n");
        let output = place.run(command, &[]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(64), ""), "{command}");
        assert_eq!(
            text(&output.stderr),
            format!(
                "CONFIG_INVALID: {} line 1, [door]: this build does not have the Thrift front door yet. \
                 Fix: Remove the section [door].\n",
                place.file().display()
            )
        );
        let missing = run(&[command, "--config", "/nowhere/skep.toml"]);
        assert_eq!(missing.status.code(), Some(64));
    }
}

#[test]
fn help_version_example_and_completions_are_answers() {
    for arguments in [&["--help"][..], &["--version"], &["config", "example"], &["completions", "bash"]] {
        let output = run(arguments);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
    assert_eq!(text(&run(&["config", "example"]).stdout), skep::config::example::example());
}

#[test]
fn demo_prints_results_only_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| {
        skep().arg("demo").args(arguments).env("TMPDIR", folder.path()).output().unwrap()
    };
    // Of one that was killed, of one that runs, of one that begins or of somebody else.
    let [left, held, begun] = ["left", "held", "begun"].map(|end| {
        let path = folder.path().join(format!("skep-demo-{end}"));
        std::fs::create_dir_all(path.join("skep-data")).unwrap();
        path
    });
    std::fs::write(left.join("lock"), "").unwrap();
    let lock = std::fs::File::create(held.join("lock")).unwrap();
    lock.lock().unwrap();
    let sql = "SELECT metastore_name, hive_version, state FROM federation.metastores ORDER BY metastore_name";
    let output = demo(&["--output", "csv", "-c", sql]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "metastore_name,hive_version,state\ndc1,2.3,following\ndc2,3.1,following\nlake,4.2.0,following\n"
    );

    assert!(!left.exists(), "what a killed demo left is removed");
    assert!(held.exists() && begun.exists(), "and nothing else");
    drop(lock);
    std::fs::remove_dir_all(held).unwrap();
    std::fs::remove_dir_all(begun).unwrap();

    let file = folder.path().join("ask.sql");
    std::fs::write(&file, "SELECT 1 AS one; -- the first\nSELECT * FROM nowhere;\nSELECT 2 AS two;").unwrap();
    let output = demo(&["--output", "json", "-f", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stdout), "[{\"one\":1}]\n");
    assert!(text(&output.stderr).starts_with("SQL_INVALID: line 2, "), "{output:?}");
    assert_eq!(text(&output.stderr).lines().count(), 1, "{output:?}");

    std::fs::remove_file(file).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the temporary catalog is gone");
}

#[test]
fn tour_of_the_readme_is_what_the_demo_answers() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (mut statements, mut answers) = (String::new(), String::new());
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let Some((asked, answer)) = block.split_once('┌') else { continue };
        let asked = asked.trim_start_matches("$ skep demo -c \"").trim_start_matches("skep> ");
        statements.push_str(&format!("{};\n", asked.trim().trim_end_matches(['"', ';'])));
        answers.push_str(&format!("┌{answer}"));
    }
    assert!(4 < statements.matches(';').count(), "{statements}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tour.sql");
    std::fs::write(&file, statements).unwrap();
    let output = skep().args(["demo", "-f"]).arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), answers);
}

#[test]
fn demo_reads_statements_from_standard_input() {
    let mut process = skep()
        .args(["demo", "--output", "markdown"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Write;
    process.stdin.take().unwrap().write_all(b"SELECT 'a|b' AS t;\n\\q\nSELECT 2;").unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "| t |\n| --- |\n| a\\|b |\n"));
}

#[test]
fn sync_keeps_what_it_could_read_and_names_what_it_could_not() {
    let (good, hung) = (sample("good"), sample("hung"));
    hung.trouble(TroubleRule::always(Trouble::Hang));
    let place = Place::new(&(metastore("good", &good.uri()) + &metastore("hung", &hung.uri())));
    let output = place.run("sync", &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = text(&output.stdout);
    assert!(
        told.lines().any(|line| line.starts_with("good: ") && line.contains(" objects read, ")),
        "{told}"
    );
    assert!(told.lines().any(|line| line.starts_with("hung: not mirrored: METASTORE_SLOW: ")), "{told}");
    let calls: u64 = hung.calls().values().sum();
    assert_eq!(calls, 1, "not asked again after its deadline: {:?}", hung.calls());

    let expected = good.with(|metastore| metastore.table_names().len());
    let sql = "SELECT metastore_name, count(*) AS n FROM catalog.tables GROUP BY metastore_name";
    assert_eq!(place.csv(sql), format!("metastore_name,n\ngood,{expected}\n"));

    hung.calm();
    assert_eq!(place.run("sync", &[]).status.code(), Some(0));
}

#[test]
fn check_tells_what_each_metastore_is_and_what_to_fix() {
    let good = sample("good");
    let mute = SampleSpec::new("mute", Generation::V2_3, Content::Company).without_events();
    let mute = SampleServer::start(&mute, ServerOptions::default()).unwrap();
    let config = metastore("good", &good.uri()) + &metastore("mute", &mute.uri());
    let place = Place::new(&config);
    let output = place.run("check", &[]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains(&format!("good: Hive 3.1 at {}", good.uri())), "{told}");
    let tables = good.with(|metastore| metastore.table_names().len());
    assert!(told.contains(&format!(", {tables} tables and views\n")), "{told}");
    assert!(told.contains("changes: events, the newest is "), "{told}");
    assert!(told.contains("changes: polling, it keeps no notification log"), "{told}");
    assert!(told.contains("fix: for changes within a second set hive.metastore.transactional"), "{told}");

    place.write(&(config + "follow = \"events\"\n" + &metastore("gone", "thrift://127.0.0.1:1")));
    let output = place.run("check", &[]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("follow = \"events\", but it keeps no notification log"), "{told}");
    assert!(told.contains("gone: METASTORE_UNREACHABLE: "), "{told}");
}

#[test]
fn check_claims_no_events_of_a_metastore_that_holds_nothing() {
    let empty = SampleSpec::new("empty", Generation::V3_1, Content::Empty).without_events();
    let empty = SampleServer::start(&empty, ServerOptions::default()).unwrap();
    let place = Place::new(&metastore("empty", &empty.uri()));
    let output = place.run("check", &[]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("its log is empty"), "{told}");
    assert!(!told.contains("changes: events, the newest is"), "{told}");
}

#[test]
fn check_tells_a_log_that_cannot_be_read_from_none() {
    let server = sample("broken");
    let trouble = Trouble::Fail { message: "no privilege".to_owned() };
    server.trouble(TroubleRule::on_method("get_current_notificationEventId", trouble));
    let place = Place::new(&metastore("broken", &server.uri()));
    let output = place.run("check", &[]);
    let told = text(&output.stdout);
    assert!(told.contains("its notification log cannot be read: METASTORE_ERROR: "), "{told}");
    assert!(!told.contains("it keeps no notification log"), "{told}");
}

#[test]
fn a_log_that_appears_is_said_to_be_followed() {
    let server = SampleSpec::new("mute", Generation::V2_3, Content::Company).without_events();
    let server = SampleServer::start(&server, ServerOptions::default()).unwrap();
    let pauses = "poll_interval_ms = 100\npass_interval_ms = 1_000\n";
    let place = Place::new(&(metastore("mute", &server.uri()) + pauses));
    let serving = Serving::start(&place);
    serving.wait_for("mirrored, following");
    server.with(|metastore| metastore.start_events());
    serving.wait_for("it keeps a log now: following events");
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn store_held_by_another_process_is_named() {
    let place = Place::new(&metastore("gone", "thrift://127.0.0.1:1"));
    let serving = Serving::start(&place);
    serving.wait_for("serving");
    let output = place.run("sql", &["-c", "SELECT 1"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let told = text(&output.stderr);
    assert!(told.starts_with("STORE_LOCKED: "), "{told}");
    assert!(told.contains(place.0.path().join("skep-data").to_str().unwrap()), "{told}");
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn shell_on_a_service_answers_as_the_one_on_the_catalog() {
    let server = sample("one");
    let config = metastore("one", &server.uri());
    let place = Place::new(&config);
    let serving = Serving::start(&place);
    let line = serving.wait_for("serving");
    let uri = line.split_whitespace().find_map(|word| word.strip_prefix("flight=")).unwrap().to_owned();
    serving.wait_for("mirrored, following");
    let asked = |more: &[&str]| {
        let output = skep().args(["sql", "--connect", &uri]).args(more).output().unwrap();
        (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
    };
    let statements = "SELECT database_name, table_name, partition_count FROM catalog.tables ORDER BY 1, 2; \
                      SELECT * FROM docs.errors; DESCRIBE catalog.tables";
    let statements = &format!("{statements}; USE sync; SELECT count(*) FROM errors; USE skep.catalog");
    let wrong = "SELECT * FROM catalog.tabels";
    let remote: Vec<_> = ["csv", "json", "markdown", "table"]
        .map(|format| asked(&["--output", format, "-c", statements]))
        .into_iter()
        .chain([asked(&["-c", wrong]), asked(&["-c", "\\d catalog.tables"])])
        .collect();
    let (code, nodes, _) = asked(&["--output", "csv", "-c", "SELECT role, listeners FROM runtime.nodes"]);
    assert_eq!(code, Some(0));
    assert!(nodes.contains("serve") && nodes.contains(uri.strip_prefix("grpc://").unwrap()), "{nodes}");

    // One that holds another catalog is not asked.
    let other = Place::new(&config);
    let holder = Serving::start(&other);
    holder.wait_for("serving");
    let address = uri.strip_prefix("grpc://").unwrap();
    std::fs::write(other.file(), config.clone() + &format!("[flight]\nlisten = \"{address}\"\n")).unwrap();
    let output = other.run("sql", &["--output", "csv", "-c", "SELECT role FROM runtime.nodes"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.starts_with("STORE_LOCKED: ") && told.contains("is of another catalog"), "{told}");
    drop(holder);

    // With its address in the config the service that holds the catalog is found.
    let file = config.clone() + &format!("[flight]\nlisten = \"{}\"\n", uri.strip_prefix("grpc://").unwrap());
    std::fs::write(place.file(), file).unwrap();
    let output = place.run("sql", &["--output", "csv", "-c", "SELECT role FROM runtime.nodes"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "role\nserve\n"), "{output:?}");
    assert!(text(&output.stderr).contains(&uri), "{output:?}");
    assert_eq!(serving.end(), Some(0));

    let here = |more: &[&str]| {
        let output = place.run("sql", more);
        (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
    };
    let local: Vec<_> = ["csv", "json", "markdown", "table"]
        .map(|format| here(&["--output", format, "-c", statements]))
        .into_iter()
        .chain([here(&["-c", wrong]), here(&["-c", "\\d catalog.tables"])])
        .collect();
    assert_eq!(remote, local);
}

#[test]
fn serve_without_a_door_is_wrong_usage() {
    let place = Place::new("");
    std::fs::write(place.file(), metastore("gone", "thrift://127.0.0.1:1")).unwrap();
    let output = place.run("serve", &[]);
    assert_eq!(output.status.code(), Some(64));
    let told = text(&output.stderr);
    assert!(told.starts_with("CONFIG_INVALID: ") && told.contains("[flight]"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(!place.0.path().join("skep-data").exists());
}

#[test]
fn serve_on_a_port_that_is_taken_says_so_and_touches_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new("");
    let config = metastore("gone", "thrift://127.0.0.1:1");
    std::fs::write(place.file(), format!("{config}[flight]\nlisten = \"{address}\"\n")).unwrap();
    let output = place.run("serve", &[]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.starts_with("PORT_TAKEN: ") && told.contains(&address), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(!place.0.path().join("skep-data").exists());
}

#[test]
fn sigterm_ends_serve_cleanly_with_a_call_in_flight() {
    let hung = sample("hung");
    hung.trouble(TroubleRule::always(Trouble::Hang));
    let place = Place::new(&metastore("hung", &hung.uri()).replace("2_000", "600_000"));
    let serving = Serving::start(&place);
    let deadline = Instant::now() + PATIENCE;
    while hung.calls().is_empty() {
        assert!(Instant::now() < deadline, "no call came");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn sighup_applies_metastores_and_names_what_needs_a_restart() {
    let (one, two) = (sample("one"), sample("two"));
    let config = |sections: &[(&str, &SampleServer)], timeout: &str| {
        let metastores: String =
            sections.iter().map(|(name, server)| metastore(name, &server.uri())).collect();
        format!("[sql]\nstatement_timeout_ms = {timeout}\ncache_bytes = {timeout}\n{metastores}")
    };
    let place = Place::new(&config(&[("one", &one)], "1_000"));
    let serving = Serving::start(&place);
    serving.wait_for("mirrored, following");

    place.write("data_dri = 1");
    serving.signal(Signal::HUP);
    let line = serving.wait_for("config not read again");
    assert!(line.contains("did you mean data_dir?"), "{line}");

    place.write(&config(&[("two", &two)], "2_000"));
    serving.signal(Signal::HUP);
    let line = serving.wait_for("needs a restart");
    assert!(line.contains("sql.cache_bytes"), "{line}");
    let line = serving.wait_for("config read again");
    assert!(line.contains("added=two") && line.contains("removed=one"), "{line}");
    serving.wait_for("mirrored, following");
    assert_eq!(serving.end(), Some(0));
    assert_eq!(place.csv("SELECT DISTINCT metastore_name FROM catalog.tables"), "metastore_name\ntwo\n");
}

#[test]
fn sighup_applies_users() {
    let made = || {
        let output = run(&["token"]);
        let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
        let [token, hash] = &lines[..] else { panic!("{output:?}") };
        (token.clone(), hash.clone())
    };
    let ((old, old_hash), (new, new_hash)) = (made(), made());
    let config = |users: &[(&str, &str)]| {
        let users = users.iter().map(|(name, hash)| {
            format!("[[flight.user]]\nname = \"{name}\"\nrole = \"admin\"\ntoken_hashes = [\"{hash}\"]\n")
        });
        metastore("gone", "thrift://127.0.0.1:1") + &users.collect::<String>()
    };
    let place = Place::new(&config(&[("ann", &old_hash)]));
    let serving = Serving::start(&place);
    let line = serving.wait_for("serving");
    let uri = line.split_whitespace().find_map(|word| word.strip_prefix("flight=")).unwrap().to_owned();
    let asked = |token: &str| {
        let sql = "SELECT principal FROM runtime.queries";
        let arguments = ["sql", "--connect", &uri, "--output", "csv", "-c", sql];
        let output = skep().args(arguments).env("SKEP_TOKEN", token).output().unwrap();
        let told = text(&output.stderr).to_owned();
        assert!(!told.contains(&old) && !told.contains(&new), "{told}");
        match output.status.code() {
            Some(0) => text(&output.stdout).replace("principal\n", ""),
            code => {
                assert_eq!(code, Some(2));
                assert!(told.contains("UNAUTHENTICATED"), "{told}");
                "nobody\n".to_owned()
            }
        }
    };
    assert_eq!(["", &old, &new].map(&asked), ["nobody\n", "ann\n", "nobody\n"]);
    for (users, expected) in [
        (&[("bob", &*new_hash)][..], ["nobody\n", "nobody\n", "bob\n"]),
        (&[("bob", &new_hash), ("ann", &old_hash)], ["nobody\n", "ann\n", "bob\n"]),
        // Without users nobody is let in, until a restart says that this is meant.
        (&[], ["nobody\n"; 3]),
    ] {
        place.write(&config(users));
        serving.signal(Signal::HUP);
        serving.wait_for("users changed");
        assert_eq!(["", &old, &new].map(&asked), expected, "{users:?}");
    }
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_door_to_the_network_needs_tls_and_users() {
    let place = Place::new("");
    let config = metastore("gone", "thrift://127.0.0.1:1") + "[flight]\nlisten = \"0.0.0.0:0\"\n";
    std::fs::write(place.file(), &config).unwrap();
    let output = place.run("serve", &[]);
    assert_eq!(output.status.code(), Some(64));
    let told = text(&output.stderr);
    assert!(told.contains("flight.listen") && told.contains("[flight.tls]"), "{told}");
    std::fs::write(place.file(), config + "insecure_listen_without_tls_or_users = true\n").unwrap();
    let serving = Serving::start(&place);
    serving.wait_for("insecure_listen_without_tls_or_users is set");
    serving.wait_for("serving");
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn sync_that_failed_is_seen_by_sql() {
    let place = Place::new(&metastore("gone", "thrift://127.0.0.1:1"));
    assert_eq!(place.run("sync", &[]).status.code(), Some(2));
    let sql = "SELECT state, error_code, error_at IS NULL AS n, lag_ms FROM sync.status";
    assert_eq!(place.csv(sql), "state,error_code,n,lag_ms\nerror,METASTORE_UNREACHABLE,false,\n");
    let sql = "SELECT endpoint_uri, state, error_message IS NULL AS n FROM federation.endpoints";
    assert_eq!(place.csv(sql), "endpoint_uri,state,n\nthrift://127.0.0.1:1,error,false\n");
}

#[test]
fn sql_after_sync_says_that_nobody_follows() {
    let good = sample("good");
    let place = Place::new(&metastore("good", &good.uri()));
    assert_eq!(place.run("sync", &[]).status.code(), Some(0));
    drop(good);
    let sql = "SELECT state, error_code, lag_events, 0 <= lag_ms AS has_lag, mirrored_at IS NULL AS n FROM sync.status";
    assert_eq!(place.csv(sql), "state,error_code,lag_events,has_lag,n\npending,,,true,false\n");
    let sql = "SELECT DISTINCT sync_status FROM catalog.tables";
    assert_eq!(place.csv(sql), "sync_status\nstale\n");
}

#[test]
fn sql_creates_no_store() {
    let place = Place::new(&metastore("gone", "thrift://127.0.0.1:1"));
    let output = place.run("sql", &["-c", "SELECT 1"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let told = text(&output.stderr);
    assert!(told.contains("nothing is mirrored there yet") && told.contains("skep sync --config"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    let left: Vec<_> = std::fs::read_dir(place.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["skep.toml"]);
}

#[test]
fn readers_that_leave_are_no_crash_and_stop_no_work() {
    let good = sample("good");
    let place = Place::new(&(metastore("good", &good.uri()) + &metastore("gone", "thrift://127.0.0.1:1")));
    let file = place.file();
    let file = file.to_str().unwrap();
    let closed = || std::io::pipe().unwrap().1;
    let run = |arguments: &[&str], closes_stderr: bool| {
        let mut command = skep();
        command.args(arguments).stdout(closed()).stderr(Stdio::piped());
        if closes_stderr {
            command.stderr(closed());
        }
        let output = command.output().unwrap();
        assert!(!text(&output.stderr).contains("panicked"), "{arguments:?}: {output:?}");
        output.status.code()
    };
    for closes_stderr in [false, true] {
        for (arguments, code) in [
            (&["--help"][..], 0),
            (&["config", "example"], 0),
            (&["completions", "zsh"], 0),
            (&["token"], 0),
            (&["hash-password"], 64),
            (&["check", "--config", file], 2),
            (&["sync", "--config", file], 2),
            (&["sql", "--config", file, "-c", "SELECT 1; SELECT * FROM catalog.columns"], 0),
            (&["sql", "--config", file, "--output", "json", "-c", "\\d catalog.tables"], 0),
            (&["sql", "--config", file, "--output", "csv", "-c", "SELECT * FROM nowhere"], 2),
            (&["demo", "-c", "SELECT 1"], 0),
            (&["fly"], 64),
        ] {
            assert_eq!(run(arguments, closes_stderr), Some(code), "{arguments:?}");
        }
    }
    assert_ne!(place.csv("SELECT count(*) AS n FROM catalog.tables"), "n\n0\n", "it was mirrored");

    let calls = || good.calls().values().sum::<u64>();
    let before = calls();
    let process = skep().args(["serve", "--config", file]).stdout(closed()).stderr(closed()).spawn().unwrap();
    let (_sender, lines) = mpsc::channel();
    let serving = Serving { process, lines };
    let deadline = Instant::now() + PATIENCE;
    while calls() == before {
        assert!(Instant::now() < deadline, "no call came");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn sync_merges_what_changed() {
    let server = sample("one");
    let place = Place::new(&metastore("one", &server.uri()));
    assert_eq!(place.run("sync", &[]).status.code(), Some(0));
    server.with(|metastore| {
        let partitions = |table| (metastore.partition_names(&table), table);
        let (names, table) = metastore
            .table_names()
            .into_iter()
            .map(partitions)
            .find(|(names, _)| 200 <= names.len())
            .unwrap();
        for name in &names[..200] {
            metastore.set_partition_parameter(&table, name, "checked", "yes").unwrap();
        }
    });
    assert_eq!(place.run("sync", &[]).status.code(), Some(0));
    assert_eq!(place.csv("SELECT delta_count FROM runtime.store"), "delta_count\n0\n");
}

#[test]
fn demo_ended_by_a_signal_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::HUP, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let is_empty = || std::fs::read_dir(folder.path()).unwrap().next().is_none();
        let mut command = skep();
        command.args(["demo", "-c", "SELECT 1"]).env("TMPDIR", folder.path()).stdout(Stdio::null());
        let mut process = command.spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while is_empty() {
            assert!(Instant::now() < deadline, "it does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&process), signal).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(2), "{signal:?}");
        assert!(is_empty(), "{signal:?}");
    }
}

#[test]
fn rust_log_wins_over_the_level_also_after_sighup() {
    let (one, two) = (sample("one"), sample("two"));
    let config = |level: &str| format!("[log]\nlevel = \"{level}\"\n{}", metastore("one", &one.uri()));
    let place = Place::new(&config("error"));
    let serving = Serving::start_with(&place, &[("RUST_LOG", "info")]);
    serving.wait_for("mirrored, following");
    place.write(&config("warn"));
    serving.signal(Signal::HUP);
    serving.wait_for("RUST_LOG overrules it");
    place.write(&(config("warn") + &metastore("two", &two.uri())));
    serving.signal(Signal::HUP);
    serving.wait_for("added=two");
    assert_eq!(serving.end(), Some(0));
}

/// What `path` answers: status, headers and body.
fn http(address: &str, request: &str) -> (u16, String, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: skep\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

/// The value of a meter as it is printed.
fn meter(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.map(|line| line.rsplit(' ').next().unwrap().to_owned())
}

#[test]
fn serve_tells_its_health_and_its_meters_over_http() {
    use std::io::{Read, Write};
    let server = sample("one");
    // Connects, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_uri = format!("thrift://{}", silent.local_addr().unwrap());
    let place = Place::new("");
    let slow = metastore("slow", &silent_uri).replace("2_000", "6_000");
    let config = metastore("one", &server.uri()) + &slow + "[http]\nlisten = \"127.0.0.1:0\"\n";
    place.write(&config);
    let serving = Serving::start(&place);
    let line = serving.wait_for("serving");
    let address = line.split_whitespace().find_map(|word| word.split_once("http://")).unwrap().1;
    let address = address.trim_end_matches('"');
    let get = |path: &str| http(address, &format!("GET {path}"));

    let (status, _, waits_for) = get("/readyz");
    assert_eq!(status, 503);
    assert!(waits_for.contains("metastore slow is being mirrored\n"), "{waits_for}");
    assert_eq!((get("/livez").0, get("/").0, get("/metrics/").0), (200, 200, 404));
    let (status, head, _) = http(address, "POST /metrics");
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head"), "{head}");
    let (status, head, body) = http(address, "HEAD /metrics");
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("application/openmetrics-text"), "{head}");

    // Bytes that are no HTTP hurt nobody else.
    let mut stranger = std::net::TcpStream::connect(address).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger.write_all(&[0x16, 3, 1, 0, 0xff, 0]).unwrap();
    stranger.shutdown(std::net::Shutdown::Write).unwrap();
    let _ = stranger.read_to_end(&mut Vec::new());

    // In error, after its deadline: that is an answer too.
    let deadline = Instant::now() + PATIENCE;
    while get("/readyz").0 != 200 {
        assert!(Instant::now() < deadline, "{:?}", get("/readyz"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let meters = get("/metrics").2;
    assert!(meters.ends_with("# EOF\n"), "{meters}");
    let uri = server.uri();
    for (name, expected) in [
        ("skep_metastore_state{metastore=\"one\",state=\"following\"}", "1.0"),
        ("skep_metastore_state{metastore=\"slow\",state=\"error\"}", "1.0"),
        ("skep_metastore_state{metastore=\"slow\",state=\"following\"}", "0.0"),
        ("skep_metastore_unread_objects{metastore=\"one\"}", "0.0"),
        ("skep_store_rebuild_failed", "0.0"),
        ("skep_statement_rows_total", "0.0"),
        ("skep_statement_duration_seconds_count", "0"),
        (&format!("skep_endpoint_up{{metastore=\"one\",uri=\"{uri}\"}}"), "1.0"),
    ] {
        assert_eq!(meter(&meters, name).as_deref(), Some(expected), "{name} in {meters}");
    }
    assert_eq!(meter(&meters, "skep_metastore_mirrored_timestamp_seconds{metastore=\"slow\"}"), None);

    // What it counts is what SQL says.
    let flight = line.split_whitespace().find_map(|word| word.strip_prefix("flight=")).unwrap();
    let ask =
        |sql: &str| skep().args(["sql", "--connect", flight, "--output", "csv", "-c", sql]).output().unwrap();
    let output = ask("SELECT count(*) FROM catalog.partitions");
    let partitions = text(&output.stdout).lines().nth(1).unwrap();
    assert_eq!(ask("SELECT * FROM nowhere").status.code(), Some(2));
    let meters = get("/metrics").2;
    let number = |name: &str| meter(&meters, name).unwrap().parse::<f64>().unwrap();
    assert_eq!(number("skep_metastore_partitions{metastore=\"one\"}"), partitions.parse::<f64>().unwrap());
    assert!(0.0 < number("skep_metastore_partitions{metastore=\"one\"}"));
    assert_eq!(meter(&meters, "skep_statements_total{state=\"done\"}").as_deref(), Some("1"));
    assert_eq!(meter(&meters, "skep_statements_total{state=\"failed\"}").as_deref(), Some("1"));
    assert_eq!(number("skep_statement_duration_seconds_bucket{le=\"+Inf\"}"), 2.0);
    assert_eq!(number("skep_statement_rows_total"), 1.0);
    assert!(1e6 < number("process_resident_memory_bytes") && 0.0 < number("process_cpu_seconds_total"));
    assert_eq!(serving.end(), Some(0));
}
