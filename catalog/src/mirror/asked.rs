//! What people ask to be read again, until the mirror gets to it.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::{DatabaseName, TableName};

/// Databases and tables that can be waiting; more are taken for the whole metastore.
const WAITING_MAX: usize = 1_000;

/// What is to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every object.
    Metastore,
    /// A database with all in it.
    Database(DatabaseName),
    /// A table with its partitions.
    Table(TableName),
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Asked {
    waiting: Mutex<Vec<Extent>>,
    wake: Notify,
}

impl Asked {
    /// Asks for something; it is read once, however often it is asked for before.
    pub fn ask(&self, extent: Extent) {
        let mut waiting = self.waiting.lock();
        if !waiting.contains(&extent) {
            waiting.push(extent);
        }
        if WAITING_MAX < waiting.len() {
            *waiting = vec![Extent::Metastore];
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// All that is waiting.
    pub(super) fn take(&self) -> Vec<Extent> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Waits until something is asked for; what was asked for before counts once.
    pub(super) async fn asked(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waiting_is_bounded_and_there_once() {
        let asked = Asked::default();
        let table = |number: usize| Extent::Table(DatabaseName::new("hive", "d").table(number.to_string()));
        (0..WAITING_MAX).chain(0..WAITING_MAX).for_each(|number| asked.ask(table(number)));
        assert_eq!(asked.take().len(), WAITING_MAX);
        (0..=WAITING_MAX).for_each(|number| asked.ask(table(number)));
        assert_eq!(asked.take(), [Extent::Metastore]);
        assert!(asked.take().is_empty());
    }
}
