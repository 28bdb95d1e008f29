//! See `skep help`.

/// A mirror decodes millions of small texts, freed on other threads than those that made them:
/// the C library's allocator takes a third of the processor time then.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    skep::cli::run()
}
