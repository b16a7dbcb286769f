//! The tables, and how they came to be: numbered steps, each done once.

use deadpool_postgres::Client;

use super::{Failed, failed};

/// The steps, oldest first. Those that were released are never changed.
const STEPS: [&str; 1] = [include_str!("1_tables.sql")];
/// Of the lock that keeps two servers that start together apart: "jumeau" as a number.
const LOCK: i64 = 0x6a75_6d65_6175;

/// Brings the tables up to date.
///
/// # Errors
/// Also when they are of a newer version of this software.
pub async fn migrate(client: &mut Client) -> Result<(), Failed> {
    let transaction = client.transaction().await.map_err(failed)?;
    transaction
        .query_one("SELECT pg_advisory_xact_lock($1)::text", &[&LOCK])
        .await
        .map_err(failed)?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS jumeau_migrations (step integer PRIMARY KEY, done timestamptz NOT NULL DEFAULT now())",
        )
        .await
        .map_err(failed)?;
    let newest = "SELECT coalesce(max(step), 0) FROM jumeau_migrations";
    let done: i32 = transaction.query_one(newest, &[]).await.map_err(failed)?.get(0);
    let known = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    if done > known {
        return Err(format!(
            "the tables are at step {done}, this version knows {known}: they were made by a newer version of jumeau; use that one"
        ));
    }
    for (number, step) in (1..).zip(STEPS).filter(|(number, _)| *number > done) {
        transaction
            .batch_execute(step)
            .await
            .map_err(|e| format!("step {number} of the tables: {}", failed(e)))?;
        let note = "INSERT INTO jumeau_migrations (step) VALUES ($1)";
        transaction.execute(note, &[&number]).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}
