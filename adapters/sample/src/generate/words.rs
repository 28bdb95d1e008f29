//! What a company's tables are called and made of.

/// Entities: name, then columns as `name type`, the first one the key.
pub(super) const ENTITIES: &[(&str, &str)] = &[
    (
        "orders",
        "order_id bigint, customer_id bigint, customer_phone string, status string, amount decimal(18,2), currency char(3), ordered_at timestamp, channel string",
    ),
    (
        "order_items",
        "item_id bigint, order_id bigint, product_id bigint, quantity int, unit_price decimal(18,2), discount decimal(9,4), is_gift boolean",
    ),
    (
        "customers",
        "customer_id bigint, full_name string, email string, phone_number string, birth_date date, country string, segment string, created_at timestamp",
    ),
    (
        "products",
        "product_id bigint, sku string, title string, category string, brand string, list_price decimal(18,2), attributes map<string,string>, is_active boolean",
    ),
    (
        "payments",
        "payment_id bigint, order_id bigint, method string, amount decimal(18,2), fee decimal(9,4), paid_at timestamp, card_hash string",
    ),
    (
        "refunds",
        "refund_id bigint, order_id bigint, customer_id bigint, reason string, amount decimal(18,2), refunded_at timestamp",
    ),
    (
        "shipments",
        "shipment_id bigint, order_id bigint, carrier string, tracking_no string, weight_kg double, shipped_at timestamp, delivered_at timestamp",
    ),
    (
        "inventory",
        "product_id bigint, store_id int, on_hand int, reserved int, reorder_point int, counted_at date",
    ),
    (
        "stores",
        "store_id int, name string, city string, country string, latitude double, longitude double, phone string, opened_on date",
    ),
    (
        "page_views",
        "view_id string, session_id string, user_id bigint, url string, referrer string, user_agent string, duration_ms bigint, viewed_at timestamp",
    ),
    (
        "clicks",
        "click_id string, session_id string, user_id bigint, element string, position array<int>, clicked_at timestamp",
    ),
    (
        "sessions",
        "session_id string, user_id bigint, device string, os string, country string, started_at timestamp, pages int, is_bounce boolean",
    ),
    (
        "campaigns",
        "campaign_id int, name string, channel string, budget decimal(18,2), starts_on date, ends_on date, target struct<country:string,age_min:int,age_max:int>",
    ),
    (
        "impressions",
        "impression_id string, campaign_id int, user_id bigint, placement string, price_micros bigint, shown_at timestamp",
    ),
    (
        "leads",
        "lead_id bigint, campaign_id int, full_name string, email string, contact_phone string, score double, created_at timestamp",
    ),
    (
        "invoices",
        "invoice_id bigint, customer_id bigint, net decimal(18,2), tax decimal(18,2), due_on date, paid boolean",
    ),
    (
        "ledger",
        "entry_id bigint, account string, debit decimal(18,2), credit decimal(18,2), booked_on date, memo string",
    ),
    ("budgets", "budget_id int, department string, year int, amount decimal(18,2), owner string"),
    (
        "employees",
        "employee_id int, full_name string, email string, mobile_phone string, department string, hired_on date, salary decimal(12,2), manager_id int",
    ),
    ("attendance", "employee_id int, work_date date, hours double, is_remote boolean"),
    (
        "scores",
        "subject_id bigint, model string, score double, features map<string,double>, scored_at timestamp",
    ),
    (
        "alerts",
        "alert_id bigint, rule string, severity tinyint, subject_id bigint, details string, raised_at timestamp",
    ),
    (
        "transactions",
        "transaction_id bigint, account string, counterparty string, amount decimal(18,2), currency char(3), booked_at timestamp, risk_flag boolean",
    ),
    (
        "devices",
        "device_id string, user_id bigint, model string, os_version string, first_seen timestamp, last_seen timestamp",
    ),
    (
        "tickets",
        "ticket_id bigint, customer_id bigint, subject string, priority smallint, opened_at timestamp, closed_at timestamp, tags array<string>",
    ),
    (
        "calls",
        "call_id bigint, customer_id bigint, caller_phone string, agent_id int, duration_s int, called_at timestamp, recording binary",
    ),
];

/// Forms in which an entity appears, put after its name.
pub(super) const FORMS: &[&str] = &[
    "",
    "_daily",
    "_di",
    "_df",
    "_hourly",
    "_snapshot",
    "_v2",
    "_by_region",
    "_raw",
    "_clean",
    "_agg",
    "_hist",
    "_export",
    "_2019",
    "_bak",
];

/// Users that own things.
pub(super) const OWNERS: &[&str] =
    &["etl", "alice", "bob", "chen_wei", "diego", "fatima", "airflow", "svc_ingest"];

