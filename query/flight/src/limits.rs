//! Every bound of the door, named once.

use std::time::Duration;

/// Connections at a time; more are closed at once.
pub const CONNECTIONS_MAX: usize = 1_000;
/// Calls at a time on one connection; more wait in the client.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// Bytes of one message that arrives.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Bytes of the headers of a call.
pub const HEADER_BYTES_MAX: u32 = 64 << 10;
/// Bytes of one message of rows; one that holds a single row may be larger.
pub const BATCH_BYTES_MAX: usize = 2 << 20;
/// Bytes of a single row: clients take messages of up to 16 MiB.
pub const ROW_BYTES_MAX: usize = 15 << 20;
/// Bytes of all values of the parameters of a statement. They travel in its handle and tickets.
pub const PARAMETERS_BYTES_MAX: usize = 512 << 10;
/// Messages that the values of parameters may come in.
pub const PARAMETERS_MESSAGES_MAX: usize = 64;
/// Cancelled tickets that are remembered, so that their rows cannot be asked for later.
pub const CANCELLED_MAX: usize = 4_096;
/// Bytes of a command that asks for metadata: each of its filters and numbers takes many times its
/// own length to answer.
pub const METADATA_COMMAND_BYTES_MAX: usize = 16 << 10;
/// Bytes of an error's text as it travels in a header: Java clients take 8 KiB of headers.
pub const ERROR_BYTES_MAX: usize = 6_000;
/// How long the ticket for the answer of a call is good.
pub const ANSWER_LEASE: Duration = Duration::from_secs(24 * 3_600);
/// Between signs of life asked of a silent client, and the wait for one.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// See [`KEEPALIVE_INTERVAL`].
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time from a connection to its first bytes.
pub const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for making a connection with TLS.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between looks whether certificates have changed.
pub const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of a file of certificates or of a key.
pub const TLS_FILE_BYTES_MAX: u64 = 4 << 20;
/// Passwords that are checked or wait for it.
pub const CHECKS_WAITING_MAX: usize = 64;
/// Of these from one address.
pub const CHECKS_PER_ADDRESS_MAX: usize = 8;
/// Wrong passwords that are remembered, hashed, so that they cost nothing when they come again.
pub const WRONG_PASSWORDS_KEPT_MAX: usize = 1_024;
