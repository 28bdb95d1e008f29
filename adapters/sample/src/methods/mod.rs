//! The methods of the metastore interface: which generation has which, what each may throw, and
//! how it is answered.

mod args;
mod details;
mod partitions;
mod read;
mod write;

use bytes::Bytes;
use parking_lot::RwLock;
use skep_catalog::model::{DEFAULT_CATALOG, DatabaseName, TableName};
use skep_hms::thrift::{ApplicationException, ExceptionKind, MessageType, Writer};

use crate::generation::Generation::{self, V2_3, V3_1, V4_0, V4_2};
use crate::metastore::Metastore;
use crate::refusal::Exception::{
    self, AlreadyExists, ConfigValueSecurity, InvalidInput, InvalidObject, InvalidOperation, Meta,
    NoSuchObject, UnknownDatabase, UnknownTable,
};
use crate::refusal::{Outcome, Refusal, refuse};
use args::Args;

/// What a method works on.
struct Call<'a> {
    metastore: &'a RwLock<Metastore>,
    generation: Generation,
    args: Args<'a>,
    events_per_answer_max: usize,
    release: &'a str,
}

/// One method of the interface.
struct Method {
    name: &'static str,
    /// First and last generation that has it.
    generations: (Generation, Generation),
    /// Declared exceptions with the field ids of the result struct.
    throws: &'static [(i16, Exception)],
    /// Writes field 0 of the result, or nothing for void methods.
    answer: fn(&Call<'_>, &mut Writer) -> Outcome<()>,
}

macro_rules! methods {
    ($($name:ident $from:ident..$to:ident [$($id:literal $throws:ident),*] $answer:expr;)*) => {
        /// Every method that a sample server has, in one or the other generation.
        const METHODS: &[Method] = &[$(Method {
            name: stringify!($name),
            generations: ($from, $to),
            throws: &[$(($id, $throws)),*],
            answer: $answer,
        }),*];
    };
}

// Field ids of exceptions are those of each generation's own interface, taken from the server
// classes of 2.3.10, 3.1.3, 4.0.1 and 4.2.0.
methods! {
    getName V2_3..V4_2 [] read::get_name;
    getVersion V2_3..V4_2 [] read::get_version;
    getStatus V2_3..V4_2 [] read::get_status;
    aliveSince V2_3..V4_2 [] read::alive_since;
    get_metastore_db_uuid V3_1..V4_2 [1 Meta] read::get_metastore_db_uuid;
    set_ugi V2_3..V4_2 [1 Meta] read::set_ugi;
    get_config_value V2_3..V4_2 [1 ConfigValueSecurity] read::get_config_value;
    flushCache V2_3..V4_2 [] |_, _| Ok(());
    get_role_names V2_3..V4_2 [1 Meta] read::get_role_names;

    get_catalogs V3_1..V4_2 [1 Meta] read::get_catalogs;
    get_catalog V3_1..V4_2 [1 NoSuchObject, 2 Meta] read::get_catalog;
    get_all_databases V2_3..V4_2 [1 Meta] read::get_all_databases;
    get_databases V2_3..V4_2 [1 Meta] read::get_databases;
    get_database V2_3..V4_2 [1 NoSuchObject, 2 Meta] read::get_database;
    get_database_req V4_0..V4_2 [1 NoSuchObject, 2 Meta] read::get_database_req;
    get_all_tables V2_3..V4_2 [1 Meta] read::get_all_tables;
    get_tables V2_3..V4_2 [1 Meta] read::get_tables;
    get_tables_by_type V2_3..V4_2 [1 Meta] read::get_tables_by_type;
    get_table_meta V2_3..V4_2 [1 Meta] read::get_table_meta;
    get_table V2_3..V3_1 [1 Meta, 2 NoSuchObject] read::get_table;
    get_table_req V2_3..V4_2 [1 Meta, 2 NoSuchObject] read::get_table_req;
    get_table_objects_by_name V2_3..V2_3 [1 Meta, 2 InvalidOperation, 3 UnknownDatabase] read::get_table_objects_by_name;
    get_table_objects_by_name V3_1..V3_1 [] read::get_table_objects_by_name;
    get_table_objects_by_name_req V2_3..V4_2 [1 Meta, 2 InvalidOperation, 3 UnknownDatabase] read::get_table_objects_by_name_req;
    get_fields V2_3..V4_2 [1 Meta, 2 UnknownTable, 3 UnknownDatabase] read::get_fields;
    get_schema V2_3..V4_2 [1 Meta, 2 UnknownTable, 3 UnknownDatabase] read::get_schema;

    get_partition_names V2_3..V2_3 [1 Meta] partitions::get_partition_names;
    get_partition_names V3_1..V4_2 [1 NoSuchObject, 2 Meta] partitions::get_partition_names;
    fetch_partition_names_req V4_0..V4_2 [1 NoSuchObject, 2 Meta] partitions::fetch_partition_names_req;
    get_partition_names_ps V2_3..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_partition_names_ps;
    get_partition_names_ps_req V4_0..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_partition_names_ps_req;
    get_partitions V2_3..V4_2 [1 NoSuchObject, 2 Meta] partitions::get_partitions;
    get_partitions_req V4_0..V4_2 [1 NoSuchObject, 2 Meta] partitions::get_partitions_req;
    get_partitions_with_auth V2_3..V4_2 [1 NoSuchObject, 2 Meta] partitions::get_partitions;
    get_partitions_ps V2_3..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_partitions_ps;
    get_partitions_ps_with_auth V2_3..V4_2 [1 NoSuchObject, 2 Meta] partitions::get_partitions_ps;
    get_partitions_by_names V2_3..V3_1 [1 Meta, 2 NoSuchObject] partitions::get_partitions_by_names;
    get_partitions_by_names V4_0..V4_2 [1 Meta, 2 NoSuchObject, 3 InvalidObject] partitions::get_partitions_by_names;
    get_partitions_by_names_req V4_0..V4_2 [1 Meta, 2 NoSuchObject, 3 InvalidObject] partitions::get_partitions_by_names_req;
    get_partition V2_3..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_partition;
    get_partition_with_auth V2_3..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_partition;
    get_partition_req V4_0..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_partition_req;
    get_partition_by_name V2_3..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_partition_by_name;
    get_num_partitions_by_filter V2_3..V4_2 [1 Meta, 2 NoSuchObject] partitions::get_num_partitions_by_filter;

    get_all_functions V2_3..V4_2 [1 Meta] details::get_all_functions;
    get_functions V2_3..V4_2 [1 Meta] details::get_functions;
    get_function V2_3..V4_2 [1 Meta, 2 NoSuchObject] details::get_function;
    get_primary_keys V2_3..V4_2 [1 Meta, 2 NoSuchObject] details::get_primary_keys;
    get_foreign_keys V2_3..V4_2 [1 Meta, 2 NoSuchObject] details::get_foreign_keys;
    get_unique_constraints V3_1..V4_2 [1 Meta, 2 NoSuchObject] details::get_unique_constraints;
    get_not_null_constraints V3_1..V4_2 [1 Meta, 2 NoSuchObject] details::get_not_null_constraints;
    get_default_constraints V3_1..V4_2 [1 Meta, 2 NoSuchObject] details::get_default_constraints;
    get_check_constraints V3_1..V4_2 [1 Meta, 2 NoSuchObject] details::get_check_constraints;
    get_all_table_constraints V4_0..V4_2 [1 Meta, 2 NoSuchObject] details::get_all_table_constraints;
    get_table_statistics_req V2_3..V4_2 [1 NoSuchObject, 2 Meta] details::get_table_statistics_req;
    get_table_column_statistics V2_3..V4_2 [1 NoSuchObject, 2 Meta, 3 InvalidInput, 4 InvalidObject] details::get_table_column_statistics;
    list_privileges V2_3..V4_2 [1 Meta] details::list_privileges;

    get_current_notificationEventId V2_3..V4_2 [] details::get_current_notification_event_id;
    get_next_notification V2_3..V4_2 [] details::get_next_notification;
    get_notification_events_count V3_1..V4_2 [] details::get_notification_events_count;

    create_catalog V3_1..V4_2 [1 AlreadyExists, 2 InvalidObject, 3 Meta] write::create_catalog;
    drop_catalog V3_1..V4_2 [1 NoSuchObject, 2 InvalidOperation, 3 Meta] write::drop_catalog;
    create_database V2_3..V4_2 [1 AlreadyExists, 2 InvalidObject, 3 Meta] write::create_database;
    create_database_req V4_0..V4_2 [1 AlreadyExists, 2 InvalidObject, 3 Meta] write::create_database_req;
    alter_database V2_3..V4_2 [1 Meta, 2 NoSuchObject] write::alter_database;
    alter_database_req V4_0..V4_2 [1 Meta, 2 NoSuchObject] write::alter_database_req;
    drop_database V2_3..V4_2 [1 NoSuchObject, 2 InvalidOperation, 3 Meta] write::drop_database;
    drop_database_req V4_0..V4_2 [1 NoSuchObject, 2 InvalidOperation, 3 Meta] write::drop_database_req;
    create_table V2_3..V4_2 [1 AlreadyExists, 2 InvalidObject, 3 Meta, 4 NoSuchObject] write::create_table;
    create_table_with_environment_context V2_3..V4_2 [1 AlreadyExists, 2 InvalidObject, 3 Meta, 4 NoSuchObject] write::create_table;
    create_table_req V4_0..V4_2 [1 AlreadyExists, 2 InvalidObject, 3 Meta, 4 NoSuchObject] write::create_table_req;
    alter_table V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::alter_table;
    alter_table_with_environment_context V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::alter_table;
    alter_table_with_cascade V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::alter_table;
    alter_table_req V4_0..V4_2 [1 InvalidOperation, 2 Meta] write::alter_table_req;
    drop_table V2_3..V4_2 [1 NoSuchObject, 3 Meta] write::drop_table;
    drop_table_with_environment_context V2_3..V4_2 [1 NoSuchObject, 3 Meta] write::drop_table;
    drop_table_req V4_2..V4_2 [1 NoSuchObject, 3 Meta] write::drop_table_req;

    add_partition V2_3..V4_2 [1 InvalidObject, 2 AlreadyExists, 3 Meta] write::add_partition;
    add_partition_with_environment_context V2_3..V4_2 [1 InvalidObject, 2 AlreadyExists, 3 Meta] write::add_partition;
    add_partitions V2_3..V4_2 [1 InvalidObject, 2 AlreadyExists, 3 Meta] write::add_partitions;
    add_partitions_req V2_3..V4_2 [1 InvalidObject, 2 AlreadyExists, 3 Meta] write::add_partitions_req;
    alter_partition V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::alter_partition;
    alter_partition_with_environment_context V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::alter_partition;
    alter_partitions V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::alter_partitions;
    alter_partitions_with_environment_context V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::alter_partitions;
    alter_partitions_req V4_0..V4_2 [1 InvalidOperation, 2 Meta] write::alter_partitions_req;
    drop_partition V2_3..V4_2 [1 NoSuchObject, 2 Meta] write::drop_partition;
    drop_partition_with_environment_context V2_3..V4_2 [1 NoSuchObject, 2 Meta] write::drop_partition;
    drop_partition_by_name V2_3..V4_2 [1 NoSuchObject, 2 Meta] write::drop_partition_by_name;
    drop_partitions_req V2_3..V4_2 [1 NoSuchObject, 2 Meta] write::drop_partitions_req;
    rename_partition V2_3..V4_2 [1 InvalidOperation, 2 Meta] write::rename_partition;
    rename_partition_req V4_0..V4_2 [1 InvalidOperation, 2 Meta] write::rename_partition_req;

    create_function V2_3..V4_2 [1 AlreadyExists, 2 InvalidObject, 3 Meta, 4 NoSuchObject] write::create_function;
    drop_function V2_3..V4_2 [1 NoSuchObject, 3 Meta] write::drop_function;
}

/// Answers one call: the type of the answer and its body.
pub(crate) fn answer(
    metastore: &RwLock<Metastore>,
    release: &str,
    events_per_answer_max: usize,
    name: &str,
    body: &[u8],
) -> (MessageType, Bytes) {
    let generation = metastore.read().generation();
    let Some(method) = method_of(generation, name) else { return unknown(name) };
    let args = match Args::parse(body) {
        Ok(args) => args,
        Err(error) => return exception(ExceptionKind::Protocol, error.to_string()),
    };
    let call = Call { metastore, generation, args, events_per_answer_max, release };
    let mut w = Writer::new();
    match (method.answer)(&call, &mut w) {
        Ok(()) => (MessageType::Reply, w.finish_struct()),
        Err(refusal) => refused(method, refusal),
    }
}

/// Answers one call with a MetaException, as far as the method declares it.
pub(crate) fn answer_meta(generation: Generation, name: &str, message: &str) -> (MessageType, Bytes) {
    match method_of(generation, name) {
        Some(method) => refused(method, Refusal::new(Meta, message)),
        None => unknown(name),
    }
}

fn method_of(generation: Generation, name: &str) -> Option<&'static Method> {
    let has = |m: &&Method| m.name == name && m.generations.0 <= generation && generation <= m.generations.1;
    METHODS.iter().find(has)
}

