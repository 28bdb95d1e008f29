#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Any Thrift value.
#[derive(Clone, Debug)]
enum Value {
    Bool(bool),
    Byte(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    Double(f64),
    String(String),
    Struct(Vec<(i16, Value)>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    fn kind(&self) -> Kind {
        match self {
            Self::Bool(_) => Kind::Bool,
            Self::Byte(_) => Kind::Byte,
            Self::I16(_) => Kind::I16,
            Self::I32(_) => Kind::I32,
            Self::I64(_) => Kind::I64,
            Self::Double(_) => Kind::Double,
            Self::String(_) => Kind::String,
            Self::Struct(_) => Kind::Struct,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Bool(value) => writer.bool(*value),
            Self::Byte(value) => writer.byte(*value),
            Self::I16(value) => writer.i16(*value),
            Self::I32(value) => writer.i32(*value),
            Self::I64(value) => writer.i64(*value),
            Self::Double(value) => writer.double(*value),
            Self::String(value) => writer.string(value),
            Self::Struct(fields) => write_struct(writer, fields),
            Self::List(values) => {
                writer.list(values.first().map_or(Kind::Byte, Value::kind), values.len());
                values.iter().for_each(|value| value.write(writer));
            }
            Self::Map(pairs) => {
                let kind = pairs.first().map_or(Kind::String, |(_, value)| value.kind());
                writer.map(Kind::String, kind, pairs.len());
                for (key, value) in pairs {
                    writer.string(key);
                    value.write(writer);
                }
            }
        }
    }
}

fn write_struct(writer: &mut Writer, fields: &[(i16, Value)]) {
    for (id, value) in fields {
        writer.field(value.kind(), *id);
        value.write(writer);
    }
    writer.stop();
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::Byte),
        any::<i16>().prop_map(Value::I16),
        any::<i32>().prop_map(Value::I32),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_map(Value::Double),
        ".{0,20}".prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 60, 20, |inner| {
        prop_oneof![
            prop::collection::vec((any::<i16>(), inner.clone()), 0..6).prop_map(Value::Struct),
            // Elements of one kind: one value, repeated.
            (inner.clone(), 0..20usize).prop_map(|(value, count)| Value::List(vec![value; count])),
            (inner, prop::collection::btree_set("[a-z]{0,8}", 0..5))
                .prop_map(|(value, keys)| Value::Map(keys.into_iter().map(|k| (k, value.clone())).collect())),
        ]
    })
}

fn bodies() -> impl Strategy<Value = Bytes> {
    prop::collection::vec((any::<i16>(), values()), 0..8).prop_map(|fields| {
        let mut writer = Writer::new();
        write_struct(&mut writer, &fields);
        writer.finish()
    })
}

const WIRES: [Wire; 4] = [
    Wire { protocol: Protocol::Binary, transport: Transport::Unframed },
    Wire { protocol: Protocol::Binary, transport: Transport::Framed },
    Wire { protocol: Protocol::Compact, transport: Transport::Unframed },
    Wire { protocol: Protocol::Compact, transport: Transport::Framed },
];

use bytes::Bytes;

