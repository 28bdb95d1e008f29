//! Ways through a snapshot, leaving out what fails the tests.

use std::sync::Arc;

use arrow::array::RecordBatch;
use skep_catalog::fault::Fault;
use skep_catalog::model::DatabaseName;
use skep_catalog::snapshot::{DatabaseView, MetastoreView, TableView};

use crate::chunk::{Chunk, Tests, tested_later};
use crate::pinned::Pinned;
use crate::rows::Value;

/// Places of the key columns in every table of schema `catalog` that has them.
pub const METASTORE: usize = 0;
pub const CATALOG: usize = 1;
pub const DATABASE: usize = 2;
pub const TABLE: usize = 3;

/// A database and the metastore that it is in.
#[derive(Clone)]
pub struct Place {
    pub metastore: Arc<MetastoreView>,
    pub database: Arc<DatabaseView>,
}

impl Place {
    /// `catalog.database`.
    pub fn name(&self) -> DatabaseName {
        DatabaseName::new(self.database.catalog_name.as_ref(), self.database.name.as_ref())
    }

    /// Values of the first three key columns.
    pub fn keys(&self) -> [Value<'_>; 3] {
        [
            (&self.database.metastore_name).into(),
            (&self.database.catalog_name).into(),
            (&self.database.name).into(),
        ]
    }

    /// The first three key columns as constants.
    pub fn constants(&self) -> Vec<(usize, Arc<str>)> {
        vec![
            (METASTORE, Arc::clone(&self.database.metastore_name)),
            (CATALOG, Arc::clone(&self.database.catalog_name)),
            (DATABASE, Arc::clone(&self.database.name)),
        ]
    }
}

/// Metastores that pass.
pub fn metastores<'a>(pinned: &'a Pinned, tests: &'a Tests) -> impl Iterator<Item = &'a Arc<MetastoreView>> {
    pinned.snapshot.metastores.iter().filter(|m| tests.admit("metastore_name", &m.name))
}

/// Databases that pass, in order of metastore, catalog and name.
pub fn places(pinned: &Pinned, tests: &Tests) -> Vec<Place> {
    let mut places = Vec::new();
    for metastore in metastores(pinned, tests) {
        for catalog in metastore.catalogs.iter().filter(|c| tests.admit("catalog_name", &c.name)) {
            for database in catalog.databases.iter().filter(|d| tests.admit("database_name", &d.name)) {
                places.push(Place { metastore: Arc::clone(metastore), database: Arc::clone(database) });
            }
        }
    }
    places
}

/// Tables of a database that pass, in order of name.
pub fn tables<'a>(
    database: &'a DatabaseView,
    tests: &'a Tests,
) -> Box<dyn Iterator<Item = &'a Arc<TableView>> + 'a> {
    match tests.candidates("table_name") {
        // A few names: look them up instead of walking over all.
        Some(names) if names.len() < 8 => {
            let mut found: Vec<&Arc<TableView>> = names
                .iter()
                .filter_map(|name| database.table(name))
                .filter(|t| tests.admit("table_name", &t.name))
                .collect();
            found.sort_by(|a, b| a.name.cmp(&b.name));
            found.dedup_by(|a, b| a.id == b.id);
            Box::new(found.into_iter())
        }
        _ => Box::new(database.tables.iter().filter(|t| tests.admit("table_name", &t.name))),
    }
}

/// What a builder of rows gives.
pub type Built = Result<RecordBatch, Fault>;

/// One chunk per database that passes; `build` makes the wanted columns of what passes in it.
pub fn per_database(
    pinned: &Arc<Pinned>,
    tests: &Tests,
    row_count: impl Fn(&Place) -> Option<usize>,
    build: impl Fn(&Pinned, &Place, &Tests, &[usize]) -> Built + Copy + Send + Sync + 'static,
) -> Vec<Chunk> {
    let tests = Arc::new(tests.clone());
    places(pinned, &tests)
        .into_iter()
        .filter(|place| row_count(place) != Some(0))
        .map(|place| {
            let (pinned, tests) = (Arc::clone(pinned), Arc::clone(&tests));
            Chunk {
                constants: place.constants(),
                bounds: Vec::new(),
                row_count: row_count(&place),
                load: tested_later(move |wanted| build(&pinned, &place, &tests, wanted)),
            }
        })
        .collect()
}