/// Databases: name, comment, owner, metastores that have it.
pub(super) const DATABASES: &[(&str, &str, &str, &str)] = &[
    ("sales", "Orders, customers and payments", "alice", "dc1 dc2 lake"),
    ("marketing", "Campaigns and leads", "bob", "dc1 dc2 lake"),
    ("web", "Clickstream of the shops", "svc_ingest", "dc1 dc2"),
    ("finance", "Ledger, invoices, budgets", "fatima", "dc1 dc2"),
    ("ods", "Operational data store: copies of the source systems", "etl", "dc1 dc2 lake"),
    ("dwd", "Warehouse, detail layer", "etl", "dc1 dc2 lake"),
    ("dws", "Warehouse, summary layer", "etl", "dc1 dc2"),
    ("ads", "Warehouse, application layer", "etl", "dc1 dc2"),
    ("dim", "Warehouse, dimensions", "etl", "dc1 dc2 lake"),
    ("hr", "Employees; restricted", "fatima", "dc1"),
    ("risk", "Risk models and alerts", "chen_wei", "dc1"),
    ("call_center", "Calls and tickets", "diego", "dc1"),
    ("legacy_crm", "Customer system before 2019; read only", "etl", "dc1"),
    ("archive_2016", "Kept for the auditors", "etl", "dc1"),
    ("archive_2017", "Kept for the auditors", "etl", "dc1"),
    ("logistics", "Shipments and stock", "diego", "dc1"),
    ("warehouse_ops", "Scans in the warehouses", "diego", "dc1"),
    ("stage_cn", "Landing area, China", "svc_ingest", "dc1"),
    ("stage_eu", "Landing area, Europe", "svc_ingest", "dc1"),
    ("tmp", "Scratch; cleaned weekly", "airflow", "dc1 dc2"),
    ("fraud", "Fraud signals", "chen_wei", "dc2"),
    ("pricing", "Price experiments", "bob", "dc2"),
    ("procurement", "Suppliers and purchase orders", "alice", "dc2"),
    ("app_mobile", "Events of the mobile apps", "svc_ingest", "dc2 lake"),
    ("app_backend", "Events of the services", "svc_ingest", "dc2"),
    ("support", "Tickets and satisfaction", "diego", "dc2"),
    ("stage_us", "Landing area, America", "svc_ingest", "dc2"),
    ("treasury", "Cash and hedges", "fatima", "dc2"),
    ("qa", "Data quality runs", "airflow", "dc2"),
    ("reporting", "Tables behind the dashboards", "alice", "dc2"),
    ("ml_features", "Feature store", "chen_wei", "lake"),
    ("ml_models", "Model inputs and predictions", "chen_wei", "lake"),
    ("ml_labels", "Labelled examples", "chen_wei", "lake"),
    ("iot", "Telemetry of devices", "svc_ingest", "lake"),
    ("geo", "Places and routes", "diego", "lake"),
    ("experiments", "A/B tests", "bob", "lake"),
    ("bronze", "Lakehouse, as received", "etl", "lake"),
    ("silver", "Lakehouse, cleaned", "etl", "lake"),
    ("gold", "Lakehouse, served", "etl", "lake"),
    ("search", "Queries and clicks of the search", "bob", "lake"),
    ("privacy", "Consents and deletion requests", "fatima", "lake"),
];

/// Storage formats: input format, output format, serde library.
pub(super) const ORC: [&str; 3] = [
    "org.apache.hadoop.hive.ql.io.orc.OrcInputFormat",
    "org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat",
    "org.apache.hadoop.hive.ql.io.orc.OrcSerde",
];
/// See [`ORC`].
pub(super) const PARQUET: [&str; 3] = [
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
];
/// See [`ORC`].
pub(super) const AVRO: [&str; 3] = [
    "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
    "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    "org.apache.hadoop.hive.serde2.avro.AvroSerDe",
];
/// See [`ORC`].
pub(super) const TEXT: [&str; 3] = [
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
];
/// See [`ORC`].
pub(super) const ICEBERG: [&str; 3] = [
    "org.apache.iceberg.mr.hive.HiveIcebergInputFormat",
    "org.apache.iceberg.mr.hive.HiveIcebergOutputFormat",
    "org.apache.iceberg.mr.hive.HiveIcebergSerDe",
];
/// See [`ORC`].
pub(super) const HUDI: [&str; 3] = [
    "org.apache.hudi.hadoop.HoodieParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
];
/// See [`ORC`]; what Spark writes for a Delta table.
pub(super) const DELTA: [&str; 3] = [
    "org.apache.hadoop.mapred.SequenceFileInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
    "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
];
