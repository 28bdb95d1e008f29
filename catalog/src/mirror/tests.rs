//! What the mirror promises, against a metastore in memory.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;

use super::Extent;
use super::events::{Follower, Look};
use super::follow::is_pass_due;
use super::runs;
use super::session::Session;
use super::testing::*;
use crate::change::{FollowMode, FollowState};
use crate::fault::{Code, Fault};
use crate::model::*;

struct Scene {
    world: Arc<World>,
    home: Home,
    folder: tempfile::TempDir,
}

impl Scene {
    fn of(world: Arc<World>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path(), &world);
        Self { world, home, folder }
    }

    fn filled() -> Self {
        Self::of(World::filled(true, 3, 5, 10))
    }

    async fn sync(&self) -> super::PassReport {
        self.home.mirror(&self.world).sync_once().await.unwrap()
    }

    fn assert_mirrored(&self) {
        assert_same(self.world.contents(), self.home.contents());
    }

    fn events_of_type(&self, event_type: &str) -> Vec<String> {
        let ledger = self.home.catalog.ledger(self.home.metastore);
        ledger
            .events()
            .filter(|row| row.event_type == event_type)
            .map(|row| row.table_name.clone().unwrap_or_else(|| row.database_name.clone().unwrap()))
            .collect()
    }

    fn errors(&self) -> Vec<(String, String, String)> {
        let ledger = self.home.catalog.ledger(self.home.metastore);
        let name = |text: &Option<String>| text.clone().unwrap_or_default();
        ledger
            .errors()
            .map(|crate::change::SeenError { error, .. }| {
                let database = error.database.as_ref().map(|name| name.database.clone());
                (name(&database), name(&error.table_name), name(&error.partition_name))
            })
            .collect()
    }

    fn runs(&self) -> Vec<(String, String)> {
        let ledger = self.home.catalog.ledger(self.home.metastore);
        ledger.runs().map(|run| (run.kind.clone(), run.state.clone())).collect()
    }

    /// Runs a mirror until `done`; fails when it never is.
    async fn run_until(&self, done: impl Fn() -> bool) {
        self.run_with(|_| {}, done).await;
    }

    async fn run_with(&self, options: impl FnOnce(&mut super::MirrorOptions), done: impl Fn() -> bool) {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut mirror = self.home.mirror(&self.world);
        options(&mut mirror.options);
        let wait = async {
            let mut looks = 0;
            while !done() {
                looks += 1;
                assert!(looks < 3_000, "never: {:?}", self.home.catalog.status(self.home.metastore));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.send(true).unwrap();
        };
        tokio::join!(mirror.run(stopped), wait);
    }

    /// Runs a mirror that is asked for something once it follows and looks seldom, until `done`.
    async fn run_asking(&self, extent: Extent, done: impl Fn() -> bool) {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut mirror = self.home.mirror(&self.world);
        mirror.options.events_interval_ms = 600_000;
        mirror.options.poll_interval_ms = 600_000;
        let asked = mirror.asked.clone();
        let wait = async {
            let mut looks = 0;
            let mut has_asked = false;
            while !has_asked || !done() {
                looks += 1;
                assert!(looks < 3_000, "never: {:?}", self.home.catalog.status(self.home.metastore));
                if !has_asked && self.state() == FollowState::Following {
                    assert!(!done());
                    asked.ask(extent.clone());
                    has_asked = true;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.send(true).unwrap();
        };
        tokio::join!(mirror.run(stopped), wait);
    }

    /// A follower with nothing but what is stored.
    fn follower(&self) -> Follower {
        let session = Session::new(&self.home.mirror(&self.world));
        Follower::new(session, self.home.position().unwrap(), false)
    }

    fn is_mirrored(&self) -> bool {
        self.world.contents() == self.home.contents()
    }

    fn state(&self) -> FollowState {
        self.home.catalog.status(self.home.metastore).state
    }
}

#[track_caller]
fn assert_same(world: Contents, mirror: Contents) {
    let differing: Vec<_> = world
        .keys()
        .chain(mirror.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|key| world.get(*key) != mirror.get(*key))
        .map(|key| (key, world.get(key), mirror.get(key)))
        .take(5)
        .collect();
    assert!(differing.is_empty(), "world and mirror differ: {differing:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_pass_equals_the_metastore() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        state.write_statistics(&db("d0").table("t0"));
        state.privileges.push(Privilege {
            object_kind: "global",
            database: None,
            table_name: None,
            partition_values: Vec::new(),
            column_name: None,
            principal_name: "u".into(),
            principal_type: None,
            privilege: "ALL".into(),
            grantor_name: None,
            granted_time: 0,
            has_grant_option: false,
        });
    });
    let report = scene.sync().await;
    scene.assert_mirrored();
    assert_eq!(report.missing, [] as [String; 0]);
    // A catalog; 3 databases, each with a function, 5 tables, and 10 partitions in 3 of them.
    assert_eq!(report.objects_read, 1 + 3 * (1 + 1 + 5 + 30));
    assert_eq!(scene.home.position(), Some(scene.world.state.lock().head()));
    assert_eq!(scene.runs(), [("first".to_string(), "done".to_string())]);
    assert_eq!(scene.events_of_type("FOUND_NEW"), [] as [String; 0], "a first mirror is not news");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_during_a_first_pass_converge() {
    for seed in 0..20 {
        let scene = Scene::filled();
        scene.world.change(|state| {
            for at in 1..40 {
                let hook: Box<dyn FnOnce(&mut State) + Send> = Box::new(move |state| {
                    let table = |n: u64| db(&format!("d{}", n % 3)).table(format!("t{}", n % 5));
                    match (at + seed) % 7 {
                        0 => state.drop_table(&table(at)),
                        1 => state.create_table(&table(at + 1), true),
                        2 => state.add_partitions(&table(at), 5..15, true),
                        3 => state.rename_table(&table(at), &db("d1").table(format!("r{at}"))),
                        4 => state.drop_partition(&table(at), at % 10, true),
                        5 => state.alter_columns(&table(at)),
                        _ => state.alter_partition(&table(at), at % 10),
                    }
                });
                state.hooks.insert(at, hook);
            }
        });
        scene.sync().await;
        scene.assert_mirrored();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_pass_rewrites_nothing_that_is_equal() {
    let scene = Scene::filled();
    scene.sync().await;
    let report = scene.sync().await;
    assert_eq!(report.objects_changed, 0);
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_says_what_the_events_that_waited_changed() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.alter_table(&db("d0").table("t1"));
        state.alter_table(&db("d0").table("t1"));
        state.add_partitions(&db("d1").table("t2"), 20..23, true);
        state.drop_table(&db("d2").table("t3"));
    });
    let mirror = scene.home.mirror(&scene.world);
    let report = mirror.sync_once().await.unwrap();
    scene.assert_mirrored();
    assert_eq!((report.events_applied, report.objects_changed), (4, 1 + 3 + 1));
    let run = |kind: &str| (kind.to_string(), "done".to_string());
    assert_eq!(scene.runs(), [run("first"), run("events"), run("refresh")]);
    let ledger = scene.home.catalog.ledger(scene.home.metastore);
    let runs: Vec<_> = ledger.runs().map(|run| (run.objects_read, run.objects_changed)).collect();
    assert_eq!(
        runs[1],
        (1 + 1 + 3, 5),
        "a table, its details, partitions; but for the details all of them changed, and one went"
    );
    assert_eq!(runs[2].1, 0);
    assert_eq!(report.objects_read, runs[1].0 + runs[2].0);
    let (waiting, applied) = &mirror.progress.events;
    assert_eq!((waiting.load(Relaxed), applied.load(Relaxed)), (4, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_listing_drops_nothing() {
    for call in ["table_names d1", "partition_names d1.t0", "database_names hive", "tables d1"] {
        let scene = Scene::filled();
        scene.sync().await;
        let before = scene.home.contents();
        scene.world.change(|state| {
            state.faults.insert(call.into(), boom());
        });
        let report = scene.sync().await;
        assert_ne!(report.missing, [] as [String; 0], "{call}");
        assert_same(before, scene.home.contents());
        assert_ne!(scene.errors(), [], "{call}");
        assert_eq!(scene.runs().last().unwrap().1, "partial");

        scene.world.change(|state| state.faults.clear());
        scene.sync().await;
        assert_eq!(scene.errors(), [], "{call}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_fails_is_a_row_and_heals() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        state.faults.insert("table d0.t1".into(), boom());
        state.faults.insert("partition d1.t2/k=3".into(), boom());
    });
    let report = scene.sync().await;
    assert_eq!(report.objects_failed, 2);
    let text = |a: &str, b: &str, c: &str| (a.to_string(), b.to_string(), c.to_string());
    let mut errors = scene.errors();
    errors.sort();
    assert_eq!(errors, [text("d0", "t1", ""), text("d1", "t2", "k=3")]);
    let mut world = scene.world.contents();
    world.remove("d0.t1").unwrap();
    world.remove("d1.t2/k=3").unwrap();
    assert_same(world, scene.home.contents());

    scene.world.change(|state| state.faults.clear());
    scene.sync().await;
    assert_eq!(scene.errors(), []);
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_fails_stays_as_it_was_and_hides_no_other() {
    let scene = Scene::filled();
    scene.sync().await;
    let read_at = |name: &str| {
        let snapshot = scene.home.catalog.snapshot();
        let database = snapshot.metastores[0].database("hive", "d0").unwrap();
        let functions = snapshot.load_functions(database).unwrap();
        functions.iter().find(|(item, _)| item.value.name == name).unwrap().1.synced_at
    };
    let first = read_at("f");
    scene.world.change(|state| {
        state.faults.insert("function d0/f".into(), boom());
        state.create_function(&db("d0"), "g");
    });
    let report = scene.sync().await;
    assert_eq!(report.objects_failed, 1);
    assert_eq!(scene.errors(), [("d0".to_string(), String::new(), String::new())]);
    scene.assert_mirrored();
    assert_eq!(read_at("f"), first, "it was not read again");
    assert!(first < read_at("g"));

    scene.world.change(|state| state.faults.clear());
    scene.sync().await;
    assert_eq!(scene.errors(), []);
    assert!(first < read_at("f"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_methods_are_rows_and_not_failures() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        for call in ["functions", "privileges", "table_details"] {
            state.faults.insert(call.into(), missing());
        }
    });
    let report = scene.sync().await;
    assert_eq!(report.missing, [] as [String; 0]);
    let ledger = scene.home.catalog.ledger(scene.home.metastore);
    let kinds: BTreeSet<_> = ledger.missing_methods().iter().map(|row| &row.object_kind).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["column_stats", "functions", "privileges"]);
    assert_eq!(scene.errors(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_metastore_is_not_asked_again_and_what_it_gave_is_kept() {
    let scene = Scene::filled();
    let slow = Fault::new(Code::METASTORE_SLOW, "fake", "no answer in 30,000 ms");
    scene.world.change(|state| {
        let hook = move |state: &mut State| {
            state.faults.insert("all".into(), slow);
            state.calls.clear();
        };
        state.hooks.insert(20, Box::new(hook));
    });
    let report = scene.sync().await;
    assert!(report.missing.iter().any(|text| text.contains("no answer")), "{:?}", report.missing);
    assert!(report.missing.iter().any(|text| text.contains("was not read completely")));
    let calls: u64 = scene.world.state.lock().calls.values().sum();
    assert!(calls <= 4, "calls that were under way, not more: {calls}");
    assert_eq!(scene.home.position(), None);
    assert_eq!(scene.state(), FollowState::Error);

    scene.world.change(|state| state.faults.clear());
    scene.sync().await;
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_first_pass_reads_only_partitions_that_it_has_not_read() {
    let scene = Scene::of(World::filled(true, 1, 1, 30));
    let gone = Fault::new(Code::METASTORE_UNREACHABLE, "fake", "gone");
    scene.world.change(|state| {
        state.faults.insert("functions d0".into(), gone);
    });
    scene.sync().await;
    assert_eq!(scene.home.position(), None, "interrupted after the partitions");
    scene.world.change(|state| {
        state.faults.clear();
        state.calls.clear();
        state.alter_partition(&db("d0").table("t0"), 1);
    });
    // The process is gone, its store is opened again.
    let Scene { world, home, folder } = scene;
    drop(home);
    let home = Home::open(folder.path(), &world);
    let scene = Scene { world, home, folder };
    scene.sync().await;
    scene.assert_mirrored();
    let calls = scene.world.state.lock().calls.clone();
    assert_eq!(calls["partition_names"], 1, "listed again");
    assert_eq!(calls["partitions"], 1, "the altered one, by its event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_first_pass_resumes_and_skips_databases_that_are_done() {
    let mut scene = Scene::filled();
    let slow = Fault::new(Code::METASTORE_UNREACHABLE, "fake", "gone");
    scene.world.change(|state| {
        state.faults.insert("table_names d2".into(), slow);
    });
    scene.sync().await;
    let ledger = scene.home.catalog.ledger(scene.home.metastore);
    let run_id = ledger.runs().next().unwrap().run_id;
    let done = ledger.done_databases(run_id).map_or(0, BTreeSet::len);
    scene.world.change(|state| {
        state.faults.clear();
        state.calls.clear();
        for n in 0..3 {
            state.alter_partition(&db(&format!("d{n}")).table("t0"), 1);
            state.drop_table(&db(&format!("d{n}")).table("t1"));
        }
    });
    // The process is gone, its store is opened again.
    let Scene { world, home, folder } = scene;
    drop(home);
    let home = Home::open(folder.path(), &world);
    scene = Scene { world, home, folder };
    scene.sync().await;
    scene.assert_mirrored();
    let listings = scene.world.state.lock().calls["table_names"];
    assert_eq!(listings, 3 - done as u64);
    let of_everything: Vec<_> = scene.runs().into_iter().filter(|run| run.0 != "events").collect();
    assert_eq!(of_everything, [("first".to_string(), "done".to_string())], "one run that went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_pass_dropped_anywhere_resumes_and_ends_equal() {
    for call in (1..100).step_by(7) {
        let Scene { world, home, folder } = Scene::filled();
        let (reached, wait) = tokio::sync::oneshot::channel();
        world.change(|state| {
            state.hooks.insert(call, Box::new(move |_| reached.send(()).unwrap_or_default()));
        });
        let mirror = home.mirror(&world);
        tokio::select! {
            biased;
            _ = wait => {}
            report = mirror.sync_once() => drop(report.unwrap()),
        }
        drop((mirror, home));
        world.change(|state| {
            state.alter_columns(&db("d0").table("t0"));
            state.rename_table(&db("d1").table("t2"), &db("d2").table("moved"));
        });
        let home = Home::open(folder.path(), &world);
        let scene = Scene { world, home, folder };
        scene.sync().await;
        scene.assert_mirrored();
    }
}

/// Runs the mirror and drops it at a call, if it comes so far, with all before applied.
async fn dropped_at(world: &Arc<World>, folder: &std::path::Path, call: u64) {
    let home = Home::open(folder, world);
    let (reached, wait) = tokio::sync::oneshot::channel();
    world.change(|state| {
        let number = state.calls.values().sum::<u64>() + call;
        let stall = |state: &mut State| {
            state.are_all_stalled = true;
            reached.send(()).unwrap_or_default();
        };
        state.hooks.insert(number, Box::new(stall));
    });
    let mirror = home.mirror(world);
    let applied = async {
        wait.await.unwrap_or_default();
        tokio::time::sleep(2 * super::writer::LIST_AGE_MAX).await;
    };
    tokio::select! {
        () = applied => {}
        report = mirror.sync_once() => drop(report.unwrap()),
    }
    world.change(|state| {
        state.hooks.clear();
        state.are_all_stalled = false;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_moved_with_their_table_are_read_wherever_the_mirror_was_dropped() {
    // By a first pass that went on, and by events.
    let calls = (4..16).flat_map(|first| (1..20).step_by(2).map(move |second| (first, second)));
    let scenes = calls.map(|(first, second)| async move {
        let world = World::filled(true, 1, 2, 10);
        let folder = tempfile::tempdir().unwrap();
        dropped_at(&world, folder.path(), first).await;
        world.change(|state| state.alter_columns(&db("d0").table("t0")));
        dropped_at(&world, folder.path(), second).await;
        let scene = Scene { home: Home::open(folder.path(), &world), world, folder };
        scene.sync().await;
        scene.assert_mirrored();
    });
    futures::stream::iter(scenes).buffer_unordered(10).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_repairs_and_reports_only_what_differed() {
    let scene = Scene::filled();
    scene.sync().await;
    let ids = scene.home.ids();
    scene.world.change(|state| {
        state.alter_table(&db("d0").table("t1"));
        state.alter_partition(&db("d1").table("t2"), 3);
        state.create_table(&db("d2").table("new"), false);
        state.drop_table(&db("d2").table("t3"));
        state.trimmed = state.head();
        state.alter_table(&db("d2").table("t4"));
    });
    scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
    assert_eq!(scene.events_of_type("FOUND_NEW"), ["new"]);
    assert_eq!(scene.events_of_type("FOUND_DROPPED"), ["t3"]);
    let mut changed = scene.events_of_type("FOUND_CHANGED");
    changed.sort();
    // t4 was altered after the gap: the event or the comparison tells of it, whichever is first.
    changed.retain(|table| table != "t4");
    assert_eq!(changed, ["t1", "t2"]);
    assert_eq!(scene.home.position(), Some(scene.world.state.lock().head()));
    let kept: BTreeMap<_, _> =
        scene.home.ids().into_iter().filter(|(name, _)| ids.contains_key(name)).collect();
    assert!(kept.iter().all(|(name, id)| ids[name] == *id));
    assert_eq!(scene.runs().last().unwrap(), &("repair".to_string(), "done".to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_began_anew_is_a_gap() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.drop_table(&db("d0").table("t0"));
        state.log.clear();
        state.alter_table(&db("d0").table("t1"));
    });
    scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
    assert_eq!(scene.home.position(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_applies_events_and_says_so() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.create_database(&db("e"));
        state.create_table(&db("e").table("n"), true);
        state.add_partitions(&db("e").table("n"), 0..3, true);
        state.write_statistics(&db("e").table("n"));
        state.create_function(&db("e"), "g");
        state.drop_database(&db("d2"));
    });
    // The lag is told after the data is there.
    let status = || scene.home.catalog.status(scene.home.metastore);
    let is_current = || scene.state() == FollowState::Following && status().lag_ms == Some(0);
    scene.run_until(|| scene.is_mirrored() && is_current()).await;
    let status = status();
    assert_eq!(status.mode, FollowMode::Events);
    assert_eq!(status.lag_ms, Some(0));
    assert_eq!(status.error, None);
    let head = scene.world.state.lock().head();
    assert_eq!((status.head_event_id, scene.home.position()), (Some(head), Some(head)));
    assert_eq!(scene.events_of_type("ADD_PARTITION").len(), 1);
    let snapshot = scene.home.catalog.snapshot();
    let table = snapshot.metastores[0].database("hive", "e").unwrap().table("n").unwrap().clone();
    assert_eq!(table.stamp.source_event_id, Some(head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_cost_about_one_call_per_touched_table() {
    let scene = Scene::of(World::filled(true, 1, 100, 2));
    scene.sync().await;
    scene.world.change(|state| {
        for n in 0..1000 {
            state.alter_partition(&db("d0").table(format!("t{}", (n * 2) % 100)), n / 50 % 2);
        }
        state.calls.clear();
    });
    let session = Session::new(&scene.home.mirror(&scene.world));
    let mut follower = Follower::new(session, scene.home.position().unwrap(), false);
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    scene.assert_mirrored();
    let calls = scene.world.state.lock().calls.clone();
    assert_eq!(calls["partitions"], 50, "{calls:?}");
    assert_eq!(calls.get("tables"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_fails_does_not_stop_events() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.faults.insert("table d0.t0".into(), boom());
        state.alter_table(&db("d0").table("t0"));
        state.alter_table(&db("d0").table("t1"));
    });
    let head = scene.world.state.lock().head();
    scene.run_until(|| scene.home.position() == Some(head)).await;
    assert_eq!(scene.errors(), [("d0".to_string(), "t0".to_string(), String::new())]);
    scene.world.change(|state| {
        state.faults.clear();
        state.alter_table(&db("d0").table("t0"));
    });
    scene.run_until(|| scene.is_mirrored()).await;
    assert_eq!(scene.errors(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metastore_that_fails_is_shown_and_tried_again() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        state.faults.insert("all".into(), Fault::new(Code::METASTORE_UNREACHABLE, "fake", "refused"));
    });
    scene.run_until(|| scene.state() == FollowState::Error).await;
    let status = scene.home.catalog.status(scene.home.metastore);
    assert_eq!(status.error.unwrap().0.code, Code::METASTORE_UNREACHABLE);
    scene.world.change(|state| state.faults.clear());
    scene.run_until(|| scene.state() == FollowState::Following).await;
    scene.assert_mirrored();
    assert_eq!(scene.home.catalog.status(scene.home.metastore).error, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_finds_new_and_dropped_by_name_and_altered_by_a_pass() {
    let scene = Scene::of(World::filled(false, 2, 4, 6));
    scene.run_until(|| scene.state() == FollowState::Following && scene.is_mirrored()).await;
    assert_eq!(scene.home.catalog.status(scene.home.metastore).mode, FollowMode::Polling);
    assert_eq!(scene.home.position(), None);
    scene.world.change(|state| {
        state.create_database(&db("e"));
        state.create_table(&db("e").table("n"), true);
        state.add_partitions(&db("e").table("n"), 0..3, true);
        state.create_table(&db("d0").table("n"), false);
        state.drop_table(&db("d1").table("t0"));
    });
    // Rows of what was found come with the next write after it.
    let is_told = || scene.events_of_type("FOUND_NEW").contains(&"n".to_string());
    scene.run_until(|| scene.is_mirrored() && is_told()).await;
    assert_eq!(scene.runs().len(), 1, "names alone did it");

    scene.world.change(|state| {
        state.alter_table(&db("d0").table("t1"));
        state.alter_partition(&db("d0").table("t0"), 2);
        state.drop_partition(&db("d0").table("t2"), 2, true);
    });
    // Rows of what was found follow the data.
    let is_told = || scene.events_of_type("FOUND_CHANGED").contains(&"t1".to_string());
    scene.run_with(|options| options.pass_interval_ms = 20, || scene.is_mirrored() && is_told()).await;
    assert_eq!(scene.runs().iter().filter(|run| run.0 == "first").count(), 1);
    assert!(scene.runs().iter().any(|run| run.0 == "poll"));
    assert!(scene.home.catalog.status(scene.home.metastore).lag_ms.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_appears_is_followed() {
    let scene = Scene::of(World::filled(false, 2, 4, 6));
    let is_following = || scene.state() == FollowState::Following;
    scene.run_until(|| is_following() && scene.is_mirrored()).await;
    scene.world.change(|state| {
        state.has_log = true;
        state.alter_table(&db("d0").table("t1"));
    });
    let is_at_head = || scene.home.position() == Some(scene.world.state.lock().head());
    scene.run_with(|options| options.pass_interval_ms = 20, || is_at_head() && is_following()).await;
    assert_eq!(scene.home.catalog.status(scene.home.metastore).mode, FollowMode::Events);
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_beside_events_never_leave_anything_older() {
    let scene = Scene::filled();
    scene.sync().await;
    let ids = scene.home.ids();
    // Changes before nearly every call: of the pass, of the follower, and between the two.
    scene.world.change(|state| {
        let first = state.calls.values().sum::<u64>() + 1;
        for n in 0..400 {
            let hook: Box<dyn FnOnce(&mut State) + Send> = Box::new(move |state| {
                let table = db(&format!("d{}", n % 3)).table(format!("t{}", n / 3 % 5));
                match n % 7 {
                    0 => state.alter_columns(&table),
                    1 => state.add_partitions(&table, n % 20..n % 20 + 3, true),
                    2 => state.drop_partition(&table, n % 20, true),
                    3 => state.alter_table(&table),
                    4 => state.write_statistics(&table),
                    _ => state.alter_partition(&table, n % 20),
                }
            });
            state.hooks.insert(first + n, hook);
        }
    });
    let is_over = || scene.world.state.lock().hooks.is_empty() && scene.is_mirrored();
    let has_passed = || scene.runs().iter().filter(|run| run.0 == "refresh").count() >= 2;
    scene.run_with(|options| options.refresh_interval_ms = 1, || is_over() && has_passed()).await;
    assert_eq!(ids, scene.home.ids());
    // Nothing was under way any more, so nothing can undo it.
    scene.run_until(|| scene.home.position() == Some(scene.world.state.lock().head())).await;
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metastore_that_was_empty_and_keeps_no_log_is_polled() {
    let scene = Scene::of(World::new(false));
    scene.run_until(|| scene.state() == FollowState::Following).await;
    assert_eq!(scene.home.position(), Some(0));
    scene.world.change(|state| {
        state.create_database(&db("e"));
        state.create_table(&db("e").table("n"), false);
    });
    scene.run_until(|| scene.is_mirrored()).await;
    assert_eq!(scene.home.catalog.status(scene.home.metastore).mode, FollowMode::Polling);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_leaves_no_run_open() {
    let scene = Scene::filled();
    let is_begun = || scene.world.state.lock().calls.contains_key("tables");
    scene.run_until(is_begun).await;
    assert!(scene.runs().iter().all(|run| run.1 != "running"), "{:?}", scene.runs());
}

fn slow() -> Fault {
    Fault::new(Code::METASTORE_SLOW, "fake", "no answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_of_altered_tables_survive_errors_and_kills() {
    let scene = Scene::filled();
    scene.sync().await;
    let table = db("d0").table("t1");
    scene.world.change(|state| {
        state.write_statistics(&table);
        // As metastores before Hive 4: the change of the table is all that the log tells.
        state.log.pop();
        state.alter_table(&table);
        state.faults.insert("table_details".into(), slow());
    });
    let mut follower = scene.follower();
    assert_eq!(follower.look().await.unwrap_err().code, Code::METASTORE_SLOW);
    scene.world.change(|state| state.faults.clear());
    // Of the first follower, nothing but the store is left.
    let mut follower = scene.follower();
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_went_without_an_event_are_dropped_even_after_an_error() {
    let scene = Scene::filled();
    scene.sync().await;
    let table = db("d0").table("t1");
    scene.world.change(|state| {
        state.alter_table(&table);
        state.databases.get_mut(&table.database).unwrap().tables.remove(&table.table);
    });
    let session = Session::new(&scene.home.mirror(&scene.world));
    let position = || scene.home.position().unwrap();
    let mut follower = Follower::new(session.clone(), position(), false);
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    scene.world.change(|state| {
        state.faults.insert("head_event_id".into(), slow());
    });
    follower.look().await.unwrap_err();
    scene.world.change(|state| state.faults.clear());
    let mut follower = Follower::new(session, position(), false);
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_grows_while_nobody_can_look() {
    let scene = Scene::filled();
    scene.run_until(|| scene.state() == FollowState::Following).await;
    let lag_ms = || scene.home.catalog.status(scene.home.metastore).lag_ms;
    assert_eq!(lag_ms(), Some(0));
    scene.world.change(|state| {
        state.faults.insert("all".into(), Fault::new(Code::METASTORE_UNREACHABLE, "fake", "refused"));
    });
    scene.run_until(|| scene.state() == FollowState::Error && lag_ms() > Some(0)).await;
    scene.world.change(|state| state.faults.clear());
    scene.run_until(|| scene.state() == FollowState::Following && lag_ms() == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_that_fails_does_not_stop_the_looks() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.calls.clear();
        state.faults.insert("functions".into(), slow());
    });
    let is_failed = |run: &(String, String)| run.0 == "refresh" && run.1 == "failed";
    let has_failed_often = || scene.runs().iter().filter(|run| is_failed(run)).count() >= 3;
    scene.run_with(|options| options.refresh_interval_ms = 20, has_failed_often).await;
    assert_eq!(scene.world.state.lock().calls["probe"], 1, "nothing began anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_fails_is_tried_again_while_events_are_followed() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.calls.clear();
        state.drop_table(&db("d0").table("t1"));
        state.trimmed = state.head();
        state.faults.insert("table_names".into(), slow());
    });
    let has_failed = || scene.runs().contains(&("repair".into(), "failed".into()));
    let heal = || {
        if has_failed() {
            scene.world.change(|state| state.faults.clear());
        }
        scene.is_mirrored() && scene.state() == FollowState::Following
    };
    scene.run_with(|options| options.refresh_interval_ms = 20, heal).await;
    assert_eq!(scene.world.state.lock().calls["probe"], 1, "nothing began anew");
    assert_eq!(scene.home.position(), Some(scene.world.state.lock().head()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_fails_leaves_the_pass_beside_it_alone() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.stalls.insert("functions".into());
        let hook = |state: &mut State| {
            state.faults.insert("head_event_id".into(), boom());
        };
        let calls = state.calls.values().sum::<u64>();
        state.hooks.insert(calls + 12, Box::new(hook));
    });
    let is_over = || {
        if scene.state() == FollowState::Error {
            scene.world.change(|state| {
                state.faults.clear();
                state.stalls.clear();
            });
        }
        2 <= scene.runs().len() && scene.runs()[1].1 != "running"
    };
    scene.run_with(|options| options.refresh_interval_ms = 1, is_over).await;
    assert_eq!(scene.runs()[1], ("refresh".to_string(), "done".to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_clears_no_error_of_what_it_did_not_read() {
    let scene = Scene::of(World::filled(false, 2, 4, 6));
    scene.world.change(|state| {
        state.faults.insert("privileges".into(), boom());
        state.faults.insert("functions d0".into(), boom());
    });
    let looks = || scene.world.state.lock().calls.get("catalogs").copied().unwrap_or_default();
    scene.run_until(|| 5 <= looks()).await;
    let row = |database: &str| (database.to_string(), String::new(), String::new());
    let mut errors = scene.errors();
    errors.sort();
    assert_eq!(errors, [row(""), row("d0")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_that_are_refused_everywhere_do_not_end_a_pass() {
    let scene = Scene::of(World::filled(true, 1, 30, 1));
    scene.world.change(|state| {
        state.faults.insert("table_details".into(), boom());
    });
    let report = scene.sync().await;
    assert_eq!(report.objects_failed, 30);
    assert_eq!(scene.runs(), [("first".to_string(), "partial".to_string())]);
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_database_that_fails_holds_the_position_and_what_healed_is_not_forgotten() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        state.faults.insert("partition d0.t0/k=3".into(), boom());
    });
    scene.sync().await;
    assert_eq!(scene.errors().len(), 1);
    let position = scene.home.position();
    scene.world.change(|state| {
        state.faults.clear();
        state.alter_partition(&db("d0").table("t0"), 3);
        state.create_database(&db("e"));
        state.create_table(&db("e").table("n"), false);
        state.faults.insert("database e".into(), boom());
    });
    let mut follower = scene.follower();
    assert_eq!(follower.look().await.unwrap_err().code, Code::METASTORE_ERROR);
    assert_eq!(scene.home.position(), position);
    scene.world.change(|state| state.faults.clear());
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    scene.assert_mirrored();
    assert_eq!(scene.errors(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_dropped_objects_go_with_them() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        state.faults.insert("table d0.t0".into(), boom());
        state.faults.insert("partition d1.t0/k=3".into(), boom());
        state.faults.insert("functions d2".into(), boom());
    });
    scene.sync().await;
    assert_eq!(scene.errors().len(), 3);
    scene.world.change(|state| {
        state.drop_table(&db("d0").table("t0"));
        state.drop_table(&db("d1").table("t0"));
        state.drop_database(&db("d2"));
    });
    assert_eq!(scene.follower().look().await.unwrap(), Look::Idle);
    assert_eq!(scene.errors(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_renamed_before_a_pass_and_followed_after_keeps_its_number() {
    let scene = Scene::filled();
    scene.sync().await;
    let (from, to) = (db("d0").table("t0"), db("d1").table("new"));
    let id = scene.home.ids()[&from.to_string()];
    scene.world.change(|state| state.rename_table(&from, &to));
    let session = Session::new(&scene.home.mirror(&scene.world));
    let mut follower = Follower::new(session.clone(), scene.home.position().unwrap(), false);
    let report = runs::run(&session, runs::REFRESH, Some(follower.cursor())).await.into_result().unwrap();
    assert_eq!(report.missing, [] as [String; 0]);
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    scene.assert_mirrored();
    assert_eq!(scene.home.ids()[&to.to_string()], id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_pass_that_cannot_list_databases_is_not_complete_and_goes_on() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        state.faults.insert("database_names hive".into(), boom());
    });
    scene.sync().await;
    assert_eq!(scene.runs(), [("first".to_string(), "failed".to_string())]);
    assert_eq!((scene.home.position(), scene.state()), (None, FollowState::Error));
    assert_eq!(scene.home.catalog.snapshot().metastores[0].mirrored_at, None);
    scene.world.change(|state| state.faults.clear());
    scene.sync().await;
    assert_eq!(scene.runs(), [("first".to_string(), "done".to_string())]);
    scene.assert_mirrored();
    assert_eq!(scene.errors(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_pass_that_goes_on_tells_of_what_failed_before() {
    for broken in ["partition d0.t0/k=1", "partition_names d0.t0", "table d0.t1"] {
        let scene = Scene::filled();
        scene.world.change(|state| {
            state.faults.insert(broken.into(), boom());
            state.faults.insert("privileges".into(), slow());
        });
        scene.sync().await;
        assert_eq!(scene.runs(), [("first".to_string(), "failed".to_string())]);
        scene.world.change(|state| drop(state.faults.remove("privileges")));
        // The process is gone, its store is opened again.
        let Scene { world, home, folder } = scene;
        drop(home);
        let home = Home::open(folder.path(), &world);
        let scene = Scene { world, home, folder };
        let report = scene.sync().await;
        assert_eq!(report.objects_failed, 1, "{broken}: {report:?}");
        assert_eq!(scene.runs(), [("first".to_string(), "partial".to_string())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_is_never_listed_does_not_keep_the_others_from_being_followed() {
    let scene = Scene::filled();
    let other = DatabaseName::new("spark", "s");
    scene.world.change(|state| {
        state.create_database(&other);
        state.faults.insert("database_names spark".into(), boom());
    });
    for _ in 1..5 {
        scene.sync().await;
        assert_eq!(scene.runs(), [("first".to_string(), "failed".to_string())]);
        assert_eq!(scene.home.position(), None);
    }
    let report = scene.sync().await;
    assert!(report.missing.iter().any(|missing| missing.contains("catalog spark")), "{report:?}");
    assert_eq!(scene.runs(), [("first".to_string(), "partial".to_string())]);
    assert!(scene.home.position().is_some());
    assert_eq!(scene.errors(), [(String::new(), String::new(), String::new())]);
    let ledger = scene.home.catalog.ledger(scene.home.metastore);
    let row = ledger.errors().next().unwrap().error.clone();
    assert!(row.fault.what.contains("catalog spark"), "{row:?}");

    scene.world.change(|state| state.alter_table(&db("d0").table("t1")));
    let head = scene.world.state.lock().head();
    scene.run_until(|| scene.home.position() == Some(head)).await;
    scene.world.change(|state| state.faults.clear());
    scene.sync().await;
    assert_eq!(scene.errors(), []);
    let snapshot = scene.home.catalog.snapshot();
    assert!(snapshot.metastores[0].database("spark", "s").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_after_a_restart_keeps_its_position() {
    let scene = Scene::filled();
    scene.sync().await;
    let position = scene.home.position();
    scene.world.change(|state| {
        state.alter_table(&db("d0").table("t1"));
        state.log_fault = Some(boom());
    });
    scene.run_until(|| scene.state() == FollowState::Error).await;
    assert_eq!(scene.home.position(), position);
    assert_eq!(scene.home.catalog.status(scene.home.metastore).error.unwrap().0, boom());
    assert_eq!(scene.home.mirror(&scene.world).sync_once().await.unwrap_err(), boom());
    assert_eq!(scene.home.position(), position);
    scene.world.change(|state| state.log_fault = None);
    scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
    assert_eq!(scene.runs(), [("first".to_string(), "done".to_string())], "nothing was to be read again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_does_not_keep_a_new_metastore_from_being_polled() {
    let scene = Scene::filled();
    scene.world.change(|state| state.log_fault = Some(boom()));
    scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
    assert_eq!(scene.home.catalog.status(scene.home.metastore).mode, FollowMode::Polling);
}

/// What is left of a scene when its process is gone and its store is opened again.
fn reopened(scene: Scene) -> Scene {
    let Scene { world, home, folder } = scene;
    drop(home);
    let home = Home::open(folder.path(), &world);
    Scene { world, home, folder }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_replayed_over_a_mirror_that_has_the_new_name_loses_no_drop() {
    let scene = Scene::of(World::filled(true, 1, 1, 10));
    let (from, to) = (db("d0").table("t0"), db("d0").table("u"));
    scene.world.change(|state| {
        let rename = move |state: &mut State| state.rename_table(&from, &to);
        // After the newest event was asked for, before the names are listed.
        state.hooks.insert(2, Box::new(rename));
        state.faults.insert("privileges".into(), slow());
    });
    scene.sync().await;
    assert!(scene.home.contents().contains_key("d0.u/k=3"), "{:?}", scene.home.contents().keys());
    scene.world.change(|state| {
        state.faults.clear();
        state.drop_partition(&db("d0").table("u"), 3, true);
    });
    scene.sync().await;
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_given_up_keeps_no_later_events_waiting() {
    let scene = Scene::filled();
    scene.sync().await;
    let other = db("e");
    scene.world.change(|state| {
        state.create_database(&other);
        state.faults.insert("database e".into(), boom());
    });
    let session = Session::new(&scene.home.mirror(&scene.world));
    let mut follower = Follower::new(session.clone(), scene.home.position().unwrap(), false);
    let mut tries = 0;
    while follower.look().await.is_err() {
        tries += 1;
        assert!(tries < 20);
    }
    assert!(1 < tries, "it may have been the metastore");
    let row = ("e".to_string(), String::new(), String::new());
    assert_eq!(scene.errors(), std::slice::from_ref(&row));
    let create = |name: &str| scene.world.change(|state| state.create_table(&other.table(name), true));
    create("alone");
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    create("beside_others");
    scene.world.change(|state| state.alter_table(&db("d0").table("t1")));
    assert_eq!(follower.look().await.unwrap(), Look::Idle);
    // So it is after a restart, too.
    drop((follower, session));
    let scene = reopened(scene);
    scene.world.change(|state| state.create_function(&other, "f"));
    assert_eq!(scene.follower().look().await.unwrap(), Look::Idle);
    assert_eq!(scene.home.position(), Some(scene.world.state.lock().head()));
    assert_eq!(scene.errors(), [row]);

    scene.world.change(|state| state.faults.clear());
    super::poll::look(&Session::new(&scene.home.mirror(&scene.world))).await.unwrap();
    scene.assert_mirrored();
    assert_eq!(scene.errors(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_refused_is_not_asked_for_again_and_again() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.create_database(&db("e"));
        let refused = Fault::new(Code::METASTORE_REFUSED, "fake", "not for you");
        state.faults.insert("database e".into(), refused);
    });
    assert_eq!(scene.follower().look().await.unwrap(), Look::Idle);
    assert_eq!(scene.errors(), [("e".to_string(), String::new(), String::new())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_never_rests_is_a_row_and_heals() {
    let scene = Scene::of(World::filled(false, 1, 2, 10));
    scene.sync().await;
    scene.world.change(|state| {
        let first = state.calls.values().sum::<u64>() + 1;
        for n in first..first + 100 {
            let alter = |state: &mut State| state.alter_columns(&db("d0").table("t0"));
            state.hooks.insert(n, Box::new(alter));
        }
    });
    let report = scene.sync().await;
    assert!(report.missing.iter().any(|missing| missing.contains("table d0.t0")), "{report:?}");
    assert_eq!(scene.errors(), [("d0".to_string(), "t0".to_string(), String::new())]);
    assert_eq!(scene.runs().last().unwrap(), &("poll".to_string(), "partial".to_string()));
    scene.world.change(|state| state.hooks.clear());
    scene.sync().await;
    scene.assert_mirrored();
    assert_eq!(scene.errors(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_a_few_tables_are_listed_before_they_are_read() {
    let scene = Scene::of(World::filled(true, 1, 80, 3));
    scene.sync().await;
    let listed_max = Arc::new(std::sync::atomic::AtomicU64::new(0));
    scene.world.change(|state| {
        for t in (0..80).step_by(2) {
            state.drop_partition(&db("d0").table(format!("t{t}")), 1, false);
        }
        let first = state.calls.values().sum::<u64>() + 1;
        state.calls.clear();
        for n in first..first + 200 {
            let listed_max = listed_max.clone();
            let note = move |state: &mut State| {
                let count = |name| state.calls.get(name).copied().unwrap_or_default();
                // The partitions of each table are read by one call.
                let listed = count("partition_names").saturating_sub(count("partitions"));
                listed_max.fetch_max(listed, Relaxed);
            };
            state.hooks.insert(n, Box::new(note));
        }
    });
    assert_eq!(scene.follower().look().await.unwrap(), Look::Idle);
    scene.assert_mirrored();
    let calls = scene.world.state.lock().calls.clone();
    assert_eq!((calls["partition_names"], calls["partitions"]), (40, 40));
    assert!(listed_max.load(Relaxed) <= 8, "{listed_max:?} tables listed and not read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_began_anew_is_not_taken_for_the_old_one_after_a_restart() {
    let scene = Scene::filled();
    scene.sync().await;
    let old = scene.home.position().unwrap();
    scene.world.change(|state| {
        state.drop_table(&db("d0").table("t0"));
        state.log.clear();
        state.alter_table(&db("d0").table("t1"));
        state.faults.insert("table_names".into(), slow());
    });
    scene.run_until(|| scene.runs().contains(&("repair".into(), "failed".into()))).await;
    let scene = reopened(scene);
    scene.world.change(|state| {
        state.faults.clear();
        while state.head() <= old {
            state.alter_table(&db("d0").table("t1"));
        }
    });
    scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
    assert_eq!(scene.home.position(), Some(scene.world.state.lock().head()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_that_follow_each_other_do_not_make_pass_after_pass() {
    let scene = Scene::filled();
    scene.sync().await;
    let gaps = std::cell::Cell::new(0);
    // Two logs behind one address: now this one answers, now that one.
    let lose = || {
        let has_seen = scene.home.catalog.status(scene.home.metastore).head_event_id
            == Some(scene.world.state.lock().head());
        if has_seen {
            gaps.set(gaps.get() + 1);
            scene.world.change(|state| {
                state.alter_table(&db("d0").table("t1"));
                state.trimmed = state.head();
                state.alter_table(&db("d0").table("t1"));
            });
        }
        gaps.get() == 20
    };
    scene.run_until(lose).await;
    let repairs = scene.runs().iter().filter(|run| run.0 == "repair").count();
    assert_eq!(repairs, 1, "{:?}", scene.runs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_metastore_without_a_log_is_read_anew_after_a_restart_too() {
    let scene = Scene::of(World::filled(false, 3, 5, 10));
    scene.says_database_id("old");
    scene.sync().await;
    let scene = scene.replaced(Other::Id);
    scene.world.change(|state| {
        state.has_log = false;
        state.faults.insert("functions".into(), slow());
    });
    scene.run_until(|| scene.runs().contains(&("poll".into(), "failed".into()))).await;
    let scene = reopened(scene);
    scene.world.change(|state| state.faults.clear());
    scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_while_a_sync_looks_is_in_its_report() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        // It probes, asks for the newest event, and looks.
        let look = state.calls.values().sum::<u64>() + 3;
        let alter = |state: &mut State| state.alter_table(&db("d0").table("t1"));
        state.hooks.insert(look, Box::new(alter));
    });
    let report = scene.sync().await;
    scene.assert_mirrored();
    assert_eq!((report.events_applied, report.objects_changed), (1, 1));
}

/// How a test tells that another metastore answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Other {
    /// Its database says so.
    Id,
    /// It is somewhere else.
    Address,
    /// It is somewhere else, but its database is the same.
    Moved,
}

impl Scene {
    /// From now on another metastore answers, whose log goes on after the position.
    fn replaced(self, how: Other) -> Self {
        let other = World::filled(true, 2, 8, 12);
        other.change(|state| {
            state.database_id = (how != Other::Address).then(|| "new".to_string());
            if how != Other::Id {
                state.uri = "thrift://new:9083".into();
            }
            while state.head() <= self.home.position().unwrap_or_default() {
                state.alter_table(&db("d0").table("t1"));
            }
        });
        if how != Other::Id {
            let mut settings = self.home.catalog.snapshot().metastores[0].settings.clone();
            settings.uris = vec!["thrift://new:9083".into()];
            self.home.catalog.declare(&[settings]).unwrap();
        }
        let state = Arc::into_inner(other).unwrap().state;
        Self { world: Arc::new(World { state, wire: self.world.wire.clone() }), ..self }
    }

    fn says_database_id(&self, id: &str) {
        self.world.change(|state| state.database_id = Some(id.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_metastore_is_read_anew_and_not_by_the_position_of_the_first() {
    for how in [Other::Id, Other::Address] {
        let scene = Scene::filled();
        if how == Other::Id {
            scene.says_database_id("old");
        }
        scene.sync().await;
        let scene = scene.replaced(how);
        scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
        assert_eq!(scene.runs().last().unwrap(), &("repair".to_string(), "done".to_string()), "{how:?}");
        assert_eq!(scene.home.position(), Some(scene.world.state.lock().head()));

        let scene = Scene::filled();
        scene.says_database_id(if how == Other::Id { "old" } else { "new" });
        scene.sync().await;
        let scene = scene.replaced(how);
        scene.sync().await;
        scene.assert_mirrored();
        assert_eq!(scene.runs().last().unwrap().0, "repair", "{how:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_metastore_that_takes_the_place_without_an_error_is_noticed() {
    let scene = Scene::filled();
    scene.says_database_id("old");
    scene.sync().await;
    scene.world.change(|state| state.calls.clear());
    let has_looked = || scene.world.state.lock().calls.contains_key("head_event_id");
    let is_swapped = std::cell::Cell::new(false);
    let is_noticed = || {
        if !is_swapped.get() && has_looked() {
            is_swapped.set(true);
            scene.world.change(|state| {
                state.database_id = Some("new".into());
                // In its log, this never happened.
                state.drop_table(&db("d0").table("t0"));
                state.log.pop();
                state.alter_table(&db("d0").table("t1"));
            });
        }
        is_swapped.get() && scene.is_mirrored() && scene.state() == FollowState::Following
    };
    scene.run_with(|options| options.identity_interval_ms = 20, is_noticed).await;
    assert_eq!(scene.runs().last().unwrap(), &("repair".to_string(), "done".to_string()));
    assert_eq!(scene.home.position(), Some(scene.world.state.lock().head()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_metastore_without_a_log_is_read_anew_at_once() {
    let scene = Scene::of(World::filled(false, 3, 5, 10));
    scene.says_database_id("old");
    scene.sync().await;
    let scene = scene.replaced(Other::Id);
    scene.world.change(|state| state.has_log = false);
    scene.run_until(|| scene.is_mirrored() && scene.state() == FollowState::Following).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_mirror_of_another_metastore_does_not_go_on() {
    let scene = Scene::filled();
    scene.says_database_id("old");
    scene.world.change(|state| drop(state.faults.insert("privileges".into(), slow())));
    scene.sync().await;
    let scene = scene.replaced(Other::Id);
    scene.sync().await;
    scene.assert_mirrored();
    let run = |state: &str| ("first".to_string(), state.to_string());
    assert_eq!(scene.runs(), [run("abandoned"), run("done")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metastore_that_moved_goes_on_by_its_position() {
    let scene = Scene::filled();
    scene.says_database_id("new");
    scene.sync().await;
    let position = scene.home.position();
    let scene = scene.replaced(Other::Moved);
    scene.run_until(|| position < scene.home.position()).await;
    assert_eq!(scene.runs(), [("first".to_string(), "done".to_string())], "by events alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_newest_run_goes_on() {
    let scene = Scene::filled();
    scene.world.change(|state| {
        state.faults.insert("privileges".into(), slow());
    });
    scene.sync().await;
    scene.world.change(|state| state.has_log = false);
    scene.sync().await;
    scene.world.change(|state| {
        state.has_log = true;
        state.faults.clear();
    });
    scene.sync().await;
    let run = |state: &str| ("first".to_string(), state.to_string());
    assert_eq!(scene.runs(), [run("failed"), run("failed"), run("done")]);
    scene.assert_mirrored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_were_asked_for_and_cannot_be_had_are_an_error() {
    let scene = Scene::of(World::filled(false, 1, 1, 1));
    scene.world.change(|state| {
        state.faults.insert("head_event_id".into(), missing());
    });
    let mut mirror = scene.home.mirror(&scene.world);
    mirror.options.follow_events = Some(true);
    assert_eq!(mirror.sync_once().await.unwrap_err().code, Code::METASTORE_METHOD_MISSING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_events_are_the_error_until_they_are_made_up_for() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| {
        state.drop_table(&db("d0").table("t1"));
        state.trimmed = state.head();
        state.stalls.insert("table_names".into());
    });
    let status = || scene.home.catalog.status(scene.home.metastore);
    let code = || status().error.map(|(fault, _)| fault.code);
    let is_named = || status().error.is_some_and(|(fault, _)| fault.what.contains("metastore m:"));
    let was_lost = std::cell::Cell::new(false);
    let is_healed = || {
        if scene.state() == FollowState::Repairing && code() == Some(Code::METASTORE_EVENTS_LOST) {
            assert!(is_named());
            was_lost.set(true);
            scene.world.change(|state| state.stalls.clear());
        }
        was_lost.get() && scene.is_mirrored() && scene.state() == FollowState::Following && code().is_none()
    };
    scene.run_until(is_healed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_that_fails_is_shown_while_names_are_polled() {
    let scene = Scene::of(World::filled(false, 2, 2, 2));
    scene.sync().await;
    scene.world.change(|state| {
        state.faults.insert("functions".into(), slow());
    });
    let status = || scene.home.catalog.status(scene.home.metastore);
    let is_shown = || {
        let status = status();
        scene.runs().contains(&("poll".into(), "failed".into()))
            && status.state == FollowState::Following
            && status.error.is_some_and(|(fault, _)| fault.code == Code::METASTORE_SLOW)
    };
    scene.run_with(|options| options.pass_interval_ms = 20, is_shown).await;
}

#[tokio::test]
async fn with_events_everything_is_read_again_once_a_day_only() {
    let scene = Scene::filled();
    let due_after_hours = |mode, hours: i64, set: fn(&mut super::MirrorOptions)| {
        let mut mirror = scene.home.mirror(&scene.world);
        set(&mut mirror.options);
        let session = Session::new(&mirror);
        session.status(|status| {
            status.mode = mode;
            status.last_pass_at = Some(session.now() - hours * 3_600_000_000);
        });
        is_pass_due(&session)
    };
    assert!(!due_after_hours(FollowMode::Events, 23, |_| {}));
    assert!(due_after_hours(FollowMode::Events, 24, |_| {}));
    assert!(!due_after_hours(FollowMode::Events, 1_000, |options| options.refresh_interval_ms = 0));
    assert!(due_after_hours(FollowMode::Polling, 1, |_| {}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_forgets_the_position_and_passes_even_when_none_are_asked_for() {
    let scene = Scene::filled();
    scene.sync().await;
    scene.world.change(|state| state.has_log = false);
    let stuck_ms = i64::MAX / 2;
    scene.home.catalog.update_status(scene.home.metastore, |status| status.lag_ms = Some(stuck_ms));
    let is_polling = || scene.home.catalog.status(scene.home.metastore).mode == FollowMode::Polling;
    scene.run_until(|| is_polling() && scene.home.position().is_none()).await;
    let lag_ms = scene.home.catalog.status(scene.home.metastore).lag_ms.unwrap();
    assert!(lag_ms < stuck_ms, "what waited in the log waits no more");
    let mut mirror = scene.home.mirror(&scene.world);
    mirror.options.refresh_interval_ms = 0;
    let session = Session::new(&mirror);
    session.status(|status| status.last_pass_at = Some(0));
    assert!(is_pass_due(&session));
    scene.world.change(|state| {
        state.alter_table(&db("d0").table("t1"));
        state.has_log = true;
    });
    scene.run_until(|| scene.is_mirrored() && scene.home.position().is_some()).await;
    assert!(scene.runs().contains(&("repair".into(), "done".into())), "{:?}", scene.runs());
}

#[derive(Clone, Debug)]
enum Act {
    CreateTable(u8, bool),
    AlterTable(u8),
    AlterColumns(u8),
    RenameTable(u8, u8),
    DropTable(u8),
    Recreate(u8),
    AddPartitions(u8, u8, bool),
    AlterPartition(u8, u8),
    DropPartition(u8, u8, bool),
    RenamePartition(u8, u8, u8),
    DropDatabase(u8),
    CreateDatabase(u8),
    Function(u8),
    Statistics(u8),
    /// The follower looks, at a log that shows all but the newest few events: those that come
    /// between the look at the log and the reads that follow it.
    Look(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let t = 0..6u8;
    prop_oneof![
        2 => (t.clone(), any::<bool>()).prop_map(|(t, p)| Act::CreateTable(t, p)),
        2 => t.clone().prop_map(Act::AlterTable),
        2 => t.clone().prop_map(Act::AlterColumns),
        4 => (t.clone(), t.clone()).prop_map(|(a, b)| Act::RenameTable(a, b)),
        2 => t.clone().prop_map(Act::DropTable),
        2 => t.clone().prop_map(Act::Recreate),
        4 => (t.clone(), 0..8u8, any::<bool>()).prop_map(|(t, p, n)| Act::AddPartitions(t, p, n)),
        2 => (t.clone(), 0..8u8).prop_map(|(t, p)| Act::AlterPartition(t, p)),
        2 => (t.clone(), 0..8u8, any::<bool>()).prop_map(|(t, p, n)| Act::DropPartition(t, p, n)),
        1 => (t.clone(), 0..8u8, 0..8u8).prop_map(|(t, a, b)| Act::RenamePartition(t, a, b)),
        1 => (0..2u8).prop_map(Act::DropDatabase),
        1 => (0..2u8).prop_map(Act::CreateDatabase),
        1 => (0..2u8).prop_map(Act::Function),
        1 => t.prop_map(Act::Statistics),
        4 => (0..6u8).prop_map(Act::Look),
    ]
}

/// Six names over two databases.
fn name(t: u8) -> TableName {
    db(&format!("d{}", t % 2)).table(format!("t{}", t / 2))
}

fn perform(state: &mut State, act: &Act) {
    match *act {
        Act::CreateTable(t, is_partitioned) => state.create_table(&name(t), is_partitioned),
        Act::AlterTable(t) => state.alter_table(&name(t)),
        Act::AlterColumns(t) => state.alter_columns(&name(t)),
        Act::RenameTable(from, to) => state.rename_table(&name(from), &name(to)),
        Act::DropTable(t) => state.drop_table(&name(t)),
        Act::Recreate(t) => {
            state.drop_table(&name(t));
            state.create_table(&name(t), true);
        }
        Act::AddPartitions(t, p, is_named) => {
            state.add_partitions(&name(t), u64::from(p)..u64::from(p) + 3, is_named);
        }
        Act::AlterPartition(t, p) => state.alter_partition(&name(t), u64::from(p)),
        Act::DropPartition(t, p, is_named) => state.drop_partition(&name(t), u64::from(p), is_named),
        Act::RenamePartition(t, from, to) => {
            state.rename_partition(&name(t), u64::from(from), u64::from(to));
        }
        Act::DropDatabase(d) => state.drop_database(&db(&format!("d{d}"))),
        Act::CreateDatabase(d) => state.create_database(&db(&format!("d{d}"))),
        Act::Function(d) => state.create_function(&db(&format!("d{d}")), "f"),
        Act::Statistics(t) => state.write_statistics(&name(t)),
        Act::Look(_) => {}
    }
}

async fn follow_acts(acts: &[Act]) {
    let scene = Scene::of(World::filled(true, 2, 3, 6));
    scene.sync().await;
    let mut numbers: BTreeMap<u64, TableId> = BTreeMap::new();
    note_numbers(&scene, &mut numbers);
    let session = Session::new(&scene.home.mirror(&scene.world));
    let mut follower = Follower::new(session, scene.home.position().unwrap(), false);
    let mut looked_at = follower.cursor();
    for act in acts {
        scene.world.change(|state| perform(state, act));
        if let Act::Look(hidden) = act {
            scene.world.change(|state| {
                // An event is in the log as soon as its change can be read.
                state.shown = (state.head() - i64::from(*hidden)).max(looked_at);
                looked_at = state.head();
            });
            while follower.look().await.unwrap() == Look::More {}
        }
    }
    scene.world.change(|state| state.shown = i64::MAX);
    while follower.look().await.unwrap() == Look::More {}
    scene.assert_mirrored();
    note_numbers(&scene, &mut numbers);
}

/// A table keeps its number as long as it lives, under whatever name, and no other gets it.
fn note_numbers(scene: &Scene, numbers: &mut BTreeMap<u64, TableId>) {
    let ids = scene.home.ids();
    for (name, identity) in scene.world.identities() {
        let id = ids[&name];
        let noted = *numbers.entry(identity).or_insert(id);
        assert_eq!(noted, id, "{name} has another number than before");
    }
    let distinct: BTreeSet<TableId> = numbers.values().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number was used twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_history_seen_in_any_pages_ends_equal_and_keeps_numbers(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(follow_acts(&acts));
    }
}

/// A change of which no event tells.
fn silently(world: &World, change: impl FnOnce(&mut State)) {
    world.change(|state| {
        let before = state.log.len();
        change(state);
        state.log.truncate(before);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_ask_for_is_read_again_soon() {
    for has_log in [true, false] {
        let scene = Scene::of(World::filled(has_log, 2, 4, 6));
        scene.sync().await;
        let (table, other) = (db("d0").table("t0"), db("d0").table("t1"));
        silently(&scene.world, |state| {
            state.alter_table(&table);
            state.alter_partition(&table, 2);
            state.drop_partition(&table, 3, true);
        });
        scene.run_asking(Extent::Table(table.clone()), || scene.is_mirrored()).await;

        silently(&scene.world, |state| {
            state.alter_table(&other);
            state.create_table(&db("d0").table("new"), false);
            state.create_function(&db("d0"), "f");
        });
        scene.run_asking(Extent::Database(db("d0")), || scene.is_mirrored()).await;

        silently(&scene.world, |state| {
            state.create_database(&db("e"));
            state.create_table(&db("e").table("t"), true);
        });
        scene.run_asking(Extent::Table(db("e").table("t")), || scene.is_mirrored()).await;

        silently(&scene.world, |state| {
            state.alter_table(&other);
            state.alter_table(&db("d1").table("t0"));
        });
        let runs = scene.runs().len();
        scene.run_asking(Extent::Metastore, || scene.is_mirrored()).await;
        assert!(runs < scene.runs().len(), "a pass is a run: {:?}", scene.runs());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_and_gone_is_dropped() {
    for has_log in [true, false] {
        let scene = Scene::of(World::filled(has_log, 2, 4, 6));
        scene.sync().await;
        let table = db("d0").table("t0");
        silently(&scene.world, |state| state.drop_table(&table));
        scene.run_asking(Extent::Table(table), || scene.is_mirrored()).await;
        silently(&scene.world, |state| state.drop_database(&db("d1")));
        scene.run_asking(Extent::Database(db("d1")), || scene.is_mirrored()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_when_it_is_asked_for_stops_nothing() {
    let scene = Scene::filled();
    scene.sync().await;
    let table = db("d0").table("t0");
    scene.world.change(|state| {
        state.faults.insert(format!("table {table}"), boom());
    });
    scene.run_asking(Extent::Table(table.clone()), || !scene.errors().is_empty()).await;
    scene.run_until(|| scene.state() == FollowState::Following).await;
    assert_eq!(scene.errors(), [("d0".to_string(), "t0".to_string(), String::new())]);
}
