//! Calls at a running service: in effect at once, there after a restart, however it ended.

use std::time::Instant;

use super::*;

/// A service and its address.
struct Service {
    serving: Serving,
    uri: String,
}

impl Service {
    fn start(place: &Place) -> Self {
        let serving = Serving::start(place);
        let line = serving.wait_for("serving");
        let uri = line.split_whitespace().find_map(|word| word.strip_prefix("flight=")).unwrap().to_owned();
        Self { serving, uri }
    }

    fn output(&self, sql: &str) -> Output {
        skep().args(["sql", "--connect", &self.uri, "--output", "csv", "-c", sql]).output().unwrap()
    }

    /// Rows without the header.
    fn rows(&self, sql: &str) -> String {
        let output = self.output(sql);
        assert_eq!(output.status.code(), Some(0), "{sql}\n{output:?}");
        text(&output.stdout).split_once('\n').unwrap().1.trim_end().to_owned()
    }

    /// What a CALL answers as status.
    fn call(&self, call: &str) -> String {
        self.rows(&format!("CALL ops.{call}")).split(',').nth(2).unwrap().to_owned()
    }

    fn refusal(&self, call: &str) -> String {
        let output = self.output(&format!("CALL ops.{call}"));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        text(&output.stderr).to_owned()
    }

    fn eventually(&self, sql: &str, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows(sql);
            if rows == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}\n{rows}\nis not {expected}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(mut self) {
        self.serving.process.kill().unwrap();
        self.serving.process.wait().unwrap();
    }
}

const TIMEOUT: &str = "SELECT value, unit, origin FROM runtime.settings WHERE name = 'statement_timeout_ms'";

#[test]
fn settings_are_in_effect_at_once_and_after_kills() {
    let place = Place::new(&format!(
        "[sql]\nstatement_timeout_ms = 20_000\n{}",
        metastore("gone", "thrift://127.0.0.1:1")
    ));
    let mut service = Service::start(&place);
    assert_eq!(service.rows(TIMEOUT), "20000,ms,config");
    for value in [40_000, 50_000, 60_000] {
        assert_eq!(service.call(&format!("set_setting('statement_timeout_ms', {value})")), "applied");
        service.kill();
        service = Service::start(&place);
        assert_eq!(service.rows(TIMEOUT), format!("{value},ms,procedure"));
    }
    assert_eq!(service.rows("SELECT count(*) FROM runtime.audit_log WHERE status = 'applied'"), "3");
    assert_eq!(service.call("set_setting('statement_timeout_ms', 1)"), "applied");
    let output = service.output("SELECT count(*) FROM docs.columns a, docs.columns b, docs.columns c");
    assert!(text(&output.stderr).starts_with("SQL_TIMEOUT: "), "{output:?}");
    // What was set too short is mended by a call, which it does not bound.
    assert_eq!(service.serving.end(), Some(0));
    let reset = place.csv("CALL ops.reset_setting(name => 'statement_timeout_ms', dry_run => TRUE)");
    assert!(reset.contains("planned"), "{reset}");
    assert!(place.csv("CALL ops.reset_setting('statement_timeout_ms')").contains("applied"));
    let service = Service::start(&place);
    assert_eq!(service.rows(TIMEOUT), "20000,ms,config");
    let told = service.refusal("set_setting('statement_timeout_ms', 0)");
    assert!(told.starts_with("CALL_INVALID: ") && told.contains("between 1 and 3_600_000"), "{told}");
    let told = service.refusal("set_setting('statment_timeout_ms', 5)");
    assert!(told.contains("Did you mean statement_timeout_ms?"), "{told}");
    assert_eq!(service.serving.end(), Some(0));
}

