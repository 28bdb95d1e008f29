//! Serves a sample metastore until it is killed, to point other clients at it:
//! `cargo run -p skep-sample --example serve -- 4.2 9083` (generation, port; 0 takes a free one).

use skep_sample::{Content, Generation, SampleServer, SampleSpec, ServerOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_else(|| "3.1".to_owned());
    let port = arguments.next().unwrap_or_else(|| "0".to_owned()).parse()?;
    let generation = Generation::ALL
        .into_iter()
        .find(|generation| generation.release().starts_with(&wanted))
        .ok_or("generations are 2.3, 3.1, 4.0 and 4.2")?;
    let name = if generation == Generation::V2_3 { "dc1" } else { "lake" };
    let spec = SampleSpec::new(name, generation, Content::Company);
    let server = SampleServer::start(&spec, ServerOptions { port, ..Default::default() })?;
    let counts = server.with(|metastore| metastore.object_counts());
    println!("{} plays Hive {}: {counts:?}", server.uri(), generation.release());
    loop {
        std::thread::park();
    }
}
