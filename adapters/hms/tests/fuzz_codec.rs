//! Throws random and damaged bytes at everything that reads bytes from a metastore, for
//! `SKEP_FUZZ_SECONDS` (5 when not set). The seed is printed; `SKEP_FUZZ_SEED` repeats a run.
//!
//! What must hold: no panic, no abort, no input that never ends, and the two readers of binary
//! messages (in pieces, and at once) agree. The inputs are small, so nothing is said of memory here:
//! `amplification.rs` does that.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use base64::Engine;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use skep_catalog::model::*;
use skep_catalog::ports::Decoder;
use skep_hms::HmsDecoder;
use skep_hms::events::{RawEvent, subject};
use skep_hms::objects::*;
use skep_hms::thrift::*;

/// Small, so that the limits are met.
const LIMITS: Limits =
    Limits { message_bytes_max: 1 << 20, string_bytes_max: 1 << 19, depth_max: 64, name_bytes_max: 128 };

/// Numbers that lengths and counts like to be wrong with.
const NUMBERS: [u32; 9] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 24];

const EVENT_TYPES: [&str; 8] = [
    "ALTER_TABLE",
    "ADD_PARTITION",
    "ALTER_PARTITION",
    "ALTER_PARTITIONS",
    "DROP_PARTITION",
    "ADD_FOREIGNKEY",
    "UPDATE_PART_COL_STAT_EVENT",
    "CREATE_TABLE",
];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Well-formed struct bodies to begin from.
fn bodies() -> Vec<Vec<u8>> {
    let column = Column { name: "c".to_owned(), data_type: "int".to_owned(), comment: Some("é".to_owned()) };
    let storage = StorageDescriptor {
        columns: vec![column.clone(); 3].into(),
        location: Some("hdfs://nn/warehouse/t".to_owned()),
        sort_columns: vec![("c".to_owned(), 1)],
        parameters: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())],
        skewed: Some(SkewedInfo {
            columns: vec!["c".to_owned()],
            values: vec![vec!["1".to_owned()]],
            locations: vec![(vec!["1".to_owned()], "x".to_owned())],
        }),
        ..StorageDescriptor::default()
    };
    let table = Table {
        name: "t".to_owned(),
        owner_type: Some(PrincipalType::Role),
        storage: storage.clone(),
        partition_keys: vec![column],
        table_type: "VIRTUAL_VIEW".to_owned(),
        ..Table::default()
    };
    let partition =
        Partition { values: vec!["1".to_owned(), "é".to_owned()], storage, ..Partition::default() };
    let statistic = |data_type: &str, bound: &str| ColumnStatistic {
        column_name: "c".to_owned(),
        data_type: data_type.to_owned(),
        min_value: Some(bound.to_owned()),
        max_value: Some(bound.to_owned()),
        null_count: Some(1),
        ..ColumnStatistic::default()
    };
    let mut bodies = vec![
        encode_table(Some("hive"), "db", &table),
        encode_partition(Some("hive"), "db", "t", &partition),
        encode_database(&Database { name: "db".to_owned(), create_time: Some(1), ..Database::default() }),
        encode_catalog(&CatalogObject { name: "hive".to_owned(), ..CatalogObject::default() }),
        encode_function(
            None,
            "db",
            &Function { resources: vec![("jar".to_owned(), "x".to_owned())], ..Function::default() },
        ),
        encode_column_statistic(&statistic("decimal(10,2)", "-12.34")),
        encode_column_statistic(&statistic("date", "2024-02-29")),
        encode_column_statistic(&statistic("timestamp", "2024-02-29 01:02:03")),
        encode_column_statistic(&statistic("bigint", "7")),
        ApplicationException::new(ExceptionKind::UnknownMethod, "Invalid method name").encode(),
    ];
    let mut lists = Writer::new();
    lists.field_raw_structs(0, &[bodies[0].clone(), bodies[1].clone()]);
    lists.field_strings(1, &["a", "b"]);
    lists.field_double(2, 0.5);
    bodies.push(lists.finish_struct());
    bodies.into_iter().map(|body| body.to_vec()).collect()
}