#[test]
fn the_level_of_the_log_is_changed_by_a_call() {
    let server = sample("one");
    let place = Place::new(&metastore("one", &server.uri()));
    let service = Service::start(&place);
    service.serving.wait_for("mirrored, following");
    assert_eq!(service.call("set_setting('log.level', 'error')"), "applied");
    assert_eq!(service.call("add_metastore('two', ['thrift://127.0.0.1:1'])"), "applied");
    assert_eq!(service.call("set_setting('log.level', 'info')"), "applied");
    assert_eq!(service.serving.end(), Some(0));
}

#[test]
fn a_metastore_added_by_a_call_is_mirrored_paused_and_removed_across_kills() {
    let (one, two) = (sample("one"), sample("two"));
    let place = Place::new(&metastore("one", &one.uri()));
    let service = Service::start(&place);
    let add = format!("add_metastore(name => 'two', uris => ['{}'], request_timeout_ms => 2000)", two.uri());
    assert_eq!(service.call(&add), "applied");
    let states = "SELECT metastore_name, origin, state FROM federation.metastores ORDER BY 1";
    service.eventually(states, "one,config,following\ntwo,procedure,following");
    let tables = "SELECT count(*) > 0 FROM catalog.tables WHERE metastore_name = 'two'";
    assert_eq!(service.rows(tables), "true");
    assert_eq!(service.call("pause_metastore('two')"), "applied");
    assert_eq!(service.call("pause_metastore('one')"), "applied");
    assert_eq!(service.rows(states), "one,config,paused\ntwo,procedure,paused");
    assert_eq!(service.rows(tables), "true");
    service.kill();

    two.forget_calls();
    let service = Service::start(&place);
    assert_eq!(service.rows(states), "one,config,paused\ntwo,procedure,paused");
    assert_eq!(service.call("resume_metastore('one')"), "applied");
    service.eventually(states, "one,config,following\ntwo,procedure,paused");
    assert!(two.calls().is_empty(), "a paused metastore was asked: {:?}", two.calls());
    let told = service.refusal(&format!("add_metastore('three', ['{}'])", one.uri()));
    assert!(told.contains("is an address of one already"), "{told}");
    let told = service.refusal("remove_metastore('one')");
    assert!(told.contains("of the config file"), "{told}");
    assert_eq!(service.call("resume_metastore('two')"), "applied");
    service.eventually(states, "one,config,following\ntwo,procedure,following");
    // A file that has it too wins.
    place.write(&(metastore("one", &one.uri()) + &metastore("two", &two.uri())));
    service.serving.signal(Signal::HUP);
    service.eventually(states, "one,config,following\ntwo,config,following");
    place.write(&metastore("one", &one.uri()));
    service.serving.signal(Signal::HUP);
    service.eventually(states, "one,config,following\ntwo,procedure,following");
    assert_eq!(service.call("remove_metastore('two')"), "applied");
    assert_eq!(service.rows(states), "one,config,following");
    assert_eq!(service.rows(tables), "false");
    service.kill();
    let service = Service::start(&place);
    service.eventually(states, "one,config,following");
    assert_eq!(service.serving.end(), Some(0));
}

#[test]
fn what_a_call_asks_to_be_read_again_is_read() {
    let server = sample("one");
    let slow = "follow = \"polling\"\npoll_interval_ms = 3_600_000\npass_interval_ms = 86_400_000\n";
    let place = Place::new(&(metastore("one", &server.uri()) + slow));
    let service = Service::start(&place);
    service.serving.wait_for("mirrored, following");
    let table = server.with(|metastore| {
        let names = metastore.table_names();
        let named = |table| (metastore.partition_names(&table), table);
        let (partitions, table) = names.into_iter().map(named).find(|(names, _)| !names.is_empty()).unwrap();
        metastore.set_partition_parameter(&table, &partitions[0], "checked", "yes").unwrap();
        table
    });
    let sql = "SELECT count(*) FROM catalog.partition_properties WHERE property_key = 'checked'";
    assert_eq!(service.rows(sql), "0");
    let (database, name) = (&table.database.database, &table.table);
    let call = format!(
        "refresh_table(metastore_name => 'one', database_name => '{database}', table_name => '{name}')"
    );
    assert_eq!(service.call(&call), "queued");
    service.eventually(sql, "1");
    assert_eq!(service.call("refresh_metastore('one')"), "queued");
    let runs = "SELECT count(*) FROM sync.runs WHERE kind = 'poll' AND state = 'done'";
    service.eventually(runs, "1");
    assert_eq!(service.call("pause_metastore('one')"), "applied");
    assert!(service.refusal("refresh_metastore('one')").contains("is paused"));
    assert_eq!(service.serving.end(), Some(0));
}

