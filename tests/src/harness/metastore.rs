//! Starts and stops real Hive Metastores, each on a database and a port of its own.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::clients::{Ddl, Dumped};
use super::parts;
use super::process::Guarded;

/// The releases that the scenarios run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Hive 2.3.10: no catalogs.
    V2_3_10,
    /// Hive 3.1.3: catalogs, all constraint kinds.
    V3_1_3,
    /// Hive 4.0.1: no notification listener is published for it.
    V4_0_1,
    /// Hive 4.2.0: requests as structs, compressed events.
    V4_2_0,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2_3_10 => "2.3.10",
            Self::V3_1_3 => "3.1.3",
            Self::V4_0_1 => "4.0.1",
            Self::V4_2_0 => "4.2.0",
        })
    }
}

/// How a metastore is started.
#[derive(Clone, Debug)]
pub struct MetastoreOptions {
    /// Whether it keeps a notification log.
    pub is_listening: bool,
    /// Properties added to its configuration.
    pub properties: Vec<(&'static str, String)>,
}

impl Default for MetastoreOptions {
    fn default() -> Self {
        Self { is_listening: true, properties: Vec::new() }
    }
}

/// A running metastore, stopped and removed when dropped.
pub struct Metastore {
    /// Its release.
    pub release: Release,
    port: u16,
    folder: TempDir,
    options: MetastoreOptions,
    process: Option<Guarded>,
}

impl Metastore {
    /// Starts an empty one with a notification log.
    pub fn start(release: Release) -> Self {
        Self::start_with(release, MetastoreOptions::default())
    }

    /// Starts an empty one.
    pub fn start_with(release: Release, options: MetastoreOptions) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("skep-metastore-")
            .tempdir()
            .expect("the temporary folder can be written");
        parts::copy_folder(&parts::schema(release), &folder.path().join("derby"));
        let mut metastore = Self { release, port: free_port(), folder, options, process: None };
        metastore.resume();
        metastore
    }

    /// Starts it again after [`Metastore::stop`], on the same port and data.
    pub fn resume(&mut self) {
        let log = self.folder.path().join("server.log");
        for attempt in 1.. {
            self.configure();
            let mut process = Guarded::spawn_logged(&mut self.command(), &log);
            let begin = Instant::now();
            let said = loop {
                if answers(self.port) {
                    self.process = Some(process);
                    return;
                }
                if process.ended().is_some() {
                    break fs::read_to_string(&log).unwrap_or_default();
                }
                assert!(
                    begin.elapsed() < Duration::from_secs(180),
                    "metastore {} does not answer",
                    self.release
                );
                std::thread::sleep(Duration::from_millis(100));
            };
            // Somebody else took the port between its choice and its use.
            let is_taken = said.contains("Address already in use");
            assert!(is_taken && attempt < 5, "metastore {} died: {}", self.release, last_lines(&said));
            self.port = free_port();
        }
    }

