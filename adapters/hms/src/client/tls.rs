//! TLS towards a metastore, with rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use skep_catalog::fault::{Code, Fault};

use super::TlsOptions;

fn unreadable(path: &Path, why: impl ToString) -> Fault {
    Fault::new(Code::CONFIG_UNREADABLE, format!("file {}", path.display()), why.to_string())
        .with_fix("Check the path, the permissions, and that the file is PEM.")
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|e| unreadable(path, e))?;
    match certificates.is_empty() {
        true => Err(unreadable(path, "it holds no certificate")),
        false => Ok(certificates),
    }
}

/// Reads the certificates and makes rustls' configuration.
pub(super) fn config(options: &TlsOptions) -> Result<Arc<ClientConfig>, Fault> {
    let mut roots = RootCertStore::empty();
    match &options.ca_file {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| unreadable(path, e))?;
            }
        }
        None => {
            // Single unreadable certificates of the system are common and harmless.
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(Fault::new(
                    Code::CONFIG_INVALID,
                    "tls",
                    "the operating system has no trusted certificates",
                )
                .with_fix("Set ca_file."));
            }
        }
    }
    let invalid = |e: rustls::Error| Fault::new(Code::CONFIG_INVALID, "tls", e.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_root_certificates(roots);
    let config = match (&options.client_certificate_file, &options.client_key_file) {
        (Some(certificate), Some(key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|e| unreadable(key_file, e))?;
            builder.with_client_auth_cert(certificates(certificate)?, key).map_err(invalid)?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => {
            let why = "client_certificate_file and client_key_file need each other";
            return Err(Fault::new(Code::CONFIG_INVALID, "tls", why));
        }
    };
    Ok(Arc::new(config))
}
