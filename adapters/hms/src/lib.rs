//! skep-hms
