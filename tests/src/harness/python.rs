//! Python clients of the SQL door.

use std::path::Path;
use std::process::Command;

use super::{machine, parts};

/// Runs `tests/python/SCRIPT` with these arguments, with ADBC's Flight SQL driver; gives the lines
/// that it printed, panics when it fails.
pub fn adbc(script: &str, arguments: &[&str]) -> Vec<String> {
    let library = parts::part("python-adbc-1.13.0", |half| {
        let advice = "ADBC comes from PyPI.";
        for requirement in ["adbc-driver-flightsql==1.13.0", "pyarrow==26.0.1"] {
            parts::pip(advice, &["install", "--target"], half, requirement);
        }
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
    let mut command = Command::new(machine::python());
    command.env("PYTHONPATH", &library).arg("-u").arg(&script).args(arguments);
    let text = parts::run(&format!("{}", script.display()), "", &mut command);
    text.lines().map(str::to_owned).collect()
}
