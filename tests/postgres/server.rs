//! A PostgreSQL of a test's own.

use std::{path::Path, process::Command};

/// A database server in a folder; ends with this value.
pub struct Postgres {
    pub folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts one. `None` where PostgreSQL is not installed, unless `JUMEAU_REQUIRE_POSTGRES` says that it must be.
    pub fn start() -> Option<Self> {
        Self::with(None)
    }

    /// One that listens on a port of this machine too, by TLS and with the password `canary` alone.
    pub fn on_port(port: u16) -> Option<Self> {
        Self::with(Some(port))
    }

    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    fn with(port: Option<u16>) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let this = Self { folder };
        let output = this.script().args(port.map(|port| port.to_string())).output().unwrap();
        if output.status.code() == Some(3) && std::env::var_os("JUMEAU_REQUIRE_POSTGRES").is_none() {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(this)
    }

    fn script(&self) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/start.sh"));
        command.arg(self.folder.path());
        command
    }

    /// As a process that is killed.
    pub fn stop(&self) {
        assert!(self.script().arg("stop").status().unwrap().success());
    }

    pub fn start_again(&self) {
        assert!(self.script().output().unwrap().status.success());
    }

    /// The address by its socket.
    pub fn url(&self) -> String {
        let socket = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://jumeau@{socket}/jumeau")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.script().arg("stop").output();
    }
}
