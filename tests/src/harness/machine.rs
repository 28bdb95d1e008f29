//! Finds Java, Maven and Python on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A Java runtime.
#[derive(Clone, Debug)]
pub struct Java {
    /// Its folder.
    pub home: PathBuf,
    /// 17, 25, ...
    pub version: u32,
}

impl Java {
    /// The `java` command.
    pub fn command(&self) -> Command {
        Command::new(self.home.join("bin/java"))
    }

    /// The runtime in `home`, if there is one.
    pub fn at(home: &Path) -> Option<Self> {
        let java = home.join("bin/java");
        if !java.is_file() {
            return None;
        }
        let output = Command::new(&java).args(["-XshowSettings:properties", "-version"]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let property = |key: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix('='))
                .map(|v| v.trim().to_owned())
        };
        let version = property("java.specification.version")?.trim_start_matches("1.").parse().ok()?;
        Some(Self { home: PathBuf::from(property("java.home")?), version })
    }
}

/// Every Java runtime in the usual places, once each.
pub fn javas() -> &'static [Java] {
    static FOUND: OnceLock<Vec<Java>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut homes: Vec<PathBuf> = ["JAVA25_HOME", "JAVA17_HOME", "JAVA_HOME"]
            .iter()
            .filter_map(std::env::var_os)
            .map(PathBuf::from)
            .collect();
        for parent in ["/usr/lib/jvm", "/usr/java", "/opt/java", "/Library/Java/JavaVirtualMachines"] {
            for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
                homes.push(entry.path());
                homes.push(entry.path().join("Contents/Home"));
            }
        }
        if let Some(java) = on_path("java") {
            let real = java.canonicalize().unwrap_or(java);
            homes.extend(real.parent().and_then(Path::parent).map(Path::to_path_buf));
        }
        let mut found: Vec<Java> = Vec::new();
        for java in homes.iter().filter_map(|home| Java::at(home)) {
            if !found.iter().any(|other| other.home == java.home) {
                found.push(java);
            }
        }
        found
    })
}

/// The `mvn` command.
pub fn maven() -> PathBuf {
    ["MAVEN_HOME", "M2_HOME"]
        .iter()
        .filter_map(std::env::var_os)
        .map(|home| PathBuf::from(home).join("bin/mvn"))
        .chain(on_path("mvn"))
        .chain(["/usr/share/maven/bin/mvn", "/opt/maven/bin/mvn"].map(PathBuf::from))
        .find(|path| path.is_file())
        .expect("Maven is missing: install it (Debian: apt-get install maven) or set MAVEN_HOME")
}

/// The `python3` command.
pub fn python() -> PathBuf {
    on_path("python3").expect("Python 3 is missing: install it (Debian: apt-get install python3 python3-pip)")
}

/// The first file of this name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// First line of what `command` says about its version.
pub fn version_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return "does not run".to_owned() };
    let text = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned();
    line.replace("\u{1b}[1m", "").replace("\u{1b}[m", "")
}
