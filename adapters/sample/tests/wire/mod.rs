//! A client of the plainest kind: one blocking connection, one call after the other.

#![allow(clippy::unwrap_used, dead_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use skep_hms::thrift::{
    ApplicationException, Kind, Limits, Message, MessageDecoder, MessageType, Reader, Wire, Writer,
    encode_message,
};
use skep_sample::{Content, Generation, SampleServer, SampleSpec, ServerOptions};

/// What came back.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Field 0 of the result: its kind and bytes.
    Success(Kind, Bytes),
    /// A void method succeeded.
    Void,
    /// A declared exception: field id and message.
    Declared(i16, String),
    /// A TApplicationException: number and message.
    Undeclared(i32, String),
}

impl Answer {
    pub fn success(self) -> Bytes {
        match self {
            Self::Success(_, value) => value,
            other => panic!("no success: {other:?}"),
        }
    }

    pub fn texts(self) -> Vec<String> {
        let value = self.success();
        let mut reader = Reader::new(&value);
        let count = reader.list_of(Kind::String).unwrap();
        (0..count).map(|_| reader.string().unwrap().to_owned()).collect()
    }

    pub fn text(self) -> String {
        let value = self.success();
        Reader::new(&value).string().unwrap().to_owned()
    }

    pub fn structs(self) -> Vec<Bytes> {
        structs(&self.success())
    }

    pub fn void(self) {
        assert_eq!(self, Self::Void);
    }
}

pub fn structs(value: &[u8]) -> Vec<Bytes> {
    let mut reader = Reader::new(value);
    let count = reader.list_of(Kind::Struct).unwrap();
    (0..count).map(|_| Bytes::copy_from_slice(reader.slice(Kind::Struct).unwrap())).collect()
}

/// The bytes of a field of a struct.
pub fn field(body: &[u8], wanted: i16) -> Option<Bytes> {
    let mut reader = Reader::new(body);
    while let Some((kind, id)) = reader.field().unwrap() {
        let value = reader.slice(kind).unwrap();
        if id == wanted {
            return Some(Bytes::copy_from_slice(value));
        }
    }
    None
}

pub fn text_field(body: &[u8], id: i16) -> Option<String> {
    field(body, id).map(|value| Reader::new(&value).string().unwrap().to_owned())
}

pub fn i64_field(body: &[u8], id: i16) -> i64 {
    Reader::new(&field(body, id).unwrap()).i64().unwrap()
}

pub struct Connection {
    stream: TcpStream,
    decoder: MessageDecoder,
    wire: Wire,
    sequence_id: i32,
}

impl Connection {
    pub fn open(server: &SampleServer) -> Self {
        Self::open_as(server, Wire::default())
    }

    pub fn open_as(server: &SampleServer, wire: Wire) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let decoder = MessageDecoder::new(wire, Limits::REPLY);
        Self { stream, decoder, wire, sequence_id: 0 }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send(&mut self, method: &str, args: impl FnOnce(&mut Writer)) {
        let mut w = Writer::new();
        args(&mut w);
        self.sequence_id += 1;
        let body = w.finish_struct();
        let bytes = encode_message(self.wire, method, MessageType::Call, self.sequence_id, &body).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next message, or why there is none.
    pub fn receive(&mut self) -> Result<Message, String> {
        loop {
            if let Some(message) = self.decoder.next().map_err(|e| e.to_string())? {
                return Ok(message);
            }
            let mut chunk = vec![0; 64 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("closed".to_owned()),
                Ok(count) => self.decoder.feed(&chunk[..count]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    pub fn try_call(&mut self, method: &str, args: impl FnOnce(&mut Writer)) -> Result<Answer, String> {
        self.send(method, args);
        let message = self.receive()?;
        if message.name != method {
            return Err(format!("answer to {}", message.name));
        }
        if message.sequence_id != self.sequence_id {
            return Err(format!("sequence id {}", message.sequence_id));
        }
        if message.message_type == MessageType::Exception {
            let exception = ApplicationException::decode(&message.body).map_err(|e| e.to_string())?;
            return Ok(Answer::Undeclared(exception.kind.as_i32(), exception.message));
        }
        let mut reader = Reader::new(&message.body);
        Ok(match reader.field().unwrap() {
            None => Answer::Void,
            Some((kind, 0)) => Answer::Success(kind, Bytes::copy_from_slice(reader.slice(kind).unwrap())),
            Some((_, id)) => {
                let body = reader.slice(Kind::Struct).unwrap();
                Answer::Declared(id, text_field(body, 1).unwrap())
            }
        })
    }

    pub fn call(&mut self, method: &str, args: impl FnOnce(&mut Writer)) -> Answer {
        self.try_call(method, args).unwrap()
    }
}

pub fn serve(generation: Generation, content: Content) -> SampleServer {
    SampleServer::start(&SampleSpec::new("dc2", generation, content), ServerOptions::default()).unwrap()
}
