//! `runtime.procedures`, `runtime.procedure_parameters`, `runtime.jobs`, `runtime.audit_log`, `docs.procedures`.

use std::sync::Arc;

use skep_catalog::fault::Fault;

use crate::chunk::{Chunk, Tests};
use crate::pinned::Pinned;
use crate::procedures::spec::{PROCEDURES, ProcedureSpec, SCHEMA};
use crate::rows::{Rows, Value};
use crate::spec::TableSpec;

pub fn procedures(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for procedure in PROCEDURES {
            rows.push(&[
                SCHEMA.into(),
                procedure.name.into(),
                procedure.comment.into(),
                true.into(),
                procedure.role.as_str().into(),
            ]);
        }
        rows.finish()
    })
}

pub fn procedure_parameters(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for procedure in PROCEDURES {
            for (place, argument) in procedure.all_arguments().enumerate() {
                rows.push(&[
                    SCHEMA.into(),
                    procedure.name.into(),
                    argument.name.into(),
                    (place + 1).into(),
                    argument.kind.sql_name().into(),
                    argument.is_required.into(),
                    argument.default.into(),
                    argument.comment.into(),
                ]);
            }
        }
        rows.finish()
    })
}

pub fn documented(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for procedure in PROCEDURES {
            rows.push(&[
                SCHEMA.into(),
                procedure.name.into(),
                procedure.comment.into(),
                procedure.role.as_str().into(),
                Value::OwnedList(arguments(procedure)),
                procedure.example.into(),
            ]);
        }
        rows.finish()
    })
}

fn arguments(procedure: &ProcedureSpec) -> Vec<String> {
    let argument = |argument: &crate::procedures::spec::ArgumentSpec| {
        let typed = format!("{} {}", argument.name, argument.kind.sql_name());
        if argument.is_required { typed } else { format!("[{typed}]") }
    };
    procedure.all_arguments().map(argument).collect()
}

pub fn audit_log(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        if let Some(procedures) = pinned.shared.procedures.get() {
            let is_seen = |principal: &str| pinned.sees_calls_of(principal);
            crate::procedures::audit_log(&mut rows, &procedures.control.state(), is_seen);
        }
        rows.finish()
    })
}

pub fn jobs(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        let jobs = pinned.shared.jobs.all().into_iter();
        for job in jobs.filter(|job| pinned.sees_calls_of(&job.call.request.principal)) {
            let (finished_at, result) = job.end.as_ref().map(|(at, result)| (*at, result)).unzip();
            let message = result.and_then(|result| result.as_ref().ok());
            let fault = result.and_then(|result| result.as_ref().err());
            rows.push(&[
                (&job.call.request.call_id).into(),
                (&job.call.request.procedure_name).into(),
                job.call.touched.first().map(|object| &object.object_name).into(),
                job.state().into(),
                job.started_at.into(),
                finished_at.into(),
                message.into(),
                fault.map(|fault| fault.code.as_str()).into(),
                fault.map(Fault::message).into(),
            ]);
        }
        rows.finish()
    })
}
