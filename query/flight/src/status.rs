//! Faults as gRPC tells them.

use skep_catalog::fault::{Blame, Code, Fault};
use tonic::metadata::MetadataMap;
use tonic::{Code as GrpcCode, Status};

use crate::limits::ERROR_BYTES_MAX;

/// Header with the stable code of the fault.
pub const CODE_HEADER: &str = "skep-code";

/// The status that a fault is: its whole text, and its code in a header of its own.
pub fn status(fault: Fault) -> Status {
    let mut headers = MetadataMap::new();
    if let Ok(value) = fault.code.as_str().parse() {
        headers.insert(CODE_HEADER, value);
    }
    let code = grpc_code(fault.code);
    Status::with_metadata(code, text(fault), headers)
}

/// Cut in the middle when it is too long: the advice comes last.
fn text(mut fault: Fault) -> String {
    if ERROR_BYTES_MAX < bytes_on_the_wire(&fault.to_string()) {
        fault.why = cut(&fault.why, ERROR_BYTES_MAX / 2) + " ...";
    }
    cut(&fault.to_string(), ERROR_BYTES_MAX)
}

/// As much of a text as takes at most so many bytes in a header.
fn cut(text: &str, bytes_max: usize) -> String {
    let mut bytes = 0;
    let fits = |c: &char| {
        bytes += header_bytes(*c);
        bytes <= bytes_max
    };
    text.chars().take_while(fits).collect()
}

fn bytes_on_the_wire(text: &str) -> usize {
    text.chars().map(header_bytes).sum()
}

/// A character in a header: all but plain ones are percent-encoded, byte by byte.
fn header_bytes(c: char) -> usize {
    if c.is_ascii_alphanumeric() || "-._~/:,;()=+*'".contains(c) { 1 } else { 3 * c.len_utf8() }
}

fn grpc_code(code: Code) -> GrpcCode {
    match code {
        Code::SQL_TIMEOUT => GrpcCode::DeadlineExceeded,
        Code::SQL_CANCELLED => GrpcCode::Cancelled,
        Code::SQL_MEMORY | Code::SQL_TOO_MANY_ROWS | Code::SQL_BUSY | Code::STORE_FULL | Code::LOGIN_BUSY => {
            GrpcCode::ResourceExhausted
        }
        // Asked again, the same statement goes through.
        Code::SNAPSHOT_GONE | Code::CALL_CONFLICT => GrpcCode::Aborted,
        Code::CALL_NOT_ALLOWED => GrpcCode::PermissionDenied,
        Code::CALL_NOT_HERE => GrpcCode::FailedPrecondition,
        Code::NOT_SUPPORTED => GrpcCode::Unimplemented,
        Code::STORE_DAMAGED => GrpcCode::DataLoss,
        Code::METASTORE_UNKNOWN => GrpcCode::NotFound,
        Code::UNAUTHENTICATED => GrpcCode::Unauthenticated,
        other => match other.blame() {
            Blame::Caller => GrpcCode::InvalidArgument,
            Blame::Metastore | Blame::Machine => GrpcCode::Unavailable,
            Blame::Skep => GrpcCode::Internal,
        },
    }
}

/// A status that the protocol's own code made, which does not know of faults: what it could not
/// read is the caller's mistake.
pub fn from_protocol(status: Status) -> Status {
    if status.metadata().contains_key(CODE_HEADER) {
        return status;
    }
    match status.code() {
        GrpcCode::Internal | GrpcCode::InvalidArgument => self::status(unreadable("call", status.message())),
        GrpcCode::Unimplemented => self::status(not_supported(status.message())),
        _ => status,
    }
}

/// A request that cannot be read.
pub fn unreadable(what: &str, why: &str) -> Fault {
    Fault::new(Code::REQUEST_INVALID, format!("{what} cannot be read"), why)
}

/// A request for something that skep does not have.
pub fn not_supported(what: &str) -> Fault {
    Fault::new(Code::NOT_SUPPORTED, "call refused", format!("there is no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bugs_of_skep_are_internal_errors() {
        for code in Code::ALL {
            let is_internal = grpc_code(*code) == GrpcCode::Internal;
            assert_eq!(is_internal, code.blame() == Blame::Skep, "{}", code.as_str());
        }
    }

    #[test]
    fn a_text_that_is_too_long_keeps_its_begin_and_its_advice() {
        for sign in ["ü", "x", " ", "語", "\u{1f41d}"] {
            let fault = Fault::new(Code::SQL_SYNTAX, "statement", format!("ü{}", sign.repeat(100_000)));
            let status = status(fault.with_fix("Do this."));
            assert!(status.message().starts_with("SQL_SYNTAX: statement: ü"), "{sign}");
            assert!(status.message().ends_with("Fix: Do this."), "{sign}");
            let headers = status.into_http::<()>().into_parts().0.headers;
            let bytes = headers["grpc-message"].len();
            assert!((1_000..=ERROR_BYTES_MAX).contains(&bytes), "{sign}: {bytes}");
            assert_eq!(headers[CODE_HEADER], "SQL_SYNTAX");
        }
        let fault = Fault::new(Code::SQL_SYNTAX, "ü".repeat(100_000), "");
        assert!(bytes_on_the_wire(status(fault).message()) <= ERROR_BYTES_MAX);
    }
}
