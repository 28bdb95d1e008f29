//! Calls: understood or refused with what there is instead, in effect exactly once, in the audit
//! log, and never in effect while something is planned, prepared or explained.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use skep_catalog::control::{Control, MetastoreOptions, State};
use skep_catalog::fault::{Code, Fault};
use skep_catalog::journal::Folder;
use skep_query::arrow::array::{ArrayRef, RecordBatch, StringArray};
use skep_query::arrow::util::display::{ArrayFormatter, FormatOptions};
use skep_query::procedures::{Effect, Host, KnownSetting};
use skep_query::{Caller, EngineOptions, Procedures, Role, Scope, Statement};

use crate::fixture::{Fixture, eventually, fixture, fixture_with};

/// One setting, the metastores of the fixture, and a list of what was to be done.
#[derive(Default)]
struct TestHost {
    done: Mutex<Vec<Effect>>,
}

#[async_trait::async_trait]
impl Host for TestHost {
    fn setting(&self, name: &str) -> Result<KnownSetting, Fault> {
        match name {
            "limit" => Ok(KnownSetting { name: name.into(), value: Some("7".into()), origin: "default" }),
            _ => Err(Fault::new(Code::CALL_INVALID, "setting", format!("there is no setting {name}"))),
        }
    }
    fn check_setting(&self, _: &str, value: &str) -> Result<String, Fault> {
        let number = value.parse::<u8>();
        number
            .map(|number| number.to_string())
            .map_err(|_| Fault::new(Code::CALL_INVALID, "setting limit", "it must be between 0 and 255"))
    }
    fn configured(&self) -> Vec<String> {
        ["east", "west"].map(str::to_owned).into()
    }
    fn check_metastore(&self, _: &str, options: &MetastoreOptions, _: &State) -> Result<(), Fault> {
        match options.get("uris") {
            Some(uris) if uris.contains("thrift://") => Ok(()),
            _ => Err(Fault::new(Code::CALL_INVALID, "metastore", "no address")),
        }
    }
    fn check_backup(&self, path: &str) -> Result<String, Fault> {
        Ok(path.to_owned())
    }
    fn follows(&self) -> bool {
        true
    }
    async fn perform(self: Arc<Self>, effect: Effect) -> Result<String, Fault> {
        let is_bad = matches!(&effect, Effect::Backup(path) if path == "/bad");
        self.done.lock().push(effect);
        match is_bad {
            true => Err(Fault::new(Code::STORE_IO, "backup", "no such disk")),
            false => Ok("done so".to_owned()),
        }
    }
}

/// A fixture that takes calls.
struct Called {
    f: Fixture,
    host: Arc<TestHost>,
    folder: tempfile::TempDir,
}

fn control(folder: &tempfile::TempDir) -> Arc<Control> {
    let salt = AtomicU64::new(1);
    let disk = Box::new(Folder::open(folder.path()).unwrap());
    let salts = move || salt.fetch_add(1, Ordering::Relaxed);
    Arc::new(Control::open(disk, salts).unwrap().0)
}

fn with_calls(f: Fixture) -> Called {
    let (folder, host) = (tempfile::tempdir().unwrap(), Arc::new(TestHost::default()));
    let host_of = Arc::clone(&host);
    f.engine.set_procedures(Procedures { control: control(&folder), host: host_of });
    Called { f, host, folder }
}

fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect());
        }
    }
    rows
}

fn as_role(sql: &str, role: Role) -> Statement {
    let caller = Caller { principal: "anna".into(), client: "10.0.0.9:5".into(), role, ..Caller::local() };
    Statement { caller, ..Statement::new(sql) }
}

impl Called {
    fn ask(&self, statement: Statement) -> Result<Vec<Vec<String>>, Fault> {
        futures::executor::block_on(async {
            let result = self.f.engine.execute(statement).await?;
            let schema = Arc::clone(&result.schema);
            let batches = result.collect().await?;
            assert!(batches.iter().all(|batch| batch.schema() == schema));
            Ok(texts(&batches))
        })
    }

