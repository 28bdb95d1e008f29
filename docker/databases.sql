-- One database per metastore; each makes its own schema when it starts for the first time.
CREATE DATABASE hive3;
CREATE DATABASE hive4;
