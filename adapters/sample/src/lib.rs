//! skep-sample
