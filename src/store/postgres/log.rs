//! Feedback and the audit log in PostgreSQL: in the database, committed, before they are acknowledged.

use std::{marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Database, Failed, failed, for_all, set_tenant};
use crate::store::{Account, Log, LogError, journal::MAX_RECORD};

/// Records that are read at one time.
const PAGE: i64 = 500;

/// A log in a database.
pub struct PostgresLog<R> {
    database: Arc<Database>,
    name: &'static str,
    records: PhantomData<fn(R) -> R>,
}

impl<R> PostgresLog<R> {
    /// The log of that name.
    #[must_use]
    pub fn new(database: Arc<Database>, name: &'static str) -> Self {
        Self {
            database,
            name,
            records: PhantomData,
        }
    }

    /// Some records after one, with their numbers.
    fn page(&self, after: i64) -> Result<Vec<(i64, String)>, LogError> {
        let name = self.name;
        let page = self
            .database
            .ask_long(move |client| Box::pin(page(client, name, after)));
        page.map_err(LogError::Read)
    }
}

/// A record as it is kept, with its tenant.
fn written<R: Serialize>(record: &R) -> Result<(String, String), LogError> {
    let value = serde_json::to_value(record).map_err(|e| LogError::Write(e.to_string()))?;
    let tenant = value
        .get("tenant")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    // PostgreSQL's text holds no zero characters; JSON writes them as escapes.
    let text = value.to_string();
    if text.len() > MAX_RECORD {
        return Err(LogError::TooLarge {
            size: text.len(),
            limit: MAX_RECORD,
        });
    }
    Ok((tenant, text))
}

impl<R: Serialize + DeserializeOwned> Log<R> for PostgresLog<R> {
    fn append_all(&self, records: &[R]) -> Result<(), LogError> {
        if records.is_empty() {
            return Ok(());
        }
        let written: Vec<(String, String)> = records.iter().map(written).collect::<Result<_, _>>()?;
        let name = self.name;
        let done = self
            .database
            .ask(move |client| Box::pin(async move { append(client, name, &written).await }));
        done.map_err(|e| LogError::Write(e.to_string()))
    }

    fn for_each(&self, show: &mut dyn FnMut(R)) -> Result<Account, LogError> {
        let (mut account, mut after) = (Account::default(), 0);
        loop {
            let page = self.page(after)?;
            let Some((last, _)) = page.last() else {
                return Ok(account);
            };
            after = *last;
            for (_, text) in &page {
                match serde_json::from_str(text) {
                    Ok(record) => {
                        account.whole += 1;
                        show(record);
                    }
                    Err(_) => account.damaged += 1,
                }
            }
        }
    }

    fn rewrite(&self, change: &mut dyn FnMut(R) -> Result<R, LogError>) -> Result<u64, LogError> {
        let (mut changed, mut after) = (Vec::new(), 0);
        loop {
            let page = self.page(after)?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (number, text) in page {
                let record = serde_json::from_str(&text).map_err(|_| {
                    LogError::Write(format!(
                        "record {number} of the {} is damaged, and would be lost",
                        self.name
                    ))
                })?;
                changed.push((number, self::written(&change(record)?)?.1));
            }
        }
        let (name, count) = (self.name, changed.len() as u64);
        let done = self
            .database
            .ask_long(move |client| Box::pin(async move { replace(client, name, &changed).await }));
        done.map_err(LogError::Write)?;
        Ok(count)
    }

    fn trouble(&self) -> Option<String> {
        self.database.trouble()
    }
}

async fn page(client: &mut deadpool_postgres::Client, name: &str, after: i64) -> Result<Vec<(i64, String)>, Failed> {
    let transaction = for_all(client).await?;
    let some = "SELECT number, record FROM jumeau_log WHERE log = $1 AND number > $2 ORDER BY number LIMIT $3";
    let rows = transaction.query(some, &[&name, &after, &PAGE]).await.map_err(failed)?;
    Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn replace(client: &mut deadpool_postgres::Client, name: &str, records: &[(i64, String)]) -> Result<(), Failed> {
    let transaction = for_all(client).await?;
    let update = "UPDATE jumeau_log SET record = $3 WHERE log = $1 AND number = $2";
    let update = transaction.prepare(update).await.map_err(failed)?;
    for (number, text) in records {
        transaction
            .execute(&update, &[&name, number, text])
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

async fn append(
    client: &mut deadpool_postgres::Client,
    name: &str,
    records: &[(String, String)],
) -> Result<(), Failed> {
    let transaction = client.transaction().await.map_err(failed)?;
    // Whatever the server's default is: what is acknowledged survives a loss of power.
    transaction
        .batch_execute("SET LOCAL synchronous_commit = on")
        .await
        .map_err(failed)?;
    let mut of = None;
    for (tenant, text) in records {
        if of.replace(tenant) != Some(tenant) {
            set_tenant(&transaction, tenant).await?;
        }
        let append = "INSERT INTO jumeau_log (log, tenant, record) VALUES ($1, $2, $3)";
        transaction
            .execute(append, &[&name, tenant, text])
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}