    fn call(&self, sql: &str) -> Vec<Vec<String>> {
        self.ask(as_role(sql, Role::Admin)).unwrap_or_else(|fault| panic!("{sql}\n{fault}"))
    }

    fn refusal(&self, sql: &str) -> Fault {
        match self.ask(as_role(sql, Role::Admin)) {
            Ok(rows) => panic!("{sql}\n{rows:?}"),
            Err(fault) => fault,
        }
    }

    /// Status, version before and after of the only row.
    fn outcome(&self, sql: &str) -> [String; 3] {
        let rows = self.call(sql);
        assert_eq!(rows.len(), 1, "{rows:?}");
        [2, 5, 6].map(|index| rows[0][index].clone())
    }

    fn statuses(&self) -> Vec<String> {
        self.f.rows("SELECT status FROM runtime.audit_log").concat()
    }
}

#[test]
fn a_call_takes_effect_and_is_in_the_audit_log() {
    let c = with_calls(fixture());
    let set = "CALL ops.set_setting(name => 'limit', value => '9', reason => 'month end')";
    assert_eq!(c.outcome(set), ["applied", "-", "1"]);
    assert_eq!(*c.host.done.lock(), [Effect::Settle]);
    assert_eq!(c.outcome(set), ["unchanged", "1", "1"]);
    assert_eq!(
        c.outcome("CALL ops.set_setting(name => 'limit', value => 10, expected_version => 1)"),
        ["applied", "1", "3"]
    );
    assert_eq!(c.outcome("CALL ops.reset_setting(name => 'limit', dry_run => TRUE)"), ["planned", "3", "-"]);
    assert_eq!(c.outcome("CALL ops.reset_setting('limit')"), ["applied", "3", "-"]);
    assert_eq!(c.outcome("CALL ops.reset_setting('limit')"), ["unchanged", "-", "-"]);
    assert_eq!(c.host.done.lock().len(), 3);
    let sql = "SELECT principal, client, procedure_name, arguments, status, reason, object_type, object_name, \
               version_after, before_json, after_json FROM runtime.audit_log LIMIT 1";
    assert_eq!(
        c.f.rows(sql),
        [[
            "anna",
            "10.0.0.9:5",
            "ops.set_setting",
            "{name: limit, value: 9}",
            "applied",
            "month end",
            "setting",
            "limit",
            "1",
            "{\"origin\":\"default\",\"value\":\"7\"}",
            "{\"origin\":\"procedure\",\"value\":\"9\"}"
        ]]
    );
    assert_eq!(c.statuses(), ["applied", "unchanged", "applied", "planned", "applied", "unchanged"]);
}

#[test]
fn nothing_happens_while_a_call_is_prepared_explained_or_planned() {
    let c = with_calls(fixture());
    let call = "CALL ops.set_setting(name => ?, value => '9')";
    let prepared = futures::executor::block_on(c.f.engine.prepare(as_role(call, Role::Admin))).unwrap();
    assert!(prepared.is_call);
    assert_eq!(prepared.parameters.fields().len(), 1);
    let run =
        futures::executor::block_on(c.f.engine.run(as_role("CALL ops.reset_setting('limit')", Role::Admin)));
    assert_eq!(run.err().unwrap().code, Code::INTERNAL, "no way but one leads to an effect");
    let explained = c.call("EXPLAIN CALL ops.set_setting(name => 'limit', value => '9')");
    let told = |part: &str| explained.iter().filter(|row| row[0] == part).cloned().collect::<Vec<_>>();
    assert_eq!(told("check"), [["check", "role", "true", "-"], ["check", "objects", "true", "-"]]);
    assert_eq!(told("status")[0][1], "applied");
    assert_eq!(told("before")[0][3], "{\"origin\":\"default\",\"value\":\"7\"}");
    let explained = c.call("EXPLAIN CALL ops.set_setting(name => 'limit', value => '999')");
    assert!(
        explained.iter().any(|row| row[2] == "false" && row[3].contains("between 0 and 255")),
        "{explained:?}"
    );
    let reader = c.ask(as_role("EXPLAIN CALL ops.reset_setting('limit')", Role::Reader)).unwrap();
    assert!(reader.iter().any(|row| row[1] == "role" && row[2] == "false"), "{reader:?}");
    assert!(c.host.done.lock().is_empty());
    assert!(c.statuses().is_empty());
}

