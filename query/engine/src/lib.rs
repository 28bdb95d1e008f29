//! skep-query
