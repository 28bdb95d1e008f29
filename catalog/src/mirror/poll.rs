//! Following a metastore that keeps no notification log: names are listed again and again.

use std::sync::Arc;

use super::pass::{Pass, Scope};
use super::session::Session;
use super::writer;
use crate::fault::Fault;

/// Lists all names, drops what is gone and reads what is new. What is there but changed is found
/// by the next complete pass, whose age is the lag.
pub(super) async fn look(session: &Arc<Session>) -> Result<(), Fault> {
    // Alone: what a complete pass read before a table was dropped must not be applied after.
    let _gate = session.exclusive().await;
    let (parcels, writer) = writer::start(session.clone(), true);
    let pass = Pass::new(session.clone(), parcels, true);
    let read = async {
        let fresh = pass.names(Scope::New).await?;
        if fresh.is_empty() { Ok(()) } else { pass.details(Some(&fresh)).await }
    };
    let read = read.await;
    let own_errors = pass.own_errors();
    drop(pass);
    // What the store says explains why the pass could not go on, not the other way round.
    if let Err(fault) = writer.await.and(read) {
        session.recall();
        return Err(fault);
    }
    if !own_errors.is_empty() {
        session.apply(session.now(), own_errors).await?;
    }
    Ok(())
}