#[test]
fn prepared_calls_take_values() {
    let c = with_calls(fixture());
    let sql = "CALL ops.set_setting(name => ?, value => ?, dry_run => ?)";
    let value = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let run = |values: Vec<ArrayRef>| {
        let named = values.into_iter().enumerate().map(|(index, value)| (index.to_string(), value, true));
        let parameters = Some(RecordBatch::try_from_iter_with_nullable(named).unwrap());
        c.ask(Statement { parameters, ..as_role(sql, Role::Admin) })
    };
    let rows = run(vec![value(Some("limit")), value(Some("9")), value(None)]).unwrap();
    assert_eq!(rows[0][2], "applied", "NULL is as if it were not there");
    let rows = run(vec![value(Some("limit")), value(Some("8")), value(Some("true"))]).unwrap();
    assert_eq!(rows[0][2], "planned");
    let fault = run(vec![value(Some("limit"))]).unwrap_err();
    assert!(fault.why.contains("3 parameters, and 1"), "{fault}");
    let fault = run(vec![value(None), value(Some("9")), value(None)]).unwrap_err();
    assert!(fault.why.contains("name is missing"), "{fault}");
}

#[test]
fn one_idempotency_key_from_eight_callers_is_one_effect() {
    let c = with_calls(fixture());
    let sql = "CALL ops.set_setting(name => 'limit', value => '9', idempotency_key => 'k')";
    let rows = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| c.call(sql))).collect();
        calls.into_iter().map(|call| call.join().unwrap().remove(0)).collect::<Vec<_>>()
    });
    let count = |status: &str| rows.iter().filter(|row| row[2] == status).count();
    assert_eq!((count("applied"), count("replayed")), (1, 7));
    assert!(rows.iter().all(|row| row[0] == rows[0][0] && row[6] == "1"), "{rows:?}");
    assert_eq!(c.host.done.lock().len(), 1);
    let fault = c.refusal("CALL ops.set_setting(name => 'limit', value => '8', idempotency_key => 'k')");
    assert_eq!(fault.code, Code::CALL_INVALID);
    assert!(fault.why.contains("with other arguments"), "{fault}");
    let statuses = c.statuses();
    let again = control(&c.folder);
    let known: Vec<_> = again.state().calls.iter().map(|call| call.status.as_str()).collect();
    assert_eq!(known, statuses);
    for key in ["", " ", &"k".repeat(201)] {
        let sql = format!("CALL ops.reset_setting(name => 'limit', idempotency_key => '{key}')");
        assert!(c.refusal(&sql).why.contains("empty or longer"), "{key}");
    }
}

#[test]
fn the_answer_of_a_call_is_found_again() {
    let c = with_calls(fixture());
    let rows = c.call("CALL ops.set_setting('limit', '9')");
    let again = c.f.engine.called(&rows[0][0], false).unwrap();
    assert_eq!(texts(&[again.rows]), rows);
    let again = texts(&[c.f.engine.called(&rows[0][0], true).unwrap().rows]);
    assert_eq!((again[0][2].as_str(), again[0][6].as_str()), ("replayed", "1"));
    assert_eq!(c.f.engine.called("nothing", false).unwrap_err().code, Code::TICKET_INVALID);
}

