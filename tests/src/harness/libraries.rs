//! Which libraries make up which part: Maven coordinates that were seen to work together.
//!
//! Maven's own resolution stops at `jdk.tools` in old Hadoop and HBase poms, so every library is
//! named here and brings nothing along.

/// The Hadoop client that runs every metastore on Java 25.
pub const HADOOP: &str = "
    org.apache.hadoop:hadoop-client-api:3.5.0
    org.apache.hadoop:hadoop-client-runtime:3.5.0";

/// Eclipse's Java compiler: one jar that needs a Java runtime only, where javac needs a JDK as
/// new as the newest library.
pub const COMPILER: &str = "org.eclipse.jdt:ecj:3.44.0";

/// Hive 2.3.10 has no metastore of its own to unpack: the whole server as libraries.
pub const HIVE_2_3_10: &str = "
    org.apache.hive:hive-metastore:2.3.10
    org.apache.hive:hive-common:2.3.10
    org.apache.hive:hive-serde:2.3.10
    org.apache.hive:hive-storage-api:2.4.0
    org.apache.hive.shims:hive-shims-common:2.3.10
    org.apache.hive.shims:hive-shims-0.23:2.3.10
    org.apache.hive.hcatalog:hive-hcatalog-server-extensions:2.3.10
    org.apache.hive.hcatalog:hive-hcatalog-core:2.3.10
    org.apache.hive:hive-exec:2.3.10:core
    org.apache.thrift:libfb303:0.9.3
    org.apache.thrift:libthrift:0.14.1
    com.google.guava:guava:14.0.1
    com.google.protobuf:protobuf-java:2.5.0
    com.zaxxer:HikariCP:2.5.1
    com.fasterxml.jackson.core:jackson-databind:2.12.0
    com.fasterxml.jackson.core:jackson-core:2.12.0
    com.fasterxml.jackson.core:jackson-annotations:2.12.0
    io.dropwizard.metrics:metrics-core:3.1.0
    io.dropwizard.metrics:metrics-jvm:3.1.0
    io.dropwizard.metrics:metrics-json:3.1.0
    com.jolbox:bonecp:0.8.0.RELEASE
    commons-dbcp:commons-dbcp:1.4
    commons-pool:commons-pool:1.5.4
    org.apache.commons:commons-lang3:3.12.0
    commons-lang:commons-lang:2.6
    commons-cli:commons-cli:1.2
    commons-collections:commons-collections:3.2.2
    org.codehaus.jackson:jackson-core-asl:1.9.13
    org.codehaus.jackson:jackson-mapper-asl:1.9.13
    org.antlr:antlr-runtime:3.5.2
    commons-logging:commons-logging:1.2
    org.slf4j:slf4j-api:1.7.36
    org.apache.logging.log4j:log4j-api:2.17.2
    org.apache.logging.log4j:log4j-core:2.17.2
    org.apache.logging.log4j:log4j-1.2-api:2.17.2
    org.apache.logging.log4j:log4j-slf4j-impl:2.17.2
    org.datanucleus:datanucleus-api-jdo:4.2.4
    org.datanucleus:datanucleus-core:4.1.17
    org.datanucleus:datanucleus-rdbms:4.1.19
    org.datanucleus:javax.jdo:3.2.0-m3
    javax.transaction:transaction-api:1.1
    org.apache.derby:derby:10.14.2.0";

/// What goes in front of the libraries of the 3.1.3 distribution: what that expects from Hadoop,
/// the notification listener, and what its schema tool lacks.
pub const BESIDE_3_1_3: &str = "
    commons-cli:commons-cli:1.2
    org.slf4j:slf4j-api:1.7.36
    commons-collections:commons-collections:3.2.2
    commons-logging:commons-logging:1.2
    org.codehaus.jackson:jackson-core-asl:1.9.13
    org.codehaus.jackson:jackson-mapper-asl:1.9.13
    org.apache.hive.hcatalog:hive-hcatalog-server-extensions:3.1.3
    commons-io:commons-io:2.11.0";

/// The same for the 4.0.1 distribution, for which no notification listener is published.
pub const BESIDE_4_0_1: &str = "
    org.slf4j:slf4j-api:1.7.36
    commons-collections:commons-collections:3.2.2
    commons-logging:commons-logging:1.2
    com.google.code.gson:gson:2.9.0
    javax.servlet:javax.servlet-api:3.1.0
    org.apache.httpcomponents:httpclient:4.5.13
    org.apache.hadoop:hadoop-hdfs:3.3.6
    commons-io:commons-io:2.11.0";

/// Hive 4.2.0: `hive-exec` holds the whole server.
pub const HIVE_4_2_0: &str = "
    org.apache.hive:hive-exec:4.2.0
    org.apache.hive.hcatalog:hive-hcatalog-server-extensions:4.2.0
    org.apache.derby:derby:10.17.1.0
    org.apache.derby:derbyshared:10.17.1.0
    org.datanucleus:datanucleus-api-jdo:6.0.3
    org.datanucleus:datanucleus-core:6.0.10
    org.datanucleus:datanucleus-rdbms:6.0.10
    org.datanucleus:javax.jdo:3.2.0-release
    javax.transaction:javax.transaction-api:1.3
    org.apache.logging.log4j:log4j-api:2.24.3
    org.apache.logging.log4j:log4j-core:2.24.3
    org.apache.logging.log4j:log4j-slf4j-impl:2.24.3
    org.apache.logging.log4j:log4j-1.2-api:2.24.3
    org.slf4j:slf4j-api:1.7.36
    org.antlr:antlr4-runtime:4.9.3
    org.springframework:spring-core:5.3.39
    org.springframework:spring-jdbc:5.3.39
    org.springframework:spring-tx:5.3.39
    org.springframework:spring-jcl:5.3.39
    org.springframework:spring-beans:5.3.39
    com.github.ben-manes.caffeine:caffeine:2.8.4
    org.apache.thrift:libthrift:0.16.0
    org.apache.thrift:libfb303:0.9.3
    commons-cli:commons-cli:1.5.0
    commons-collections:commons-collections:3.2.2
    org.apache.commons:commons-pool2:2.12.0
    org.apache.commons:commons-dbcp2:2.12.0
    org.eclipse.jetty:jetty-util:9.4.57.v20241219
    org.eclipse.jetty:jetty-server:9.4.57.v20241219
    org.eclipse.jetty:jetty-security:9.4.57.v20241219
    javax.servlet:javax.servlet-api:3.1.0
    com.google.code.gson:gson:2.9.0
    org.apache.httpcomponents:httpclient:4.5.13
    org.apache.httpcomponents:httpcore:4.4.13
    org.apache.hadoop:hadoop-hdfs:3.4.1";

/// The Flight SQL driver, with all that it needs in it. 19.0.0 does not load in DBeaver.
pub const FLIGHT_SQL_JDBC: &str = "org.apache.arrow:flight-sql-jdbc-driver:18.3.0";
