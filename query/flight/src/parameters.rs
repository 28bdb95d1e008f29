//! Values bound to a prepared statement: they arrive as batches and travel on in its handle.

use std::panic::AssertUnwindSafe;

use arrow::array::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::root_as_message_with_opts;
use arrow_ipc::writer::StreamWriter;
use flatbuffers::VerifierOptions;
use futures::{FutureExt, StreamExt, TryStreamExt};
use skep_catalog::fault::{Code, Fault};
use skep_query::PARAMETERS_MAX;
use tonic::Status;

use crate::limits::{PARAMETERS_BYTES_MAX, PARAMETERS_MESSAGES_MAX};
use crate::status::{from_protocol, status, unreadable};

fn refused(why: impl Into<String>) -> Fault {
    Fault::new(Code::SQL_INVALID, "parameters cannot be bound", why)
}

/// Reads the values that a client sends, as they are kept in a handle; empty when it sends none.
pub async fn receive(stream: PeekableFlightDataStream) -> Result<Vec<u8>, Status> {
    let mut bytes = 0;
    let mut messages = 0;
    // The command of an update may come in a message of its own, without values.
    let stream = stream.filter(|message| {
        let is_empty = |message: &FlightData| message.data_header.is_empty() && message.data_body.is_empty();
        std::future::ready(!message.as_ref().is_ok_and(is_empty))
    });
    let bounded = stream.map(move |message| -> Result<FlightData, FlightError> {
        let message = message.map_err(from_protocol)?;
        messages += 1;
        bytes += message.data_header.len() + message.data_body.len();
        check(&message, messages, bytes).map_err(status)?;
        Ok(message)
    });
    let batches = FlightRecordBatchStream::new_from_flight_data(bounded);
    // What arrives is anything: the decoder may panic on it.
    let batches = AssertUnwindSafe(batches.try_collect::<Vec<RecordBatch>>()).catch_unwind().await;
    let batches = match batches {
        Ok(Ok(batches)) => batches,
        Ok(Err(FlightError::Tonic(error))) => return Err(*error),
        Ok(Err(error)) => return Err(status(unreadable("values of parameters", &error.to_string()))),
        Err(_) => return Err(status(unreadable("values of parameters", "they are no Arrow batches"))),
    };
    keep(&batches).map_err(status)
}

fn check(message: &FlightData, messages: usize, bytes: usize) -> Result<(), Fault> {
    if PARAMETERS_BYTES_MAX < bytes {
        return Err(refused(format!("they have more than {PARAMETERS_BYTES_MAX} bytes")));
    }
    if PARAMETERS_MESSAGES_MAX < messages {
        return Err(refused(format!("they come in more than {PARAMETERS_MESSAGES_MAX} messages")));
    }
    if message.data_header.is_empty() {
        return Ok(());
    }
    // Parts of a header may be named many times: it counts as what it unfolds to.
    let bounds = VerifierOptions {
        max_tables: 8 * PARAMETERS_MAX,
        max_apparent_size: 2 * PARAMETERS_BYTES_MAX,
        ..VerifierOptions::default()
    };
    let head = root_as_message_with_opts(&bounds, &message.data_header)
        .map_err(|e| unreadable("values of parameters", &e.to_string()))?;
    // So may the bytes of a body.
    if let Some(batch) = head.header_as_record_batch() {
        let lengths = batch.buffers().into_iter().flatten().map(|buffer| buffer.length());
        let named: i128 = lengths.map(i128::from).sum();
        if PARAMETERS_BYTES_MAX as i128 <= named {
            return Err(refused(format!("they have more than {PARAMETERS_BYTES_MAX} bytes")));
        }
    }
    // What a few bytes unpack to has no bound.
    let is_packed = head.header_as_record_batch().is_some_and(|batch| batch.compression().is_some())
        || head.header_as_dictionary_batch().is_some();
    if is_packed {
        return Err(refused("they are compressed or in a dictionary").with_fix("Send them as plain batches."));
    }
    Ok(())
}

fn keep(batches: &[RecordBatch]) -> Result<Vec<u8>, Fault> {
    let mut filled = batches.iter().filter(|batch| 0 < batch.num_rows());
    let Some(batch) = filled.next() else { return Ok(Vec::new()) };
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if 1 < rows {
        return Err(refused(format!("there are {rows} rows of them, a query is run once"))
            .with_fix("Bind one row of values for each execution."));
    }
    let failed = |e: arrow::error::ArrowError| refused(e.to_string());
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// The values in a handle, whose signature was checked: a row without columns when there are none.
///
/// Errors: `INTERNAL`.
pub fn kept(bytes: &[u8]) -> Result<RecordBatch, Fault> {
    if bytes.is_empty() {
        return Ok(RecordBatch::new_empty(arrow::datatypes::Schema::empty().into()));
    }
    let failed = |why: String| Fault::internal("parameters of a handle", why);
    let mut reader = StreamReader::try_new(bytes, None).map_err(|e| failed(e.to_string()))?;
    let batch = reader.next().ok_or_else(|| failed("there are none".to_owned()))?;
    batch.map_err(|e| failed(e.to_string()))
}