#[test]
fn a_role_that_is_not_enough_is_refused_and_remembered_without_its_texts() {
    let c = with_calls(fixture());
    let sql = "CALL ops.set_setting(name => 'limit', value => '9', reason => 'because')";
    for role in [Role::Reader, Role::Operator] {
        let fault = c.ask(as_role(sql, role)).unwrap_err();
        assert_eq!(fault.code, Code::CALL_NOT_ALLOWED);
        assert!(fault.why.contains("for the role admin, and anna is"), "{fault}");
    }
    assert_eq!(c.ask(as_role("CALL ops.pause_metastore('east')", Role::Operator)).unwrap()[0][2], "applied");
    let sql = "SELECT arguments, reason, status, error_code FROM runtime.audit_log LIMIT 1";
    assert_eq!(c.f.rows(sql), [["{}", "-", "rejected", "CALL_NOT_ALLOWED"]]);
    assert_eq!(c.host.done.lock().len(), 1);
}

#[test]
fn who_sees_a_part_of_the_metastores_calls_about_that_part_only() {
    let c = with_calls(fixture());
    let scope = Scope::new(Some(vec!["east".into()]), Some(vec!["sales".into()]));
    let scoped = |sql: &str| {
        let caller = Caller { principal: "ben".into(), scope: Arc::new(scope.clone()), ..Caller::local() };
        c.ask(Statement { caller, ..Statement::new(sql) })
    };
    for call in ["refresh_database('east', 'sales')", "refresh_table('east', 'Sales', 'orders')"] {
        assert_eq!(scoped(&format!("CALL ops.{call}")).unwrap()[0][2], "queued", "{call}");
    }
    for call in [
        "set_setting('limit', 1)",
        "reset_setting('limit')",
        "add_metastore('north', ['thrift://n:1'])",
        "pause_metastore('east')",
        "refresh_metastore('east')",
        "refresh_database('east', 'ops')",
        "refresh_table('east', 'ops', 'logs')",
    ] {
        assert_eq!(scoped(&format!("CALL ops.{call}")).unwrap_err().code, Code::CALL_NOT_ALLOWED, "{call}");
    }
    let unseen = scoped("CALL ops.refresh_database('west', 'sales')").unwrap_err();
    assert_eq!(unseen.code, Code::METASTORE_UNKNOWN);
    let fault = scoped("CALL ops.refresh_database('wes', 'sales')").unwrap_err();
    assert!(!fault.to_string().contains("west"), "{fault}");
    c.call("CALL ops.set_setting('limit', 3)");
    let principals = "SELECT DISTINCT principal FROM runtime.audit_log ORDER BY 1";
    assert_eq!(scoped(principals).unwrap(), [["ben"]]);
    assert_eq!(c.call(principals), [["anna"], ["ben"]]);
}