#[test]
fn calls_on_a_catalog_of_its_own_are_recorded_for_the_service() {
    let (one, two) = (sample("one"), sample("two"));
    let place = Place::new(&metastore("one", &one.uri()));
    assert_eq!(place.run("sync", &[]).status.code(), Some(0));
    let refused = place.run("sql", &["-c", "CALL ops.refresh_metastore('one')"]);
    assert!(text(&refused.stderr).starts_with("CALL_NOT_HERE: "), "{refused:?}");
    let added = place.csv(&format!("CALL ops.add_metastore('two', ['{}'])", two.uri()));
    assert!(added.contains("mirrored by the next skep serve or skep sync"), "{added}");
    assert!(place.csv("CALL ops.pause_metastore('one')").contains("applied"));
    let output = place.run("sync", &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains("one: paused by a call, not read") && told.contains("two: "), "{told}");
    let sql = "SELECT DISTINCT metastore_name FROM catalog.tables ORDER BY 1";
    assert_eq!(place.csv(sql), "metastore_name\none\ntwo\n");
    let who = "SELECT DISTINCT principal, client FROM runtime.audit_log";
    assert_eq!(place.csv(who), "principal,client\nlocal,local\n");
}

#[test]
fn a_backup_is_a_data_dir_with_what_calls_decided() {
    let server = sample("one");
    let place = Place::new(&metastore("one", &server.uri()));
    let service = Service::start(&place);
    service.serving.wait_for("mirrored, following");
    assert_eq!(service.call("set_setting('result_rows_max', 77777)"), "applied");
    let path = place.0.path().join("backup");
    let call = format!("backup_store('{}')", path.display());
    assert_eq!(service.call(&call), "queued");
    let jobs = "SELECT state FROM runtime.jobs WHERE procedure_name = 'ops.backup_store'";
    service.eventually(jobs, "done");
    assert!(service.refusal(&call).contains("exists already"));
    assert!(service.refusal("backup_store('skep-data/inside')").contains("is inside data_dir"));
    assert_eq!(service.call("compact_store()"), "queued");
    service.eventually("SELECT state FROM runtime.jobs WHERE procedure_name = 'ops.compact_store'", "done");
    let count = "SELECT count(*) FROM catalog.partitions";
    let partitions = service.rows(count);
    assert_eq!(service.serving.end(), Some(0));
    let restored = format!("data_dir = \"{}\"\n{}", path.display(), metastore("one", &server.uri()));
    place.write(&restored);
    assert_eq!(place.csv(count).lines().nth(1), Some(partitions.as_str()));
    let sql = "SELECT value, origin FROM runtime.settings WHERE name = 'result_rows_max'";
    assert_eq!(place.csv(sql), "value,origin\n77777,procedure\n");
}

#[test]
fn a_call_is_done_once_at_a_prompt_and_in_the_demo() {
    let output = run(&[
        "demo",
        "--output",
        "csv",
        "-c",
        "CALL ops.set_setting('result_rows_max', 1000); SELECT status, count(*) AS n FROM runtime.audit_log GROUP BY 1; \
         SELECT value FROM runtime.settings WHERE name = 'result_rows_max'",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("status,n\napplied,1\n"), "{output:?}");
    assert!(text(&output.stdout).ends_with("value\n1000\n"), "{output:?}");
}