    /// Stops it; data and port stay.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
            process.wait(Duration::from_secs(20));
        }
    }

    /// Runs SQL on the database of a stopped metastore.
    pub fn change_database(&self, sql: &str) {
        assert!(self.process.is_none(), "Derby serves one process: stop the metastore first");
        parts::derby(self.release, &self.folder.path().join("derby"), sql);
    }

    /// `thrift://127.0.0.1:PORT`.
    pub fn uri(&self) -> String {
        format!("thrift://127.0.0.1:{}", self.port)
    }

    /// Its process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Guarded::id)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder for table data.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Fills it with every kind of object; `sales.big` gets `partitions` partitions.
    pub fn fill(&self, partitions: usize) {
        let mut command = self.client("Fill");
        command.arg(self.port.to_string()).arg(self.data_folder()).arg(partitions.to_string());
        let filled = parts::try_run(&format!("filling metastore {}", self.release), "", &mut command);
        filled.unwrap_or_else(|message| panic!("{message}\nits log: {}", last_lines(&self.log())));
    }

    /// Everything in it, as Hive's own client reads it.
    pub fn dump(&self) -> Vec<Dumped> {
        Dumped::read(self.client("Dump").arg(self.port.to_string()))
    }

    /// A client that changes it on demand.
    pub fn ddl(&self) -> Ddl {
        Ddl::start(self.client("Ddl").arg(self.port.to_string()).arg(self.data_folder()))
    }

    /// A command that runs a class of `tests/java` with the client library of this release.
    fn client(&self, main: &str) -> Command {
        let mut command = self.java();
        command.arg("-cp").arg(format!(
            "{}:{}:{}",
            parts::client_classes(self.release).display(),
            self.folder.path().join("client-conf").display(),
            parts::class_path(self.release)
        ));
        command.arg(main);
        command
    }

    fn java(&self) -> Command {
        let folder = self.folder.path();
        let log_config = format!("{}/log4j2.properties", folder.display());
        let mut command = parts::java(25..=99).command();
        command
            .current_dir(folder)
            .env("LC_ALL", "C.UTF-8")
            .env("METASTORE_HOME", folder)
            .env("HADOOP_HOME", folder)
            .args(parts::opens())
            .args([
                "-Xmx384m",
                // Derby parses the long statements of Hive 4 by recursion.
                "-Xss4m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dderby.system.durability=test",
            ])
            .arg(format!("-Dderby.stream.error.file={}/derby.log", folder.display()))
            .arg(format!("-Djava.io.tmpdir={}/temporary", folder.display()))
            .arg(format!("-Dlog4j.configurationFile={log_config}"))
            .arg(format!("-Dlog4j2.configurationFile={log_config}"));
        command
    }

    fn command(&self) -> Command {
        let conf = self.folder.path().join("conf");
        let mut command = self.java();
        command
            .env("HIVE_CONF_DIR", &conf)
            .env("METASTORE_CONF_DIR", &conf)
            .arg("-cp")
            .arg(format!("{}:{}", conf.display(), parts::class_path(self.release)))
            .args(["org.apache.hadoop.hive.metastore.HiveMetaStore", "-p", &self.port.to_string()]);
        command
    }

    fn configure(&self) {
        let folder = self.folder.path();
        for name in ["conf", "client-conf", "warehouse", "temporary", "data"] {
            fs::create_dir_all(folder.join(name)).expect("the temporary folder can be written");
        }
        let mut xml = String::from("<configuration>");
        for (key, value) in self.properties() {
            let value = value.replace('&', "&amp;").replace('<', "&lt;");
            xml += &format!("<property><name>{key}</name><value>{value}</value></property>\n");
        }
        xml += "</configuration>";
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("the temporary folder can be written");
        };
        write("conf/hive-site.xml", &xml);
        if self.release != Release::V2_3_10 {
            write("conf/metastore-site.xml", &xml);
        }
        let logging = "status=error\nappender.c.type=Console\nappender.c.name=c\nappender.c.target=SYSTEM_ERR\n\
            appender.c.layout.type=PatternLayout\nappender.c.layout.pattern=%d{ISO8601} %-5p [%t] %c{2}: %m%n\n\
            rootLogger.level=warn\nrootLogger.appenderRef.c.ref=c\n";
        for name in ["log4j2.properties", "conf/hive-log4j2.properties", "conf/metastore-log4j2.properties"] {
            write(name, logging);
        }
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        const LISTENER: &str = "org.apache.hive.hcatalog.listener.DbNotificationListener";
        const PROXY: &str = "org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy";
        let folder = self.folder.path().display();
        let is_second = self.release == Release::V2_3_10;
        // The schema of 4.2.0 is made from that of 4.0.1, so its version cannot be verified.
        let is_fourth = self.release == Release::V4_2_0;
        let mut all = vec![
            (
                "javax.jdo.option.ConnectionURL",
                format!("jdbc:derby:;databaseName={folder}/derby;create=true"),
            ),
            ("javax.jdo.option.ConnectionDriverName", "org.apache.derby.jdbc.EmbeddedDriver".to_owned()),
            ("javax.jdo.option.ConnectionUserName", "APP".to_owned()),
            ("javax.jdo.option.ConnectionPassword", "mine".to_owned()),
            ("datanucleus.schema.autoCreateAll", is_fourth.to_string()),
            ("hive.metastore.schema.verification", (!is_fourth).to_string()),
            ("hive.metastore.warehouse.dir", format!("file:{folder}/warehouse")),
            ("hive.metastore.uris", self.uri()),
            ("hive.metastore.event.db.listener.timetolive", "86400s".to_owned()),
            ("hive.metastore.event.db.notification.api.auth", "false".to_owned()),
            ("hive.metastore.server.min.threads", "5".to_owned()),
            ("hive.metastore.server.max.threads", "200".to_owned()),
        ];
        if is_second {
            all.extend([
                ("hive.metastore.expression.proxy", PROXY.to_owned()),
                ("hive.async.log.enabled", "false".to_owned()),
                ("datanucleus.connectionPoolingType", "HikariCP".to_owned()),
            ]);
        } else {
            all.extend([
                ("metastore.schema.verification", (!is_fourth).to_string()),
                (
                    "metastore.task.threads.always",
                    "org.apache.hadoop.hive.metastore.events.EventCleanerTask".to_owned(),
                ),
                ("metastore.task.threads.remote", String::new()),
                ("metastore.expression.proxy", PROXY.to_owned()),
                ("metastore.async.log.enabled", "false".to_owned()),
                ("metastore.thrift.bind.host", "127.0.0.1".to_owned()),
                ("metastore.warehouse.dir", format!("file:{folder}/warehouse")),
                ("datanucleus.connectionPoolingType", "hikaricp".to_owned()),
            ]);
        }
        if self.options.is_listening {
            assert!(self.release != Release::V4_0_1, "no notification listener is published for Hive 4.0.1");
            let key = if is_second {
                "hive.metastore.transactional.event.listeners"
            } else {
                "metastore.transactional.event.listeners"
            };
            all.push((key, LISTENER.to_owned()));
        }
        all.extend(self.options.properties.iter().cloned());
        all
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// The folder of its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A port that nobody listens on right now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Whether a metastore answers `get_all_databases`: a listening socket, even `getStatus`, comes
/// long before the first real call works.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut call = vec![0x80, 0x01, 0x00, 0x01, 0, 0, 0, 17];
        call.extend(b"get_all_databases");
        call.extend([0, 0, 0, 1, 0]);
        stream.write_all(&call)?;
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        Ok(head == [0x80, 0x01, 0x00, 0x02])
    };
    ask().unwrap_or(false)
}

fn last_lines(text: &str) -> String {
    // Causes, not where in the code.
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("\tat ")).collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
