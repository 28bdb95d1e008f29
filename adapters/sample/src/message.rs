//! Messages of notification events, with the members that each generation writes.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use skep_catalog::model::partition_name;
use skep_hms::thrift::{Writer, to_tjson};

use crate::generation::Generation;
use crate::log::{Happening, LogEntry, ShownTable, TableImage};
use crate::metastore::Metastore;
use crate::partitions::{Entry, Kept};
use crate::raw::RawStruct;

/// The message of an entry, as text in the generation's format.
pub(crate) fn render(metastore: &Metastore, entry: &LogEntry) -> String {
    let mut members = Map::new();
    // URI and principal of the server are as empty as those of an unsecured metastore.
    members.insert("server".into(), "".into());
    members.insert("servicePrincipal".into(), "".into());
    members.insert("timestamp".into(), entry.event_time.into());
    Renderer { metastore, generation: metastore.generation(), members: &mut members }.fill(&entry.happening);
    let text = Value::Object(members).to_string();
    if metastore.generation() < Generation::V4_0 { text } else { gzip(&text) }
}

/// Base64 of gzip.
fn gzip(text: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory cannot fail.
    let packed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    STANDARD.encode(packed)
}

struct Renderer<'a> {
    metastore: &'a Metastore,
    generation: Generation,
    members: &'a mut Map<String, Value>,
}

impl Renderer<'_> {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.members.insert(key.to_owned(), value.into());
    }

    fn fill(&mut self, happening: &Happening) {
        let has_3 = self.generation >= Generation::V3_1;
        let has_4 = self.generation >= Generation::V4_0;
        match happening {
            Happening::CreateCatalog { catalog } | Happening::DropCatalog { catalog } => {
                self.put("catalog", catalog.as_str());
            }
            Happening::CreateDatabase { database, image, .. } => {
                self.put("db", database.as_str());
                if has_3 {
                    self.put("dbJson", tjson(image));
                }
            }
            Happening::AlterDatabase { database, before, after, .. } => {
                self.put("db", database.as_str());
                self.put("dbObjBeforeJson", tjson(before));
                self.put("dbObjAfterJson", tjson(after));
            }
            Happening::DropDatabase { database, image, .. } => {
                self.put("db", database.as_str());
                if has_4 {
                    self.put("dbJson", tjson(image));
                }
            }
            Happening::CreateTable(image) => {
                self.table(image, true);
                self.put("files", json!([]));
            }
            Happening::DropTable(image) => {
                // 2.3 writes no table object here.
                self.table(image, has_3);
            }
            Happening::AlterTable { before, after } => {
                // The message names the table as it was; the row names it as it is.
                self.table(before, false);
                self.put("tableObjBeforeJson", self.shown(before).json.as_str());
                self.put("tableObjAfterJson", self.shown(after).json.as_str());
                if has_3 {
                    self.put("isTruncateOp", "false");
                }
                if has_4 {
                    self.put("writeId", -1);
                }
            }
            Happening::AddPartitions(image, partitions) => {
                self.table(image, true);
                self.put("partitions", value_maps(image, partitions.iter().map(|p| &p.values)));
                self.put("partitionListJson", self.partitions_json(image, partitions));
                let files =
                    |p: &Kept| json!({"partitionName": partition_name(&image.keys, &p.values), "files": []});
                // 4.x lists no files of partitions that are added without any.
                let listed = if has_4 { &[] } else { partitions.as_slice() };
                self.put("partitionFiles", listed.iter().map(files).collect::<Vec<_>>());
            }
            Happening::AlterPartition { table, before, after } => {
                self.table(table, true);
                self.put("keyValues", values_map(table, &before.values));
                self.put("partitionObjBeforeJson", self.partition_json(table, before));
                self.put("partitionObjAfterJson", self.partition_json(table, after));
                if has_3 {
                    self.put("isTruncateOp", "false");
                }
                if has_4 {
                    self.put("writeId", -1);
                }
            }
            Happening::AlterPartitions(image, partitions) => {
                self.table(image, true);
                self.put("partitions", value_maps(image, partitions.iter().map(|p| &p.values)));
                self.put("partitionListJson", self.partitions_json(image, partitions));
                self.put("isTruncateOp", "false");
                self.put("writeId", -1);
            }
            Happening::DropPartitions(image, values) => {
                self.table(image, true);
                self.put("partitions", value_maps(image, values.iter()));
            }
            Happening::CreateFunction { database, image, .. } => {
                self.put("db", database.as_str());
                self.put("functionObjJson", tjson(image));
            }
            Happening::DropFunction { database, name, .. } => {
                self.put("db", database.as_str());
                self.put("functionName", name.as_str());
            }
        }
    }

    fn table(&mut self, image: &TableImage, has_object: bool) {
        self.put("db", image.name.database.database.as_str());
        self.put("table", image.name.table.as_str());
        if self.generation >= Generation::V3_1 {
            self.put("tableType", self.shown(image).table_type.as_str());
        }
        if has_object {
            self.put("tableObjJson", self.shown(image).json.as_str());
        }
    }

    fn shown<'i>(&self, image: &'i TableImage) -> &'i ShownTable {
        image.shown.get_or_init(|| {
            let mut w = Writer::new();
            self.metastore.table_body(&mut w, &image.name, &image.fields);
            let body = w.finish();
            let table_type = RawStruct::parse(&body).unwrap_or_default().text(12);
            ShownTable { table_type, json: tjson(&body) }
        })
    }

    fn partition_json(&self, image: &TableImage, partition: &Kept) -> String {
        let name = &image.name;
        let catalog = self.metastore.catalog_field(&name.database.catalog);
        let mut w = Writer::new();
        Entry::Kept(partition).encode(&mut w, "", &name.database.database, &name.table, catalog);
        tjson(&w.finish())
    }

    fn partitions_json(&self, image: &TableImage, partitions: &[Kept]) -> Vec<String> {
        partitions.iter().map(|partition| self.partition_json(image, partition)).collect()
    }
}

fn tjson(body: &Bytes) -> String {
    // Kept bytes are well-formed: they were checked when they came in.
    to_tjson(body).unwrap_or_default()
}

fn values_map(image: &TableImage, values: &[String]) -> Value {
    Value::Object(image.keys.iter().cloned().zip(values.iter().map(|v| v.as_str().into())).collect())
}

fn value_maps<'a>(image: &TableImage, all: impl Iterator<Item = &'a Vec<String>>) -> Vec<Value> {
    all.map(|values| values_map(image, values)).collect()
}
