//! The binary under test, run as a user runs it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use super::process::Guarded;

/// The binary beside the test executable, built when it is missing or older than its library.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its executable");
        let libraries = test.parent().expect("an executable is in a folder");
        let profile = libraries.parent().expect("test executables are in PROFILE/deps");
        let binary = profile.join("skep");
        if modified(&binary) < newest_library(libraries) {
            let name = profile.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .args(["build", "--locked", "-p", "skep", "--bin", "skep"])
                .args(["--profile", if name == "debug" { "dev" } else { name }])
                .arg("--target-dir")
                .arg(profile.parent().expect("a profile is in the target folder"));
            super::parts::run("building skep", "", &mut command);
        }
        binary
    })
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|facts| facts.modified()).ok()
}

fn newest_library(folder: &Path) -> Option<SystemTime> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libskep-") && name.ends_with(".rlib")
        })
        .filter_map(|entry| modified(&entry.path()))
        .max()
}

/// What a run of the binary came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs the binary to its end, at most `timeout`; a run that is still going then is a failure.
pub fn run(arguments: &[&str], timeout: Duration) -> Outcome {
    finish(Command::new(binary()).args(arguments), timeout)
}

fn finish(command: &mut Command, timeout: Duration) -> Outcome {
    let shown = format!("{command:?}");
    let mut process = Guarded::spawn(
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_LOG"),
    );
    let stdout = process.child().stdout.take().expect("stdout was asked for");
    let stderr = process.child().stderr.take().expect("stderr was asked for");
    let stdout = std::thread::spawn(move || text(stdout));
    let stderr = std::thread::spawn(move || text(stderr));
    let status = process.wait(timeout);
    let stdout = stdout.join().expect("the reader does not panic");
    let stderr = stderr.join().expect("the reader does not panic");
    let status = status.unwrap_or_else(|| panic!("still running after {timeout:?}: {shown}\n{stderr}"));
    Outcome { code: status.code(), stdout, stderr }
}

fn text(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a pipe can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A config file and data folder of their own.
pub struct Skep {
    folder: TempDir,
}

impl Skep {
    /// With this text as config file; `data_dir` is put before it, and behind it a door for SQL
    /// clients on a free port.
    pub fn with_config(text: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("skep-test-")
            .tempdir()
            .expect("the temporary folder can be written");
        let door = "[flight]\nlisten = \"127.0.0.1:0\"\n";
        fs::write(folder.path().join("skep.toml"), format!("data_dir = \"data\"\n{text}\n{door}"))
            .expect("the temporary folder can be written");
        Self { folder }
    }

    /// With these metastores: name and URI.
    pub fn of(metastores: &[(&str, String)]) -> Self {
        let mut text = String::new();
        for (name, uri) in metastores {
            text += &format!("[[metastore]]\nname = \"{name}\"\nuris = [\"{uri}\"]\n");
        }
        Self::with_config(&text)
    }

    /// The data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `skep VERB --config F ARGUMENTS`, not started.
    pub fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg(verb).arg("--config").arg(self.folder.path().join("skep.toml")).args(arguments);
        command
    }

    /// Runs `skep VERB --config F ARGUMENTS` to its end.
    pub fn run(&self, verb: &str, arguments: &[&str], timeout: Duration) -> Outcome {
        finish(&mut self.command(verb, arguments), timeout)
    }

    /// Mirrors everything once; panics when not all of it could be.
    pub fn sync(&self) {
        let outcome = self.run("sync", &[], Duration::from_secs(300));
        assert_eq!(outcome.code, Some(0), "skep sync: {outcome:?}");
    }

    /// Starts `skep VERB --config F` with its output in the file that [`Skep::log`] reads.
    pub fn start(&self, verb: &str) -> Guarded {
        Guarded::spawn_logged(&mut self.command(verb, &[]), &self.folder.path().join("output.log"))
    }

    /// Starts `skep serve` with these variables.
    pub fn serve_with(&self, variables: &[(&str, &str)]) -> Guarded {
        let mut command = self.command("serve", &[]);
        command.envs(variables.iter().copied());
        Guarded::spawn_logged(&mut command, &self.folder.path().join("output.log"))
    }

    /// Starts `skep serve`.
    pub fn serve(&self) -> Guarded {
        self.start("serve")
    }

    /// Where the service that was started last answers SQL clients, `grpc://HOST:PORT`.
    pub fn sql_door(&self) -> String {
        super::eventually("a door in the log", Duration::from_secs(60), || {
            let log = self.log();
            let told = log.split_whitespace().find_map(|word| word.strip_prefix("flight="));
            told.map(str::to_owned).ok_or(log)
        })
    }

    /// Waits until the service that was started last has mirrored its first metastore.
    pub fn wait_until_mirrored(&self) {
        super::eventually("the first mirror", Duration::from_secs(60), || {
            let log = self.log();
            if log.contains("mirrored, following") { Ok(()) } else { Err(log) }
        });
    }

    /// What the process started last printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("output.log")).unwrap_or_default()
    }

    /// Rows of a question to the local catalog, as JSON objects.
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        let outcome = self.run("sql", &["--output", "json", "-c", sql], Duration::from_secs(120));
        assert_eq!(outcome.code, Some(0), "{sql}: {outcome:?}");
        json_rows(&outcome.stdout)
    }
}

/// The rows of `--output json`: an array of objects, or one object per line.
pub fn json_rows(text: &str) -> Vec<Value> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"));
    }
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}")))
        .collect()
}