fn unknown(name: &str) -> (MessageType, Bytes) {
    exception(ExceptionKind::UnknownMethod, format!("Invalid method name: '{name}'"))
}

fn refused(method: &Method, refusal: Refusal) -> (MessageType, Bytes) {
    match method.throws.iter().find(|(_, exception)| *exception == refusal.exception) {
        Some((id, _)) => {
            let mut w = Writer::new();
            w.field_struct(*id, |w| w.field_string(1, &refusal.message));
            (MessageType::Reply, w.finish_struct())
        }
        None => exception(ExceptionKind::Internal, format!("Internal error processing {}", method.name)),
    }
}

fn exception(kind: ExceptionKind, message: String) -> (MessageType, Bytes) {
    (MessageType::Exception, ApplicationException::new(kind, message).encode())
}

impl Call<'_> {
    /// Catalog and database that a text argument means. From 3.1 on `@cat#db` names a catalog,
    /// `@cat#` none of its databases in particular, `@cat#!` the one with an empty name; 2.3 takes
    /// all of it as a name.
    fn scope(&self, text: Option<&str>) -> (String, Option<String>) {
        if let (true, Some(marked)) = (self.generation.has_catalogs(), text.and_then(|t| t.strip_prefix('@')))
            && let Some((catalog, database)) = marked.split_once('#')
        {
            let database = match database {
                "" => None,
                "!" => Some(String::new()),
                name => Some(name.to_lowercase()),
            };
            return (catalog.to_lowercase(), database);
        }
        (DEFAULT_CATALOG.to_owned(), text.map(str::to_lowercase))
    }

    /// The database that a text argument names; a catalog field beside it counts more.
    fn database_name(&self, text: Option<&str>, catalog: Option<&str>) -> DatabaseName {
        let (marked, database) = self.scope(text);
        let catalog = catalog.filter(|_| self.generation.has_catalogs()).map_or(marked, str::to_lowercase);
        DatabaseName::new(catalog, database.unwrap_or_default())
    }

    /// The table that two text arguments name.
    fn table_name(&self, args: &Args<'_>, ids: (i16, i16), catalog_id: i16) -> Outcome<TableName> {
        let catalog = args.text(catalog_id)?;
        let database = self.database_name(args.text(ids.0)?, catalog);
        Ok(database.table(args.text(ids.1)?.unwrap_or("").to_lowercase()))
    }

    /// The request struct in argument 1.
    fn request(&self) -> Outcome<Args<'_>> {
        match self.args.structure(1)? {
            Some(request) => Ok(request),
            None => refuse(InvalidInput, "the request is missing"),
        }
    }
}
