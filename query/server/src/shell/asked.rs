//! Whom the shell asks: the engine in this process, or a service.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use skep_catalog::fault::Fault;
use skep_flight::client::{Answer, Client};
use skep_query::describe::{MIRRORED_NAMES_MAX, Names};
use skep_query::{Engine, QueryResult, Statement};

/// See the head of this file.
pub enum Asked {
    /// In this process.
    Engine(Arc<Engine>),
    /// Connected, with the names that there were then.
    Service(Box<(Client, Names)>),
}

/// Rows, as they come.
pub enum Rows {
    /// Of this process.
    Engine(QueryResult),
    /// Of a service.
    Service(Box<Answer>),
}

impl Asked {
    /// A service, and its names to complete from: those that every service has when it is too busy
    /// to tell them, because that is when somebody wants to look at it.
    pub async fn service(client: Client) -> Self {
        let names = Self::names_of(&client).await.unwrap_or_else(|_| Names::of_skep());
        Self::connected(client, names)
    }

    async fn names_of(client: &Client) -> Result<Names, Fault> {
        let sql = format!(
            "SELECT metastore_name FROM federation.metastores UNION \
             SELECT database_name FROM catalog.databases UNION \
             SELECT table_name FROM catalog.tables LIMIT {MIRRORED_NAMES_MAX}"
        );
        let mut names = Names::of_skep();
        let mut answer = client.query(&sql).await?;
        while let Some(batch) = answer.next().await {
            let batch = batch?;
            let texts = batch.column(0).as_string_opt::<i32>();
            names.mirrored.extend(texts.into_iter().flatten().flatten().map(str::to_owned));
        }
        names.mirrored.sort_unstable();
        Ok(names)
    }

    /// A service, with these names to complete from.
    pub fn connected(client: Client, names: Names) -> Self {
        Self::Service(Box::new((client, names)))
    }

    /// Tables that are named without a schema are in this one from now on.
    ///
    /// Errors: those of the service.
    pub async fn use_schema(&self, schema: &'static str) -> Result<(), Fault> {
        match self {
            // Told with every statement.
            Self::Engine(_) => Ok(()),
            Self::Service(service) => service.0.use_schema(schema).await,
        }
    }

    /// Plans and starts a statement in a schema; a service knows it already.
    pub async fn query(&self, sql: &str, schema: &'static str) -> Result<Rows, Fault> {
        match self {
            Self::Engine(engine) => {
                engine.execute(Statement { schema, ..Statement::new(sql) }).await.map(Rows::Engine)
            }
            Self::Service(service) => service.0.query(sql).await.map(Box::new).map(Rows::Service),
        }
    }

    /// Names to complete from.
    pub fn names(&self) -> Names {
        match self {
            Self::Engine(engine) => engine.names(),
            Self::Service(service) => service.1.clone(),
        }
    }
}

impl Rows {
    /// Columns.
    pub fn schema(&self) -> &SchemaRef {
        match self {
            Self::Engine(result) => &result.schema,
            Self::Service(answer) => answer.schema(),
        }
    }

    /// The next rows; `None` after the last. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Fault>> {
        match self {
            Self::Engine(result) => result.next().await,
            Self::Service(answer) => answer.next().await,
        }
    }
}