/// Feeds `bytes` in chunks and collects the messages.
fn decode(decoder: &mut MessageDecoder, bytes: &[u8], chunk_bytes: usize) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    for chunk in bytes.chunks(chunk_bytes) {
        decoder.feed(chunk);
        while let Some(message) = decoder.next()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

proptest! {
    #[test]
    fn messages_survive_every_wire_form_and_chunking(
        body in bodies(), wire in 0..4usize, chunk_bytes in 1..200usize, sequence_id: i32, detect: bool,
    ) {
        let wire = WIRES[wire];
        let mut bytes = encode_message(wire, "get_table", MessageType::Call, sequence_id, &body).unwrap().to_vec();
        bytes.extend_from_slice(&encode_message(wire, "second", MessageType::Reply, 7, &[0]).unwrap());
        let mut decoder = match detect {
            true => MessageDecoder::detecting(Limits::REQUEST),
            false => MessageDecoder::new(wire, Limits::REQUEST),
        };
        let messages = decode(&mut decoder, &bytes, chunk_bytes).unwrap();
        prop_assert_eq!(messages.len(), 2);
        prop_assert!(decoder.is_idle());
        prop_assert_eq!(&messages[0].name, "get_table");
        prop_assert_eq!(messages[0].sequence_id, sequence_id);
        prop_assert_eq!(messages[0].message_type, MessageType::Call);
        prop_assert_eq!(messages[0].wire, wire);
        // Compact cannot carry the kinds of empty maps; one more pass must change nothing.
        let again = encode_message(wire, "get_table", MessageType::Call, sequence_id, &messages[0].body).unwrap();
        prop_assert_eq!(&again[..], &bytes[..again.len()]);
        if wire.protocol == Protocol::Binary {
            prop_assert_eq!(&messages[0].body, &body);
        }
        prop_assert_eq!(&messages[1].name, "second");
    }

    #[test]
    fn a_body_is_passed_over_exactly(body in bodies()) {
        let mut reader = Reader::new(&body);
        reader.skip(Kind::Struct).unwrap();
        prop_assert_eq!(reader.position(), body.len());
        for end in 0..body.len() {
            prop_assert!(Reader::new(&body[..end]).skip(Kind::Struct).is_err());
        }
    }

    #[test]
    fn thrift_json_says_every_value_and_its_type(name in ".{0,20}", number: i64, double: i16, flag: bool) {
        let mut writer = Writer::new();
        writer.field_string(1, &name);
        writer.field_struct(2, |w| { w.field_i64(1, number); w.field_bool(2, flag); });
        writer.field_double(3, f64::from(double) / 4.0);
        writer.field_string_map(4, &[("a", "1"), ("b", "")]);
        writer.field_strings(5, &["x", "y"]);
        let body = writer.finish_struct();
        let json: serde_json::Value = serde_json::from_str(&to_tjson(&body).unwrap()).unwrap();
        prop_assert_eq!(json, serde_json::json!({
            "1": {"str": name},
            "2": {"rec": {"1": {"i64": number}, "2": {"tf": u8::from(flag)}}},
            "3": {"dbl": f64::from(double) / 4.0},
            "4": {"map": ["str", "str", 2, {"a": "1", "b": ""}]},
            "5": {"lst": ["str", 2, "x", "y"]},
        }));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk_bytes in 1..50usize) {
        let _ = decode(&mut MessageDecoder::detecting(Limits::REQUEST), &bytes, chunk_bytes);
        for wire in WIRES {
            let _ = decode(&mut MessageDecoder::new(wire, Limits::REQUEST), &bytes, chunk_bytes);
        }
        let _ = to_tjson(&bytes);
    }
}

/// What a decoder of the default wire form says to these bytes.
fn refusal(bytes: &[u8]) -> ThriftError {
    decode(&mut MessageDecoder::new(Wire::default(), Limits::REPLY), bytes, 64).unwrap_err()
}

fn reply(body: &[u8]) -> Vec<u8> {
    encode_message(Wire::default(), "m", MessageType::Reply, 1, body).unwrap().to_vec()
}

#[test]
fn hostile_counts_and_lengths_are_refused_with_limit_and_value() {
    for number in [i32::MAX, 1 << 30, -1, i32::MIN] {
        for kind in [Kind::List, Kind::Set, Kind::Map, Kind::String] {
            let mut body = vec![kind as u8, 0, 0];
            match kind {
                Kind::String => {}
                Kind::Map => body.extend([Kind::String as u8, Kind::String as u8]),
                _ => body.push(Kind::Struct as u8),
            }
            body.extend(number.to_be_bytes());
            let text = refusal(&reply(&body)).to_string();
            assert!(text.contains(&number.to_string()) && text.contains("at byte"), "{kind:?}: {text}");
        }
    }
}

#[test]
fn a_count_above_the_bytes_that_remain_is_refused() {
    let mut writer = Writer::new();
    writer.field_list(0, Kind::Struct, 33_554_432);
    writer.stop();
    let body = writer.finish();
    let error = Reader::new(&body).skip(Kind::Struct).unwrap_err();
    assert!(matches!(error.flaw, Flaw::TooLarge { actual: 33_554_432, limit: 1, .. }), "{error}");
}

#[test]
fn nesting_is_bounded_at_64() {
    let nested = |depth: usize| {
        let mut body = [[Kind::Struct as u8, 0, 1]].repeat(depth - 1).concat();
        body.extend(vec![0; depth]);
        body
    };
    let decoded = |wire: Wire, depth| {
        let bytes = encode_message(wire, "m", MessageType::Reply, 1, &nested(depth));
        bytes.and_then(|bytes| decode(&mut MessageDecoder::new(wire, Limits::REPLY), &bytes, 64))
    };
    for wire in WIRES {
        assert!(decoded(wire, 64).is_ok(), "{wire:?}");
        let error = decoded(wire, 66).unwrap_err();
        assert!(error.to_string().contains("nesting depth"), "{wire:?} {error}");
    }
}

#[test]
fn what_speaks_another_language_is_named() {
    assert!(refusal(b"HTTP/1.1 400 Bad Request\r\n").to_string().contains("HTTP"));
    assert!(refusal(&[0x15, 3, 1, 0, 2]).to_string().contains("TLS"));
    let framed = encode_message(WIRES[1], "m", MessageType::Reply, 1, &[0]).unwrap();
    assert!(refusal(&framed).to_string().contains("framed"));
    let compact = encode_message(WIRES[2], "m", MessageType::Reply, 1, &[0]).unwrap();
    assert!(refusal(&compact).to_string().contains("compact"));
    let plain = reply(&[0]);
    let framed = decode(&mut MessageDecoder::new(WIRES[1], Limits::REPLY), &plain, 64).unwrap_err();
    assert!(framed.to_string().contains("framed"));
}

#[test]
fn an_endless_struct_ends_at_the_message_limit() {
    let limits = Limits { message_bytes_max: 1 << 20, ..Limits::REPLY };
    for wire in WIRES {
        let mut decoder = MessageDecoder::new(wire, limits);
        let mut start = encode_message(wire, "m", MessageType::Reply, 1, &[0]).unwrap().to_vec();
        start.pop();
        if wire.transport == Transport::Framed {
            start[..4].copy_from_slice(&(1u32 << 20).to_be_bytes());
        }
        decoder.feed(&start);
        let field: &[u8] = match wire.protocol {
            Protocol::Binary => &[Kind::Bool as u8, 0, 1, 1],
            Protocol::Compact => &[0x11],
        };
        let chunk = field.repeat(4096);
        let error = (0..1 << 12).find_map(|_| {
            decoder.feed(&chunk);
            decoder.next().err()
        });
        // A frame says where it ends: there the struct is cut off.
        let expected = if wire == WIRES[1] { "bytes needed" } else { "limit is 1048576" };
        let text = error.unwrap().to_string();
        assert!(text.contains(expected), "{wire:?}: {text}");
        // The last call made room for one more chunk.
        assert!(decoder.buffer().capacity() <= (1 << 20) + (256 << 10));
    }
}

#[test]
fn the_buffer_of_a_large_message_grows_to_its_limit_and_no_further() {
    let limits = Limits { message_bytes_max: 40 << 20, string_bytes_max: 40 << 20, ..Limits::REPLY };
    let mut decoder = MessageDecoder::new(Wire::default(), limits);
    let mut start = encode_message(Wire::default(), "m", MessageType::Reply, 1, &[0]).unwrap().to_vec();
    start.pop();
    start.extend([&[Kind::String as u8, 0, 0][..], &(39_u32 << 20).to_be_bytes()].concat());
    decoder.feed(&start);
    let chunk = vec![b'x'; 64 << 10];
    let mut capacities = Vec::new();
    while decoder.held_bytes() < 39 << 20 {
        assert_eq!(decoder.next(), Ok(None));
        decoder.feed(&chunk);
        let capacity = decoder.buffer().capacity();
        if capacities.last() != Some(&capacity) {
            capacities.push(capacity);
        }
    }
    // It doubles while it is small; then it has room for all, so that it is never copied again.
    assert_eq!(capacities.pop(), Some((40 << 20) + (64 << 10)), "{capacities:?}");
    assert!(capacities.iter().all(|capacity| *capacity <= LARGE_BYTES), "{capacities:?}");
}

#[test]
fn text_that_is_not_utf8_is_refused_where_it_is_read() {
    let mut writer = Writer::new();
    writer.field_binary(1, &[b'a', 0xff]);
    let body = writer.finish_struct();
    let mut reader = Reader::new(&body);
    reader.field().unwrap();
    assert_eq!(reader.string(), Err(ThriftError { offset: 8, flaw: Flaw::NotUtf8 }));
}

#[test]
fn a_large_reply_in_small_chunks_is_looked_at_once() {
    // 2 million steps in chunks of 16 bytes: scanning again from the start on every chunk would
    // take hours.
    let mut writer = Writer::new();
    writer.field_list(0, Kind::String, 1 << 21);
    (0..1 << 21).for_each(|_| writer.string("abcdefgh"));
    let bytes = reply(&writer.finish_struct());
    let messages = decode(&mut MessageDecoder::new(Wire::default(), Limits::REPLY), &bytes, 16).unwrap();
    assert_eq!(messages.len(), 1);
}

#[test]
fn application_exceptions_round_trip() {
    let exception = ApplicationException::new(ExceptionKind::UnknownMethod, "Invalid method name: 'x'");
    assert_eq!(ApplicationException::decode(&exception.encode()).unwrap(), exception);
}
