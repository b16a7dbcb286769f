//! TLS to the database: the certificate is checked, and that it is for the host asked for.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connects with the authorities of the system, or with those of a file alone.
///
/// # Errors
/// In words for the operator.
pub fn connector(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let config = match ca_file {
        None => builder
            .with_platform_verifier()
            .map_err(|e| format!("the system's CA certificates cannot be used: {e}"))?
            .with_no_client_auth(),
        Some(file) => {
            let at = |e: &dyn std::fmt::Display| format!("store.postgres.ca_file {}: {e}", file.display());
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| at(&e))? {
                roots.add(certificate.map_err(|e| at(&e))?).map_err(|e| at(&e))?;
            }
            if roots.is_empty() {
                return Err(at(&"there is no certificate in it"));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}
