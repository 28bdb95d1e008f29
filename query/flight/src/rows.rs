//! Batches as messages: the schema first, then rows in messages of bounded size, never an empty
//! one.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use futures::{Stream, StreamExt, stream};
use skep_catalog::fault::{Code, Fault};
use tonic::Status;

use crate::limits::{BATCH_BYTES_MAX, ROW_BYTES_MAX};
use crate::status::status;

/// Messages of rows.
pub type Rows = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// The schema, and the batches, which have it.
pub fn messages(
    schema: &SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, Fault>> + Send + 'static,
) -> Rows {
    let head = FlightData::from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    let state = (Box::pin(batches), Encoder::default());
    let body = stream::try_unfold(state, |(mut batches, mut encoder)| async move {
        loop {
            if let Some(message) = encoder.next()? {
                return Ok::<_, Fault>(Some((message, (batches, encoder))));
            }
            match batches.next().await {
                Some(batch) => encoder.batch = Some(batch?).filter(|batch| 0 < batch.num_rows()),
                None => return Ok(None),
            }
        }
    });
    Box::pin(stream::once(async { Ok(head) }).chain(body.map(|message| message.map_err(status))))
}

/// Encodes one batch after the other.
#[derive(Default)]
struct Encoder {
    context: IpcWriteContext,
    /// Rows that are still to be encoded.
    batch: Option<RecordBatch>,
    /// Rows that fit a message, as far as is known from the last one.
    rows: Option<usize>,
}

impl Encoder {
    /// The next message of the batch.
    fn next(&mut self) -> Result<Option<FlightData>, Fault> {
        let Some(batch) = self.batch.take() else { return Ok(None) };
        let mut rows = self.rows.unwrap_or(usize::MAX).clamp(1, batch.num_rows());
        loop {
            let message = self.encode(&batch.slice(0, rows))?;
            let bytes = message.data_header.len() + message.data_body.len();
            let fitting = rows.saturating_mul(BATCH_BYTES_MAX) / bytes.max(1);
            // Rows differ: a little room makes a second try rare.
            let fitting = fitting - fitting / 8;
            if bytes <= BATCH_BYTES_MAX || rows == 1 {
                if ROW_BYTES_MAX < bytes {
                    return Err(row_too_large(bytes));
                }
                self.rows = Some(fitting.max(1));
                self.batch = Some(batch.slice(rows, batch.num_rows() - rows)).filter(|b| 0 < b.num_rows());
                return Ok(Some(message));
            }
            rows = fitting.clamp(1, rows / 2);
        }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<FlightData, Fault> {
        let failed = |e: arrow::error::ArrowError| Fault::internal("rows cannot be sent", e.to_string());
        let mut dictionaries = DictionaryTracker::new(false);
        let (_, encoded) = IpcDataGenerator::default()
            .encode(batch, &mut dictionaries, &IpcWriteOptions::default(), &mut self.context)
            .map_err(failed)?;
        Ok(encoded.into())
    }
}

fn row_too_large(bytes: usize) -> Fault {
    let why = format!("one row of it has {bytes} bytes, more than {ROW_BYTES_MAX}");
    Fault::new(Code::SQL_FAILED, "rows cannot be sent", why)
        .with_fix("Select fewer columns of long text, or cut them with left(column, 1000).")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use arrow_flight::decode::FlightRecordBatchStream;
    use futures::TryStreamExt;

    use super::*;

    async fn sent(batches: Vec<RecordBatch>) -> (Vec<FlightData>, Vec<RecordBatch>) {
        let schema = batches[0].schema();
        let messages: Vec<FlightData> =
            messages(&schema, stream::iter(batches.into_iter().map(Ok))).try_collect().await.unwrap();
        let again = stream::iter(messages.clone().into_iter().map(Ok));
        let read = FlightRecordBatchStream::new_from_flight_data(again).try_collect().await.unwrap();
        (messages, read)
    }

    fn texts(lengths: impl IntoIterator<Item = usize>) -> RecordBatch {
        let texts: Vec<String> = lengths.into_iter().map(|length| "x".repeat(length)).collect();
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64));
        let lists = (0..texts.len()).map(|i| Some(vec![Some(i as i64); 3]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        RecordBatch::try_from_iter([("n", numbers), ("t", texts), ("l", lists)]).unwrap()
    }

    #[tokio::test]
    async fn large_batches_become_messages_within_the_limit() {
        // Rows of very different lengths, so that a guess from the last ones is wrong.
        let batch = texts((0..8_192).map(|i| if i % 1_000 == 999 { 300_000 } else { i % 700 }));
        let (messages, read) = sent(vec![batch.clone(), batch.clone()]).await;
        let largest = messages.iter().map(|m| m.data_header.len() + m.data_body.len()).max().unwrap();
        assert!(largest <= BATCH_BYTES_MAX, "{largest}");
        assert!(messages.len() < 30, "{}", messages.len());
        let all = arrow::compute::concat_batches(&batch.schema(), &read).unwrap();
        assert_eq!(all.slice(0, 8_192), batch);
        assert_eq!(all.slice(8_192, 8_192), batch);
    }

    #[tokio::test]
    async fn a_row_larger_than_a_message_is_sent_alone_and_one_that_no_client_reads_is_refused() {
        let (messages, _) = sent(vec![texts([10, BATCH_BYTES_MAX + 10, 10])]).await;
        assert_eq!(messages.len(), 4);
        let batch = texts([10, ROW_BYTES_MAX + 10, 10]);
        let ended: Vec<_> = super::messages(&batch.schema(), stream::iter([Ok(batch)])).collect().await;
        let error = ended.last().unwrap().as_ref().unwrap_err();
        assert!(error.message().starts_with("SQL_FAILED: rows cannot be sent"), "{error}");
    }

    #[tokio::test]
    async fn an_empty_result_is_its_schema_alone() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, false)]));
        let (messages, read) = sent(vec![RecordBatch::new_empty(schema)]).await;
        assert_eq!((messages.len(), read.len()), (1, 0));
    }

    #[tokio::test]
    async fn rows_without_columns_are_counted() {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(3));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        let (_, read) = sent(vec![batch]).await;
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    }
}
