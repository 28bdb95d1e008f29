//! How fast replies of 1,000 partitions are taken apart: finding the end of the message, then
//! decoding each partition and slicing its bytes. `cargo bench -p skep-hms`.

use std::sync::Arc;
use std::time::Instant;

use skep_catalog::model::*;
use skep_hms::objects::{SharedColumns, encode_partition, read_item, read_partition_sharing};
use skep_hms::thrift::*;

const PARTITIONS: usize = 1_000;
const ROUNDS: usize = 200;

fn partition(number: usize) -> Partition {
    let column = |i| Column {
        name: format!("column_{i}"),
        data_type: "string".to_owned(),
        comment: Some("what it holds".to_owned()),
    };
    let text = |text: &str| Some(text.to_owned());
    let pair = |key: &str, value: String| (key.to_owned(), value);
    Partition {
        values: vec![format!("2024-01-{:02}", number % 28 + 1), number.to_string()],
        create_time: 1_700_000_000,
        storage: StorageDescriptor {
            columns: Arc::new((0..7).map(column).collect()),
            location: Some(format!("hdfs://nameservice/warehouse/sales.db/orders/ds=2024/hour={number}")),
            input_format: text("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"),
            output_format: text("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"),
            bucket_count: -1,
            serde: SerdeInfo {
                name: None,
                library: text("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"),
                parameters: vec![pair("serialization.format", "1".to_owned())],
            },
            skewed: Some(SkewedInfo::default()),
            ..StorageDescriptor::default()
        },
        parameters: vec![
            pair("numFiles", "4".to_owned()),
            pair("numRows", "1000".to_owned()),
            pair("totalSize", (number * 1000).to_string()),
            pair("transient_lastDdlTime", "1700000000".to_owned()),
        ],
        ..Partition::default()
    }
}

fn main() -> Result<()> {
    let structs: Vec<_> =
        (0..PARTITIONS).map(|i| encode_partition(Some("hive"), "sales", "orders", &partition(i))).collect();
    let mut writer = Writer::new();
    writer.field_raw_structs(0, &structs);
    let body = writer.finish_struct();
    for protocol in [Protocol::Binary, Protocol::Compact] {
        let wire = Wire { protocol, transport: Transport::Unframed };
        let reply = encode_message(wire, "get_partitions_by_names", MessageType::Reply, 1, &body)?;
        let started = Instant::now();
        for _ in 0..ROUNDS {
            let mut decoder = MessageDecoder::new(wire, Limits::REPLY);
            let found = reply.chunks(64 << 10).try_fold(0, |found, chunk| {
                decoder.feed(chunk);
                decoder.next().map(|message| found + usize::from(message.is_some()))
            })?;
            assert_eq!(found, 1);
        }
        report(&format!("{protocol:?} message"), started, reply.len());
    }
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let mut reader = Reader::new(&body);
        reader.field()?;
        let (mut items, mut shared) = (Vec::with_capacity(PARTITIONS), SharedColumns::default());
        for _ in 0..reader.list_of(Kind::Struct)? {
            items.push(read_item(&body, &mut reader, |reader| read_partition_sharing(reader, &mut shared))?);
        }
        assert_eq!(items.len(), PARTITIONS);
    }
    report("partition structs", started, body.len());
    Ok(())
}

fn report(what: &str, started: Instant, bytes: usize) {
    let seconds = started.elapsed().as_secs_f64();
    let partitions = (ROUNDS * PARTITIONS) as f64 / seconds;
    let megabytes = (ROUNDS * bytes) as f64 / seconds / 1e6;
    println!("{what}: {partitions:.0} partitions/s, {megabytes:.0} MB/s");
}
