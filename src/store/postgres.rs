//! Everything in PostgreSQL, for several server processes that work as one.
//!
//! Plain SQL and few statements, so that databases that speak PostgreSQL's protocol do as well. Twins and logs are kept apart by tenant
//! in the database itself (row-level security, forced for the owner too): a statement that forgot its tenant finds nothing.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime as Tokio, Transaction};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::{runtime::Runtime, time::timeout_at};
use tokio_postgres::{
    Config, NoTls,
    config::{Host, SslMode},
};

use super::StoreError;

mod log;
mod migrate;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_network;
mod tls;
mod tokens;
mod twins;

pub use self::{log::PostgresLog, tokens::PostgresGuard, twins::PostgresTwins};

/// How long a database that failed is left alone: calls go on without it at once instead of waiting one by one.
const REST: Duration = Duration::from_secs(1);
/// Between two rounds of clearing away what is over.
const ROUND: Duration = Duration::from_secs(60 * 60);
/// For migrations and reading all there is.
const LONG: Duration = Duration::from_secs(600);
/// By how much an answer may be late on its way between threads.
const SLACK: Duration = Duration::from_millis(50);
/// After which a connection is given up whose other end confirms nothing.
const GONE: Duration = Duration::from_secs(30);

/// The `[store.postgres]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// `postgres://jumeau@db.hospital.example/jumeau`, without a password.
    pub url: String,
    /// File with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// File with the certificates (PEM) of the authorities that vouch for the database; default: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Connections at most. Default 8.
    #[serde(default = "connections")]
    pub connections: usize,
    /// Longest time for one question, waiting for a connection included. Default 800 ms: a hook must be answered in time without it.
    #[serde(
        default = "timeout",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub timeout: Duration,
    /// Days that a twin is kept which nobody writes or reads; default: for ever.
    #[serde(default)]
    pub keep_days: Option<u32>,
}

fn connections() -> usize {
    8
}

fn timeout() -> Duration {
    Duration::from_millis(800)
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// TLS, with the certificate and the name in it checked.
    #[default]
    Require,
    /// None: for sockets and addresses of this machine only.
    Disable,
}

/// The database, asked from threads that wait.
pub struct Database {
    pool: Pool,
    runtime: Option<Runtime>,
    timeout: Duration,
    keep: Option<Duration>,
    /// Until when it is left alone.
    rest: Mutex<Option<Instant>>,
    failing: AtomicBool,
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Connections end with it; waiting is not allowed on every thread.
            runtime.shutdown_background();
        }
    }
}

/// What went wrong, in words.
type Failed = String;

/// Statements that one connection is asked, and what comes of them.
trait Question<T>: for<'a> FnOnce(&'a mut Client) -> BoxFuture<'a, Result<T, Failed>> + Send + 'static {}

impl<T, Q> Question<T> for Q where Q: for<'a> FnOnce(&'a mut Client) -> BoxFuture<'a, Result<T, Failed>> + Send + 'static
{}

/// Asks a connection. One that gave no answer in time, or an error, is not used again: whatever it waits for, its place is free.
async fn asked<T>(pool: &Pool, time: Duration, question: impl Question<T>) -> Result<T, Failed> {
    let end = tokio::time::Instant::now() + time;
    let client = timeout_at(end, pool.get()).await;
    let mut client = client
        .map_err(|_| "no connection in time")?
        .map_err(|e| explained(&e))?;
    let answer = timeout_at(end, question(&mut client)).await;
    let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    if answer.is_err() {
        drop(Client::take(client));
    }
    answer
}

impl Database {
    /// Connects, and brings the tables up to date.
    ///
    /// # Errors
    /// In words for the operator; never with the password.
    pub fn open(settings: &PostgresSettings) -> Result<Arc<Self>, String> {
        let config = settings.config()?;
        let manager = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match settings.tls {
            Tls::Disable => Manager::from_config(config, NoTls, manager),
            Tls::Require => Manager::from_config(config, tls::connector(settings.ca_file.as_deref())?, manager),
        };
        let pool = Pool::builder(manager)
            .max_size(settings.connections.max(1))
            .wait_timeout(Some(settings.timeout))
            .create_timeout(Some(settings.timeout))
            .recycle_timeout(Some(settings.timeout))
            .runtime(Tokio::Tokio1)
            .build()
            .map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let database = Self {
            pool,
            runtime: Some(runtime),
            timeout: settings.timeout,
            keep: settings
                .keep_days
                .map(|days| Duration::from_secs(u64::from(days) * 24 * 3600)),
            rest: Mutex::new(None),
            failing: AtomicBool::new(false),
        };
        let migrated = database.within(LONG, |client| Box::pin(migrate::migrate(client)));
        migrated.map_err(|error| format!("store.postgres: {error}"))?;
        let database = Arc::new(database);
        if let Some(runtime) = &database.runtime {
            runtime.spawn(clear(database.pool.clone(), database.keep));
        }
        Ok(database)
    }

