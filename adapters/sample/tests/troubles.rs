//! What goes wrong when a test asks for it, and that all else goes right.

#![allow(clippy::unwrap_used)]

mod wire;

use std::time::Duration;

use skep_sample::{
    Content, Garbage, Generation, SampleServer, SampleSpec, ServerOptions, Trouble, TroubleRule,
};
use wire::{Answer, Connection, serve};

fn databases(c: &mut Connection) -> Result<Answer, String> {
    c.try_call("get_all_databases", |_| ())
}

#[test]
fn every_kind_of_garbage_is_no_valid_answer() {
    let server = serve(Generation::V3_1, Content::Empty);
    for garbage in Garbage::ALL {
        server.trouble(TroubleRule::on_method("get_all_databases", Trouble::Garbage(garbage)));
        let answer = databases(&mut Connection::open(&server));
        match garbage {
            // Well-formed Thrift that only the caller can tell from what it asked for.
            Garbage::WrongType => assert_eq!(
                answer.unwrap(),
                Answer::Success(skep_hms::thrift::Kind::I32, vec![0, 0, 0, 7].into())
            ),
            Garbage::NotUtf8 => assert!(matches!(answer.unwrap(), Answer::Success(..))),
            _ => assert!(answer.is_err(), "{garbage:?}: {answer:?}"),
        }
        server.calm();
        assert_eq!(databases(&mut Connection::open(&server)).unwrap().texts(), ["default"]);
    }
}

#[test]
fn connections_break_in_the_middle() {
    let server = serve(Generation::V3_1, Content::Company);
    for trouble in [Trouble::Close, Trouble::Reset, Trouble::Hangup] {
        server.trouble(TroubleRule::always(trouble.clone()));
        let answer = databases(&mut Connection::open(&server));
        assert!(answer.is_err(), "{trouble:?}: {answer:?}");
        server.calm();
    }
}

#[test]
fn hanging_server_answers_others() {
    let server = serve(Generation::V3_1, Content::Empty);
    server.trouble(TroubleRule::on_method("get_all_databases", Trouble::Hang));
    let mut stuck = Connection::open(&server);
    stuck.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(databases(&mut stuck).is_err());
    assert_eq!(Connection::open(&server).call("getVersion", |_| ()).text(), "3.0");
}

#[test]
fn trickled_answer_is_right_in_the_end() {
    let server = serve(Generation::V3_1, Content::Empty);
    server.trouble(TroubleRule::always(Trouble::Trickle { byte_interval_ms: 1 }));
    assert_eq!(databases(&mut Connection::open(&server)).unwrap().texts(), ["default"]);
}

#[test]
fn rule_can_name_a_table_and_a_number_of_calls() {
    let server = serve(Generation::V3_1, Content::Company);
    let fail = Trouble::Fail { message: "broken".to_owned() };
    server.trouble(TroubleRule::on_argument("customers", fail).after(1).times(1));
    let mut c = Connection::open(&server);
    let mut read = |table: &str| {
        c.call("get_table", |w| {
            w.field_string(1, "sales");
            w.field_string(2, table);
        })
    };
    assert!(matches!(read("customers"), Answer::Success(..)));
    assert_eq!(read("customers"), Answer::Undeclared(6, "broken".to_owned()));
    assert!(matches!(read("customers"), Answer::Success(..)));
}

#[test]
fn stopped_server_frees_its_port_and_gives_its_data_back() {
    let spec = SampleSpec::new("dc2", Generation::V3_1, Content::Company);
    let server = SampleServer::start(&spec, ServerOptions::default()).unwrap();
    let mut c = Connection::open(&server);
    let before = databases(&mut c).unwrap().texts();
    let port = server.port();
    let metastore = server.stop().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    let options = ServerOptions { port, ..Default::default() };
    let server = SampleServer::start_with("dc2", metastore, options).unwrap();
    assert_eq!(databases(&mut Connection::open(&server)).unwrap().texts(), before);
}

#[test]
fn taken_port_is_a_clear_fault() {
    let server = serve(Generation::V3_1, Content::Empty);
    let spec = SampleSpec::new("dc2", Generation::V3_1, Content::Empty);
    let options = ServerOptions { port: server.port(), ..Default::default() };
    let fault = SampleServer::start(&spec, options).err().unwrap();
    assert_eq!(fault.code, skep_catalog::fault::Code::PORT_TAKEN);
}
