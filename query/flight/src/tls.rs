//! TLS of the door. Certificates are read again while it is open; new ones that are not good change
//! nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use skep_catalog::fault::{Code, Fault};

use crate::limits::TLS_FILE_BYTES_MAX;

/// Where certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain of the service, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Authorities whose certificates clients may show, PEM.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients must show one.
    pub is_client_certificate_required: bool,
}

/// What the files held.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// TLS with the certificates in effect.
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    /// As last read, whether it was good or not.
    seen: Mutex<Result<Contents, Fault>>,
}

impl Tls {
    /// With the certificates in these files.
    ///
    /// Errors: `CONFIG_UNREADABLE`, `CONFIG_INVALID`.
    pub fn new(files: TlsFiles) -> Result<Self, Fault> {
        let contents = Contents::read(&files)?;
        let config = ArcSwap::new(contents.config(&files)?);
        Ok(Self { files, config, seen: Mutex::new(Ok(contents)) })
    }

    /// What new connections are made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Reads the files again; whether new connections get something new. What was not good is told
    /// once.
    ///
    /// Errors: `CONFIG_UNREADABLE`, `CONFIG_INVALID`: the certificates of before stay.
    pub fn reload(&self) -> Result<bool, Fault> {
        let read = Contents::read(&self.files);
        let mut seen = self.seen.lock();
        if *seen == read {
            return Ok(false);
        }
        *seen = read;
        let contents = seen.as_ref().map_err(Fault::clone)?;
        self.config.store(contents.config(&self.files)?);
        Ok(true)
    }
}

fn unreadable(path: &Path, why: impl ToString) -> Fault {
    Fault::new(Code::CONFIG_UNREADABLE, format!("file {}", path.display()), why.to_string())
        .with_fix("Check the path, the permissions, and that the file is PEM.")
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, error))?;
    match bytes.len() as u64 <= TLS_FILE_BYTES_MAX {
        true => Ok(bytes),
        false => Err(unreadable(path, format!("it is longer than {TLS_FILE_BYTES_MAX} bytes"))),
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(unreadable(path, "it holds no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(path, error)),
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, Fault> {
        Ok(Self {
            certificate: read(&files.certificate_file)?,
            key: read(&files.key_file)?,
            client_ca: files.client_ca_file.as_deref().map(read).transpose()?,
        })
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, Fault> {
        let invalid = |path: &Path, why: &dyn std::fmt::Display| {
            Fault::new(Code::CONFIG_INVALID, format!("file {}", path.display()), why.to_string())
                .with_fix("Check that certificate and key are each other's.")
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Fault::internal("TLS", e.to_string()))?;
        let builder = match (&files.client_ca_file, &self.client_ca) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate).map_err(|e| unreadable(path, e))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match files.is_client_certificate_required {
                    true => verifier,
                    false => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|e| invalid(path, &e))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates(&files.certificate_file, &self.certificate)?;
        // The reader's own words could show a part of the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| unreadable(&files.key_file, "it holds no private key in PEM"))?;
        let mut config =
            builder.with_single_cert(chain, key).map_err(|e| invalid(&files.certificate_file, &e))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_good_is_told_once_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let files = TlsFiles {
            certificate_file: file("c.pem"),
            key_file: file("k.pem"),
            client_ca_file: None,
            is_client_certificate_required: false,
        };
        let made = rcgen::generate_simple_self_signed(vec!["skep.example".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(&files.certificate_file, &certificate).unwrap();
        std::fs::write(&files.key_file, &key).unwrap();
        let tls = Tls::new(files.clone()).unwrap();
        let first = tls.config();
        assert_eq!(tls.reload(), Ok(false));
        let large = "x".repeat(TLS_FILE_BYTES_MAX as usize + 1);
        for bad in [Some("PLANTED"), Some(&large), None, Some("-----BEGIN PRIVATE KEY-----\nPLANTED")] {
            match bad {
                Some(text) => std::fs::write(&files.key_file, text).unwrap(),
                None => std::fs::remove_file(&files.key_file).unwrap(),
            }
            let fault = tls.reload().unwrap_err();
            assert_eq!(fault.code, Code::CONFIG_UNREADABLE);
            assert!(!fault.to_string().contains("PLANTED") && fault.to_string().contains("k.pem"), "{fault}");
            assert_eq!(tls.reload(), Ok(false));
            assert!(Arc::ptr_eq(&first, &tls.config()));
        }
        std::fs::write(&files.key_file, &key).unwrap();
        assert_eq!(tls.reload(), Ok(true));
        assert!(!Arc::ptr_eq(&first, &tls.config()));
        assert_eq!(tls.reload(), Ok(false));
    }
}
