//! Statements that run and statements that ended: `runtime.queries`, `runtime.query_history`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use skep_catalog::fault::{Code, Fault};
use tokio::sync::watch;

use crate::caller::Caller;
use crate::counts::Counts;
use crate::guard::TEXT_BYTES_MAX;
use crate::procedures::text::{is_call, shown};
use crate::statement::Statement;

/// Ended statements kept.
pub const HISTORY_ROWS_MAX: usize = 1_000;
/// Characters kept of a statement's text.
const STATEMENT_CHARS_MAX: usize = 4_096;

/// A statement that runs.
#[derive(Debug)]
pub struct Query {
    /// Number.
    pub query_id: u64,
    /// Who asked.
    pub caller: Caller,
    /// Text, cut; of a CALL without the values of its arguments.
    pub statement: String,
    /// Whether it is a CALL.
    pub is_call: bool,
    /// Microseconds since 1970.
    pub started_at: i64,
    /// Microseconds since 1970; 0 while it is being planned.
    pub planned_at: AtomicU64,
    /// Rows given out.
    pub row_count: AtomicU64,
    /// Why somebody ended it.
    killed: watch::Sender<Option<Fault>>,
}

impl Query {
    /// Ends it, unless it has ended.
    pub fn kill(&self, fault: Fault) {
        self.killed.send_replace(Some(fault));
    }

    /// Waits until somebody ends it.
    pub async fn killed(&self) -> Fault {
        let mut killed = self.killed.subscribe();
        match killed.wait_for(Option::is_some).await.map(|fault| fault.clone()) {
            Ok(Some(fault)) => fault,
            // The sender is here.
            _ => std::future::pending().await,
        }
    }
}

/// A statement that ended.
#[derive(Clone, Debug)]
pub struct EndedQuery {
    /// As it ran.
    pub query: Arc<Query>,
    /// Microseconds since 1970.
    pub finished_at: i64,
    /// Why it failed.
    pub fault: Option<Fault>,
}

impl EndedQuery {
    /// `done`, `failed` or `cancelled`.
    pub fn state(&self) -> &'static str {
        match &self.fault {
            None => "done",
            Some(fault) if fault.code == Code::SQL_CANCELLED => "cancelled",
            Some(_) => "failed",
        }
    }
}

/// Both lists.
#[derive(Default)]
pub struct Queries {
    next_id: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<Query>>>,
    ended: Mutex<VecDeque<EndedQuery>>,
    /// Of all that ended.
    pub counts: Counts,
}

impl Queries {
    /// A statement begins.
    pub fn begin(&self, statement: &Statement, started_at: i64) -> Arc<Query> {
        // One that is too long is refused: it is cut before it is looked at.
        let end = statement.sql.floor_char_boundary(TEXT_BYTES_MAX);
        let text = shown(&statement.sql[..end]);
        let query = Arc::new(Query {
            query_id: self.next_id.fetch_add(1, Ordering::Relaxed) + 1,
            caller: statement.caller.clone(),
            statement: text.chars().take(STATEMENT_CHARS_MAX).collect(),
            is_call: is_call(&statement.sql),
            started_at,
            planned_at: AtomicU64::new(0),
            row_count: AtomicU64::new(0),
            killed: watch::Sender::new(None),
        });
        self.running.lock().insert(query.query_id, Arc::clone(&query));
        query
    }

    /// A statement that was only prepared leaves no trace.
    pub fn forget(&self, query: &Query) {
        self.running.lock().remove(&query.query_id);
    }

    /// A statement ends.
    pub fn end(&self, query: &Arc<Query>, finished_at: i64, fault: Option<Fault>) {
        self.running.lock().remove(&query.query_id);
        let query = EndedQuery { query: Arc::clone(query), finished_at, fault };
        self.counts.add(&query);
        let mut ended = self.ended.lock();
        if ended.len() == HISTORY_ROWS_MAX {
            ended.pop_front();
        }
        ended.push_back(query);
    }

    /// The statement of this number, when it runs.
    pub fn get(&self, query_id: u64) -> Option<Arc<Query>> {
        self.running.lock().get(&query_id).cloned()
    }

    /// Statements that run.
    pub fn running(&self) -> Vec<Arc<Query>> {
        self.running.lock().values().cloned().collect()
    }

    /// Statements that ended, the oldest first.
    pub fn ended(&self) -> Vec<EndedQuery> {
        self.ended.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_a_ring() {
        let queries = Queries::default();
        for i in 0..HISTORY_ROWS_MAX as i64 + 5 {
            let query = queries.begin(&Statement::new("SELECT 1"), i);
            assert_eq!(queries.running().len(), 1);
            queries.end(&query, i + 1, None);
        }
        let ended = queries.ended();
        assert_eq!(ended.len(), HISTORY_ROWS_MAX);
        assert_eq!(ended[0].query.query_id, 6);
        assert!(queries.running().is_empty());
    }

    #[test]
    fn ended_statements_are_counted_by_how_they_ended_and_how_long_they_took() {
        let queries = Queries::default();
        let fault = |code| Some(Fault::new(code, "statement", "for a reason"));
        let ends = [
            (1_000, None),
            (1_001, fault(Code::SQL_TIMEOUT)),
            (60_000_000, fault(Code::SQL_CANCELLED)),
            (60_000_001, None),
            // The clock was set back.
            (-5, None),
        ];
        for (micros, fault) in ends {
            let query = queries.begin(&Statement::new("SELECT 1"), 0);
            query.row_count.store(2, Ordering::Relaxed);
            queries.end(&query, micros, fault);
        }
        let counts = queries.counts.now();
        assert_eq!((counts.done, counts.failed, counts.cancelled, counts.rows), (3, 1, 1, 10));
        assert_eq!(counts.by_duration, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((counts.duration_s - 120.002_002).abs() < 1e-9, "{}", counts.duration_s);
    }
}