fn messages_json() -> Vec<String> {
    let objects = bodies();
    let text = |body: &[u8]| to_tjson(body).map(|text| serde_json::Value::from(text).to_string()).unwrap();
    // A table with a skew map cannot be written as JSON; the partition neither.
    let database = text(&objects[2]);
    vec![
        format!(r#"{{"tableObjBeforeJson":{database},"tableObjAfterJson":{database}}}"#),
        r#"{"partitions":[{"a":"1","b":"2"},{"a":null,"b":"%"}],"partitionListJson":[]}"#.to_owned(),
        r#"{"keyValues":{"a":"1"},"partitionObjBeforeJson":"{\"1\":{\"lst\":[\"str\",1,\"1\"]}}"}"#
            .to_owned(),
        r#"{"partVals":["1"],"tableObjJson":"{\"8\":{\"lst\":[\"rec\",0]}}"}"#.to_owned(),
    ]
}

fn damage(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(0..6) {
        let length = bytes.len();
        if length == 0 {
            bytes.push(rng.random());
            continue;
        }
        let at = rng.random_range(0..length);
        match rng.random_range(0..8) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, rng.random()),
            4 => {
                let number = NUMBERS[rng.random_range(0..NUMBERS.len())].to_be_bytes();
                let end = (at + 4).min(length);
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            5 => {
                // A piece of itself, somewhere else: types meet values that are not theirs.
                let end = (at + rng.random_range(1..40)).min(length);
                let piece = bytes[at..end].to_vec();
                let place = rng.random_range(0..=length);
                bytes.splice(place..place, piece);
            }
            6 => {
                let end = (at + rng.random_range(1..20)).min(length);
                bytes.drain(at..end);
            }
            _ => {
                // Nesting.
                let piece =
                    [[12u8, 0, 1], [15, 0, 1], [13, 0, 1], [0x1c, 0x1c, 0x1c]][rng.random_range(0..4)];
                let piece = piece.repeat(rng.random_range(1..100));
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn decode_struct(bytes: &[u8]) {
    let decoder = HmsDecoder;
    let _ = decoder.catalog(bytes);
    let _ = decoder.database(bytes);
    if let Ok(table) = decoder.table(bytes) {
        // What was understood can be written and is understood again.
        let again = decoder.table(&encode_table(Some("hive"), "db", &table)).unwrap();
        assert_eq!(Table { unknown_hash: 0, ..again }, without_unknown(table));
    }
    let _ = decoder.partition(bytes);
    let _ = decoder.function(bytes);
    for kind in ConstraintKind::ALL {
        let _ = decoder.constraint(kind, bytes);
    }
    let _ = decoder.column_statistic(bytes);
    let _ = decoder.privilege(bytes);
    let _ = ApplicationException::decode(bytes);
    let _ = to_tjson(bytes);
    for wire in wires() {
        let _ = encode_message(wire, "m", MessageType::Reply, 1, bytes);
    }
}

fn without_unknown(mut table: Table) -> Table {
    table.unknown_hash = 0;
    table.storage.unknown_hash = 0;
    table
}

fn wires() -> [Wire; 4] {
    let wire = |protocol, transport| Wire { protocol, transport };
    [
        wire(Protocol::Binary, Transport::Unframed),
        wire(Protocol::Binary, Transport::Framed),
        wire(Protocol::Compact, Transport::Unframed),
        wire(Protocol::Compact, Transport::Framed),
    ]
}

fn decode_stream(rng: &mut StdRng, bytes: &[u8]) {
    let chunk_bytes = rng.random_range(1..=bytes.len().max(1));
    let decoders = wires().map(|wire| MessageDecoder::new(wire, LIMITS));
    for mut decoder in decoders.into_iter().chain([MessageDecoder::detecting(LIMITS)]) {
        'stream: for chunk in bytes.chunks(chunk_bytes) {
            decoder.feed(chunk);
            loop {
                match decoder.next() {
                    Ok(Some(message)) => {
                        let mut reader = Reader::with_limits(&message.body, LIMITS);
                        reader.skip(Kind::Struct).unwrap();
                        assert_eq!(reader.remaining(), 0);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        break 'stream;
                    }
                }
            }
        }
    }
}

fn decode_message_json(rng: &mut StdRng, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let event_type = EVENT_TYPES[rng.random_range(0..EVENT_TYPES.len())];
    for message in [text, base64::engine::general_purpose::STANDARD.encode(bytes)] {
        let event = RawEvent {
            event_type,
            message: &message,
            database: Some("db"),
            table: Some("t"),
            ..RawEvent::default()
        };
        subject(&event);
    }
}

/// Every place of every struct holds every number that lengths, enums and times go wrong with.
#[test]
fn every_number_everywhere_is_survived() {
    let wide = [i64::MIN, i64::MAX, -1, 1 << 40].map(i64::to_be_bytes);
    for body in bodies() {
        for at in 0..body.len() {
            let numbers = NUMBERS.iter().map(|number| number.to_be_bytes().to_vec());
            for number in numbers.chain(wide.iter().map(|number| number.to_vec())) {
                let mut damaged = body.clone();
                let end = (at + number.len()).min(body.len());
                damaged[at..end].copy_from_slice(&number[..end - at]);
                decode_struct(&damaged);
            }
        }
    }
}

#[test]
fn no_bytes_break_a_decoder() {
    let seconds = setting("SKEP_FUZZ_SECONDS").unwrap_or(5);
    let seed = setting("SKEP_FUZZ_SEED").unwrap_or_else(rand::random);
    println!("SKEP_FUZZ_SEED={seed} SKEP_FUZZ_SECONDS={seconds}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (bodies, jsons) = (bodies(), messages_json());
    let started = Instant::now();
    let mut count = 0u64;
    while started.elapsed() < Duration::from_secs(seconds) {
        let mut bytes = match rng.random_range(0..10) {
            0 => (0..rng.random_range(0..400)).map(|_| rng.random()).collect(),
            _ => bodies[rng.random_range(0..bodies.len())].clone(),
        };
        let mut json = jsons[rng.random_range(0..jsons.len())].clone().into_bytes();
        let wire = wires()[rng.random_range(0..4)];
        let mut stream = encode_message(wire, "get_table", MessageType::Reply, 1, &bytes)
            .map_or_else(|_| bytes.clone(), |message| message.to_vec());
        damage(&mut rng, &mut bytes);
        damage(&mut rng, &mut json);
        damage(&mut rng, &mut stream);
        decode_struct(&bytes);
        decode_stream(&mut rng, &stream);
        decode_message_json(&mut rng, &json);
        count += 1;
    }
    println!("{count} inputs of each kind");
    assert!(count > 0, "no time for a single input");
}
