//! Child processes that never outlive the test, not even one that is killed.

use std::fs::File;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A child process that is killed when this value is dropped, and when the test process dies:
/// a shell beside it waits for the end of its input, which comes with the end of this process.
pub struct Guarded {
    child: Child,
    watchdog: Child,
    _lifeline: ChildStdin,
}

impl Guarded {
    /// Starts `command` as it is configured.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let mut watchdog = Command::new("sh")
            .args(["-c", "cat >/dev/null; kill -9 $0", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh is on every machine that can run the tests");
        let lifeline = watchdog.stdin.take().expect("stdin was asked for");
        Self { child, watchdog, _lifeline: lifeline }
    }

    /// Starts `command` with both outputs in a file.
    pub fn spawn_logged(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).unwrap_or_else(|e| panic!("cannot write {}: {e}", log.display()));
        let other = file.try_clone().expect("a file handle can be duplicated");
        Self::spawn(command.stdin(Stdio::null()).stdout(file).stderr(other))
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Most resident memory so far in bytes (Linux), 0 when it ended.
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.id()).expect("process ids are small"))
            .expect("a child's process id is positive");
        // An error means that it ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) -> ExitStatus {
        // An error means that it ended already.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for")
    }

    /// Waits at most `timeout`, then kills; `None` when it had to be killed.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        while begin.elapsed() < timeout {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        None
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
        // The shell goes before its input ends, so that it never kills a reused process id.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}