#[test]
fn metastores_are_added_altered_paused_and_removed_in_versions() {
    let c = with_calls(fixture());
    let add = "CALL ops.add_metastore(name => 'north', uris => ['thrift://n:1'], follow => 'polling')";
    assert_eq!(c.outcome(add), ["applied", "-", "1"]);
    assert_eq!(c.outcome(add), ["unchanged", "1", "1"]);
    let other = c.refusal("CALL ops.add_metastore(name => 'north', uris => ['thrift://n:2'])");
    assert!(other.why.contains("with other options"), "{other}");
    let conflict = c.refusal("CALL ops.pause_metastore(name => 'north', expected_version => 7)");
    assert_eq!(conflict.code, Code::CALL_CONFLICT);
    assert!(conflict.why.contains("north has version 1, not 7"), "{conflict}");
    let pause = "CALL ops.pause_metastore(name => 'north', expected_version => 1)";
    assert_eq!(c.outcome(pause), ["applied", "1", "5"]);
    assert!(c.refusal("CALL ops.refresh_metastore('north')").why.contains("is paused"));
    assert_eq!(c.outcome("CALL ops.resume_metastore('north')"), ["applied", "5", "7"]);
    assert_eq!(c.outcome("CALL ops.resume_metastore('north')"), ["unchanged", "7", "7"]);
    let alter = "CALL ops.alter_metastore(name => 'north', user => 'etl', connect_timeout_ms => 50)";
    assert_eq!(c.outcome(alter), ["applied", "7", "9"]);
    let after =
        c.f.rows("SELECT after_json FROM runtime.audit_log WHERE procedure_name = 'ops.alter_metastore'");
    assert_eq!(
        after.concat(),
        [
            "{\"is_paused\":false,\"options\":{\"connect_timeout_ms\":\"50\",\"follow\":\"polling\",\"uris\":\"[\\\"thrift://n:1\\\"]\",\"user\":\"etl\"}}"
        ]
    );
    for verb in
        ["add_metastore('east', ['thrift://e:1'])", "alter_metastore('east')", "remove_metastore('east')"]
    {
        assert!(c.refusal(&format!("CALL ops.{verb}")).why.contains("of the config file"), "{verb}");
    }
    let unknown = c.refusal("CALL ops.remove_metastore('nort')");
    assert_eq!(unknown.code, Code::METASTORE_UNKNOWN);
    assert_eq!(unknown.fix(), "Did you mean north?");
    assert_eq!(c.outcome("CALL ops.remove_metastore('north')"), ["applied", "9", "-"]);
}

#[test]
fn what_is_to_be_read_again_is_queued() {
    let c = with_calls(fixture());
    for call in [
        "refresh_metastore('east')",
        "refresh_database('east', 'Sales')",
        "refresh_table(metastore_name => 'west', catalog_name => 'spark', database_name => 'a', table_name => 'B')",
    ] {
        assert_eq!(c.outcome(&format!("CALL ops.{call}"))[0], "queued", "{call}");
    }
    let names = c.f.rows("SELECT object_type, object_name FROM runtime.audit_log");
    assert_eq!(names, [["metastore", "east"], ["database", "east.sales"], ["table", "west.@spark#a.b"]]);
    assert_eq!(c.host.done.lock().len(), 3);
}

#[test]
fn a_statement_is_ended_by_its_number() {
    let tight = EngineOptions { threads: 2, statement_timeout_ms: 600_000, ..EngineOptions::default() };
    let c = with_calls(fixture_with(tight));
    let endless = "SELECT count(*) FROM catalog.partitions a, catalog.partitions b, catalog.partitions c \
                   WHERE a.location < b.location AND b.location < c.location";
    let result = futures::executor::block_on(c.f.engine.query(endless)).unwrap();
    let kill = format!("CALL ops.kill_query({}, 'too heavy')", result.query_id);
    assert_eq!(c.outcome(&kill)[0], "applied");
    let fault = futures::executor::block_on(result.collect()).unwrap_err();
    assert_eq!(fault.code, Code::SQL_CANCELLED);
    assert_eq!(fault.why, "anna ended it with ops.kill_query: too heavy");
    eventually("the end of its work", || c.f.engine.statements_under_way() == 0);
    assert!(c.refusal(&kill).why.contains("no statement with the number"));
}

#[test]
fn long_work_is_a_job_that_goes_on_after_the_answer() {
    let c = with_calls(fixture());
    assert_eq!(c.outcome("CALL ops.backup_store('/backup')")[0], "queued");
    assert_eq!(c.outcome("CALL ops.compact_store(dry_run => TRUE)")[0], "planned");
    assert_eq!(c.outcome("CALL ops.backup_store('/bad')")[0], "queued");
    let states = "SELECT state FROM runtime.jobs";
    eventually("the end of both", || c.f.rows(states) == [["done"], ["failed"]]);
    let jobs = "SELECT j.procedure_name, j.object_name, j.message, j.error_code, j.error_message, a.status \
                FROM runtime.jobs j JOIN runtime.audit_log a USING (call_id) ORDER BY 2";
    assert_eq!(
        c.f.rows(jobs),
        [
            ["ops.backup_store", "/backup", "done so", "-", "-", "queued"],
            ["ops.backup_store", "/bad", "-", "STORE_IO", "backup: no such disk", "queued"],
        ]
    );
}

