//! See `skep help`.

fn main() -> std::process::ExitCode {
    skep::cli::run()
}