    /// Asks the database, in the time that is allowed; not at all for a moment after it failed.
    fn ask<T: Send + 'static>(&self, question: impl Question<T>) -> Result<T, StoreError> {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.is_some_and(|until| Instant::now() < until) {
            return Err(StoreError::Broken("the database failed a moment ago".to_owned()));
        }
        let answer = self.within(self.timeout, question);
        self.note(&answer);
        answer.map_err(StoreError::Broken)
    }

    /// The same for what may take long, for operators.
    fn ask_long<T: Send + 'static>(&self, question: impl Question<T>) -> Result<T, Failed> {
        self.within(LONG, question)
    }

    fn note<T>(&self, answer: &Result<T, Failed>) {
        let failed = answer.is_err();
        if let Err(why) = answer {
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
            if !self.failing.load(Ordering::Relaxed) {
                tracing::error!(why, "the database failed; it is asked again");
            }
        }
        if self.failing.swap(failed, Ordering::Relaxed) && !failed {
            tracing::info!("the database answers again");
        }
    }

    fn within<T: Send + 'static>(&self, time: Duration, question: impl Question<T>) -> Result<T, Failed> {
        let runtime = self.runtime.as_ref().ok_or("the database is closed")?;
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let pool = self.pool.clone();
        runtime.spawn(async move {
            let _ = send.send(asked(&pool, time, question).await);
        });
        match receive.recv_timeout(time + SLACK) {
            Ok(answer) => answer,
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// For a readiness probe.
    fn trouble(&self) -> Option<String> {
        self.failing
            .load(Ordering::Relaxed)
            .then(|| "the database cannot be used now; see the log".to_owned())
    }
}

impl PostgresSettings {
    fn config(&self) -> Result<Config, String> {
        let place = "store.postgres.url";
        let mut config: Config = self
            .url
            .parse()
            .map_err(|e| format!("{place} must be such as postgres://jumeau@db.hospital.example/jumeau: {e}"))?;
        if config.get_password().is_some() {
            return Err(format!(
                "{place} holds a password: put it into a file and name it in store.postgres.password_file"
            ));
        }
        if let Some(file) = &self.password_file {
            let password = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            config.password(password.trim_end_matches(['\r', '\n']));
        }
        let here = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        };
        match self.tls {
            Tls::Require => config.ssl_mode(SslMode::Require),
            Tls::Disable if config.get_hosts().iter().all(here) => config.ssl_mode(SslMode::Disable),
            Tls::Disable => {
                return Err("store.postgres.tls = \"disable\" is for a database on this machine: what is kept would go over the network in clear".to_owned());
            }
        };
        if !(1..=1000).contains(&self.connections) {
            return Err("store.postgres.connections must be between 1 and 1000".to_owned());
        }
        if self.timeout < Duration::from_millis(10) {
            return Err("store.postgres.timeout must be at least 10ms".to_owned());
        }
        config
            .application_name("jumeau")
            .connect_timeout(self.timeout)
            .keepalives_idle(GONE)
            .tcp_user_timeout(GONE);
        Ok(config)
    }
}

/// What the database says, with the cause of a lost connection.
fn explained(error: &(dyn std::error::Error + 'static)) -> Failed {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn failed(error: tokio_postgres::Error) -> Failed {
    explained(&error)
}

/// A transaction for one tenant: it sees and writes that tenant's rows only.
async fn for_tenant<'a>(client: &'a mut Client, tenant: &str) -> Result<Transaction<'a>, Failed> {
    let transaction = client.transaction().await.map_err(failed)?;
    set_tenant(&transaction, tenant).await?;
    Ok(transaction)
}

async fn set_tenant(transaction: &Transaction<'_>, tenant: &str) -> Result<(), Failed> {
    let set = "SELECT set_config('jumeau.tenant', $1, true)";
    transaction.query_one(set, &[&tenant]).await.map(drop).map_err(failed)
}

/// A transaction for all tenants: for counting, copying and clearing away.
async fn for_all(client: &mut Client) -> Result<Transaction<'_>, Failed> {
    let transaction = client.transaction().await.map_err(failed)?;
    let set = "SELECT set_config('jumeau.every_tenant', 'on', true)";
    transaction.query_one(set, &[]).await.map_err(failed)?;
    Ok(transaction)
}

/// Clears away what is over, as long as the database is open.
async fn clear(pool: Pool, keep: Option<Duration>) {
    loop {
        if let Err(why) = clear_once(&pool, keep).await {
            tracing::warn!(why, "what is over could not be cleared away");
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn clear_once(pool: &Pool, keep: Option<Duration>) -> Result<(), Failed> {
    asked(pool, LONG, move |client| Box::pin(forget(client, keep))).await
}

async fn forget(client: &mut Client, keep: Option<Duration>) -> Result<(), Failed> {
    let transaction = for_all(client).await?;
    transaction
        .execute("DELETE FROM jumeau_tokens WHERE until < now()", &[])
        .await
        .map_err(failed)?;
    if let Some(keep) = keep {
        // What belongs to no tenant is the store's own.
        let forget = "DELETE FROM jumeau_twins WHERE tenant <> '' AND touched < now() - make_interval(secs => $1)";
        transaction
            .execute(forget, &[&keep.as_secs_f64()])
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}