#[test]
fn bounds_change_for_statements_to_come() {
    let f = fixture();
    let mut bounds = EngineOptions::clone(&f.engine.options());
    bounds.result_rows_max = 3;
    f.engine.set_bounds(&bounds);
    assert_eq!(f.fault("SELECT * FROM docs.columns").code, Code::SQL_TOO_MANY_ROWS);
    bounds.result_rows_max = 1_000_000;
    bounds.memory_pool_bytes = 1 << 10;
    f.engine.set_bounds(&bounds);
    let sorted = "SELECT comment FROM docs.columns ORDER BY comment";
    assert_eq!(f.fault(sorted).code, Code::SQL_MEMORY);
    bounds.memory_pool_bytes = 64 << 20;
    f.engine.set_bounds(&bounds);
    assert!(100 < f.rows(sorted).len());
}

#[test]
fn no_list_shows_what_a_call_was_given() {
    let c = with_calls(fixture());
    for sql in [
        "CALL ops.set_setting(name => 'limit', value => 'hunter2')",
        "CALL ops.add_metastore(name => 'n', uris => ['u'], password => 'hunter2')",
        "CALL ops.reset_setting(name => 'limit' 'hunter2')",
        "EXPLAIN CALL ops.set_setting(name => hunter2)",
    ] {
        let fault = c.refusal(sql);
        assert!(!fault.to_string().contains("hunter2"), "{sql}: {fault}");
    }
    let listed = c.f.rows("SELECT statement, error_message FROM runtime.query_history").concat().join("\n");
    assert!(!listed.contains("hunter2"), "{listed}");
    assert!(listed.contains("CALL ops.set_setting(name => ..., value => ...)"), "{listed}");
}

#[test]
fn tables_about_calls_are_what_the_spec_says() {
    let c = with_calls(fixture());
    c.call("CALL ops.compact_store(reason => 'a', idempotency_key => 'k')");
    c.call("CALL ops.set_setting('limit', 3)");
    c.refusal("CALL ops.set_setting('limit', 300)");
    for name in ["audit_log", "jobs"] {
        let table = skep_query::describe::describe(&format!("runtime.{name}")).unwrap();
        let result =
            futures::executor::block_on(c.f.engine.query(&format!("SELECT * FROM runtime.{name}"))).unwrap();
        let given: Vec<_> =
            result.schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        let wanted: Vec<_> = table.columns.iter().map(|c| (c.name.to_owned(), c.kind.arrow_type())).collect();
        assert_eq!(given, wanted);
        assert_ne!(futures::executor::block_on(result.collect()).unwrap()[0].num_rows(), 0, "{name}");
    }
}

#[test]
fn a_process_without_a_journal_refuses_calls() {
    let f = fixture();
    let call = f.engine.call(as_role("CALL ops.reset_setting('limit')", Role::Admin));
    assert_eq!(futures::executor::block_on(call).unwrap_err().code, Code::CALL_NOT_HERE);
    assert!(f.rows("SELECT * FROM runtime.audit_log").is_empty());
    assert_eq!(
        f.rows("SELECT count(*) FROM runtime.procedures"),
        f.rows("SELECT count(*) FROM docs.procedures")
    );
    let sql = "SELECT parameter_name, data_type, is_required, default_value FROM runtime.procedure_parameters \
               WHERE procedure_name = 'kill_query' ORDER BY position";
    assert_eq!(
        f.rows(sql),
        [
            ["query_id", "BIGINT", "true", "-"],
            ["message", "VARCHAR", "false", "-"],
            ["dry_run", "BOOLEAN", "false", "FALSE"],
            ["reason", "VARCHAR", "false", "-"],
            ["idempotency_key", "VARCHAR", "false", "-"]
        ]
    );
}
