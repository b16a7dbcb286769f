//! Twins in PostgreSQL.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt as _;

use super::{Database, Failed, failed, for_all, for_tenant};
use crate::store::{MAX_PAYLOAD, PutError, Revision, StoreError, Stored, TwinKey, TwinStore};

/// Twins in a database.
pub struct PostgresTwins(pub Arc<Database>);

/// How a put ended.
type Put = Result<i64, Option<i64>>;

fn revision(number: i64) -> Revision {
    Revision(number.cast_unsigned())
}

impl TwinStore for PostgresTwins {
    fn get(&self, key: &TwinKey) -> Result<Option<Stored>, StoreError> {
        let (key, keeps) = (key.clone(), self.0.keep.is_some());
        self.0
            .ask(move |client| Box::pin(async move { get(client, &key, keeps).await }))
    }

    fn put(&self, key: &TwinKey, expected: Option<Revision>, payload: &[u8]) -> Result<Revision, PutError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(StoreError::TooLarge(payload.len()).into());
        }
        let (key, payload) = (key.clone(), payload.to_vec());
        let expected = expected.map(|revision| revision.0.cast_signed());
        let put = self
            .0
            .ask(move |client| Box::pin(async move { put(client, &key, expected, &payload).await }))?;
        put.map(revision)
            .map_err(|found| PutError::Conflict(found.map(revision)))
    }

    fn remove(&self, key: &TwinKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.0
            .ask(move |client| Box::pin(async move { remove(client, &key).await }))
    }

    fn for_each(&self, show: &mut dyn FnMut(TwinKey, Stored)) -> Result<(), StoreError> {
        let mut after: Option<(String, Vec<u8>)> = None;
        loop {
            let from = after.clone();
            let page = self.0.ask_long(move |client| Box::pin(page(client, from)));
            let page = page.map_err(StoreError::Broken)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some((last.tenant().to_owned(), last.digest().to_vec()));
            page.into_iter().for_each(|(key, stored)| show(key, stored));
        }
    }

    fn len(&self) -> Result<usize, StoreError> {
        let count = self.0.ask(|client| Box::pin(count(client)))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn flush(&self) -> Result<(), StoreError> {
        // Each write was committed.
        Ok(())
    }

    fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }
}

async fn remove(client: &mut deadpool_postgres::Client, key: &TwinKey) -> Result<bool, Failed> {
    let transaction = for_tenant(client, key.tenant()).await?;
    let forget = "DELETE FROM jumeau_twins WHERE tenant = $1 AND digest = $2";
    let digest = key.digest();
    let gone = transaction.execute(forget, &[&key.tenant(), &digest.as_slice()]).await;
    let gone = gone.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(gone > 0)
}

async fn count(client: &mut deadpool_postgres::Client) -> Result<i64, Failed> {
    let transaction = for_all(client).await?;
    let row = transaction.query_one("SELECT count(*) FROM jumeau_twins", &[]).await;
    Ok(row.map_err(failed)?.get(0))
}

async fn get(client: &mut deadpool_postgres::Client, key: &TwinKey, keeps: bool) -> Result<Option<Stored>, Failed> {
    let transaction = for_tenant(client, key.tenant()).await?;
    let digest = key.digest();
    let find = "SELECT revision, payload FROM jumeau_twins WHERE tenant = $1 AND digest = $2";
    let row = transaction
        .query_opt(find, &[&key.tenant(), &digest.as_slice()])
        .await
        .map_err(failed)?;
    if keeps && row.is_some() {
        // Once a day is enough to tell who is still read.
        let touch = "UPDATE jumeau_twins SET touched = now() WHERE tenant = $1 AND digest = $2 AND touched < now() - interval '1 day'";
        transaction
            .execute(touch, &[&key.tenant(), &digest.as_slice()])
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(row.map(|row| Stored {
        revision: revision(row.get(0)),
        payload: row.get(1),
    }))
}

async fn put(
    client: &mut deadpool_postgres::Client,
    key: &TwinKey,
    expected: Option<i64>,
    payload: &[u8],
) -> Result<Put, Failed> {
    let transaction = for_tenant(client, key.tenant()).await?;
    let digest = key.digest();
    let (tenant, digest) = (key.tenant(), digest.as_slice());
    let written = match expected {
        None => {
            let begin = "INSERT INTO jumeau_twins (tenant, digest, revision, payload) VALUES ($1, $2, nextval('jumeau_revisions'), $3) \
                         ON CONFLICT DO NOTHING RETURNING revision";
            transaction.query_opt(begin, &[&tenant, &digest, &payload]).await
        }
        Some(expected) => {
            let change = "UPDATE jumeau_twins SET revision = nextval('jumeau_revisions'), payload = $3, touched = now() \
                          WHERE tenant = $1 AND digest = $2 AND revision = $4 RETURNING revision";
            transaction
                .query_opt(change, &[&tenant, &digest, &payload, &expected])
                .await
        }
    };
    let put = match written.map_err(failed)? {
        Some(row) => Ok(row.get(0)),
        None => Err(current(&transaction, tenant, digest).await?),
    };
    transaction.commit().await.map_err(failed)?;
    Ok(put)
}

async fn current(transaction: &Transaction<'_>, tenant: &str, digest: &[u8]) -> Result<Option<i64>, Failed> {
    let find = "SELECT revision FROM jumeau_twins WHERE tenant = $1 AND digest = $2";
    let row = transaction.query_opt(find, &[&tenant, &digest]).await.map_err(failed)?;
    Ok(row.map(|row| row.get(0)))
}

/// Some twins of all tenants, in the order of their keys.
async fn page(
    client: &mut deadpool_postgres::Client,
    after: Option<(String, Vec<u8>)>,
) -> Result<Vec<(TwinKey, Stored)>, Failed> {
    let transaction = for_all(client).await?;
    let (tenant, digest) = after.unwrap_or_default();
    let some = "SELECT tenant, digest, revision, payload FROM jumeau_twins WHERE (tenant, digest) > ($1, $2) \
                ORDER BY tenant, digest LIMIT 100";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&tenant, &digest];
    let rows = transaction.query_raw(some, parameters).await.map_err(failed)?;
    let rows: Vec<tokio_postgres::Row> = rows.try_collect().await.map_err(failed)?;
    let twin = |row: tokio_postgres::Row| {
        let digest: [u8; 32] = row.get::<_, &[u8]>(1).try_into().ok()?;
        let stored = Stored {
            revision: revision(row.get(2)),
            payload: row.get(3),
        };
        Some((TwinKey::stored(row.get(0), digest), stored))
    };
    Ok(rows.into_iter().filter_map(twin).collect())
}
