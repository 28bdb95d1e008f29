//! What the service is doing, as those see it who watch it.

use std::sync::Arc;

use parking_lot::Mutex;
use skep_catalog::change::FollowState;
use skep_query::Engine;

/// What the service is doing.
#[derive(Clone, Default)]
pub enum Phase {
    /// It opens its catalog: nothing is answered yet.
    #[default]
    Starting,
    /// Every door is open.
    Serving(Arc<Engine>),
    /// It was told to end.
    Ending,
}

/// The phase of a service, shared by the service and the door.
#[derive(Clone, Default)]
pub struct Watched(Arc<Mutex<Phase>>);

impl Watched {
    /// From now on it is this one. The engine of the one before is let go.
    pub fn enter(&self, phase: Phase) {
        *self.0.lock() = phase;
    }

    /// What it is.
    pub fn phase(&self) -> Phase {
        self.0.lock().clone()
    }

    /// What the service waits for before it is ready; nothing when it is.
    ///
    /// Ready is: every door is open, and every metastore has been mirrored once, or is known not to
    /// be because something is wrong or it is paused.
    pub fn waits_for(&self) -> Vec<String> {
        match self.phase() {
            Phase::Starting => vec!["the catalog is being opened".to_owned()],
            Phase::Serving(engine) => first_mirrors(&engine),
            Phase::Ending => vec!["the service is ending".to_owned()],
        }
    }
}

fn first_mirrors(engine: &Engine) -> Vec<String> {
    let catalog = engine.catalog();
    let snapshot = catalog.snapshot();
    let missing = snapshot.metastores.iter().filter(|metastore| {
        let state = catalog.status(metastore.id).state;
        metastore.mirrored_at.is_none() && !matches!(state, FollowState::Error | FollowState::Paused)
    });
    missing.map(|metastore| format!("metastore {} is being mirrored", metastore.name)).collect()
}
