//! Connections with TLS: who is trusted, and certificates that change while the door is open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use skep_catalog::fault::Code;
use skep_catalog::ports::SystemClock;
use skep_flight::client::{Client, ConnectOptions, Login};
use skep_flight::{Protection, TlsFiles, User};
use skep_query::{EngineOptions, Role};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::auth::{PFERD, user};
use crate::fixture::{Served, eventually, texts};

/// An authority, and where its certificate is.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Writes a certificate and its key; the files.
    fn issue(&self, folder: &Path, file: &str, names: &[&str], common: &str) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = (folder.join(format!("{file}.crt")), folder.join(format!("{file}.key")));
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }
}

struct Secured {
    served: Served,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Secured {
    async fn start(is_client_certificate_required: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "authority");
        let (certificate_file, key_file) =
            authority.issue(folder.path(), "skep", &["localhost", "127.0.0.1"], "skep 1");
        let tls = TlsFiles {
            certificate_file,
            key_file,
            client_ca_file: Some(authority.file.clone()),
            is_client_certificate_required,
        };
        let ann = User { password: Some(PFERD.parse().unwrap()), ..user("ann", Role::Reader) };
        let by_name = User { certificate_names: vec!["bob.example".into()], ..user("bob", Role::Operator) };
        let by_common = User { certificate_names: vec!["Carl".into()], ..user("carl", Role::Admin) };
        let users = vec![ann, by_name, by_common];
        let protection = Protection { tls: Some(tls), users, ..Protection::default() };
        let options = EngineOptions { threads: 2, ..EngineOptions::default() };
        let served = Served::start_as(options, protection, Arc::new(SystemClock)).await;
        Self { served, authority, folder }
    }

    fn uri(&self) -> String {
        format!("{}://localhost:{}", self.served.door.scheme(), self.served.door.address().port())
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions { ca_file: Some(self.authority.file.clone()), ..ConnectOptions::default() }
    }

    fn with_certificate(&self, files: (PathBuf, PathBuf)) -> ConnectOptions {
        ConnectOptions { client_certificate: Some(files), ..self.options() }
    }

    /// The certificate that the door shows to a client of rustls.
    async fn shown(&self) -> CertificateDer<'static> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority.file).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.served.door.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }
}

/// Who a client is, as the service sees it.
async fn who(uri: &str, options: &ConnectOptions) -> Result<String, skep_catalog::fault::Fault> {
    let client = Client::connect(uri, options).await?;
    let mut answer = client.query("SELECT principal FROM runtime.queries WHERE state = 'running'").await?;
    let mut batches = Vec::new();
    while let Some(batch) = answer.next().await {
        batches.push(batch?);
    }
    Ok(texts(&batches).concat().join(" "))
}

fn password(user: &str, password: &str) -> Option<Login> {
    Some(Login::Password { user: user.to_owned(), password: password.to_owned() })
}

#[tokio::test]
async fn users_come_in_with_password_token_and_certificate() {
    let secured = Secured::start(false).await;
    let (uri, folder) = (secured.uri(), secured.folder.path());
    let by_password = ConnectOptions { login: password("ann", "pferd"), ..secured.options() };
    assert_eq!(who(&uri, &by_password).await.unwrap(), "ann");
    let by_token = ConnectOptions { login: Some(Login::Token("bob-token".into())), ..secured.options() };
    assert_eq!(who(&uri, &by_token).await.unwrap(), "bob");
    let bob = secured.authority.issue(folder, "bob", &["bob.example"], "Bob");
    assert_eq!(who(&uri, &secured.with_certificate(bob.clone())).await.unwrap(), "bob");
    let carl = secured.authority.issue(folder, "carl", &[], "Carl");
    assert_eq!(who(&uri, &secured.with_certificate(carl)).await.unwrap(), "carl");
    // What the call says counts more than the certificate.
    let both = ConnectOptions { login: password("ann", "pferd"), ..secured.with_certificate(bob) };
    assert_eq!(who(&uri, &both).await.unwrap(), "ann");

    let dave = secured.authority.issue(folder, "dave", &["dave.example"], "Dave");
    for refused in [
        secured.options(),
        secured.with_certificate(dave),
        ConnectOptions { login: password("ann", "wrong"), ..secured.options() },
        ConnectOptions { login: Some(Login::Token("x".into())), ..secured.options() },
    ] {
        let fault = who(&uri, &refused).await.unwrap_err();
        assert_eq!(fault.code, Code::UNAUTHENTICATED, "{fault}");
        assert!(!format!("{refused:?} {fault}").contains("wrong"));
    }
}

#[tokio::test]
async fn connections_that_cannot_be_trusted_are_not_made() {
    let secured = Secured::start(true).await;
    let (uri, folder) = (secured.uri(), secured.folder.path());
    let other = Authority::new(folder, "other");
    let bob = secured.authority.issue(folder, "bob", &["bob.example"], "Bob");
    let forged = other.issue(folder, "forged", &["bob.example"], "Bob");
    assert_eq!(who(&uri, &secured.with_certificate(bob.clone())).await.unwrap(), "bob");
    let unknown =
        ConnectOptions { ca_file: Some(other.file.clone()), ..secured.with_certificate(bob.clone()) };
    for refused in [
        secured.options(),
        secured.with_certificate(forged),
        unknown,
        ConnectOptions { login: password("ann", "pferd"), ..secured.options() },
    ] {
        let fault = who(&uri, &refused).await.unwrap_err();
        assert_eq!(fault.code, Code::SERVICE_UNREACHABLE, "{fault}");
    }
    let plain = uri.replace("grpc+tls", "grpc");
    let fault = who(&plain, &secured.with_certificate(bob)).await.unwrap_err();
    assert_eq!(fault.code, Code::SERVICE_UNREACHABLE, "{fault}");
    let no_file = ConnectOptions { ca_file: Some("/nowhere/ca.pem".into()), ..ConnectOptions::default() };
    assert_eq!(who(&uri, &no_file).await.unwrap_err().code, Code::CONFIG_UNREADABLE);
}

#[tokio::test]
async fn certificates_change_while_the_door_is_open() {
    let secured = Secured::start(false).await;
    let (uri, folder) = (secured.uri(), secured.folder.path());
    let options = ConnectOptions { login: password("ann", "pferd"), ..secured.options() };
    let before = Client::connect(&uri, &options).await.unwrap();
    let first = secured.shown().await;
    assert_eq!(secured.shown().await, first);

    // Files that are not good change nothing, whatever is wrong with them.
    let (certificate, key) = (folder.join("skep.crt"), folder.join("skep.key"));
    let (good_certificate, good_key) = (std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap());
    let (_, foreign_key) = secured.authority.issue(folder, "foreign", &["localhost"], "foreign");
    for (file, bytes) in [
        (&certificate, b"PLANTED nonsense".to_vec()),
        (&certificate, Vec::new()),
        (&key, std::fs::read(&foreign_key).unwrap()),
        (&key, b"-----BEGIN PRIVATE KEY-----\nPLANTED\n-----END PRIVATE KEY-----\n".to_vec()),
    ] {
        std::fs::write(file, bytes).unwrap();
        secured.served.door.reload_certificates();
        assert_eq!(secured.shown().await, first);
        std::fs::write(&certificate, &good_certificate).unwrap();
        std::fs::write(&key, &good_key).unwrap();
    }
    std::fs::remove_file(&key).unwrap();
    secured.served.door.reload_certificates();
    assert_eq!(secured.shown().await, first);

    secured.authority.issue(folder, "skep", &["localhost"], "skep 2");
    secured.served.door.reload_certificates();
    let second = secured.shown().await;
    assert_ne!(second, first);
    // Nobody has to tell.
    secured.authority.issue(folder, "skep", &["localhost"], "skep 3");
    eventually("the third certificate", async || secured.shown().await != second).await;
    // Connections from before go on.
    let mut answer = before.query("SELECT 1").await.unwrap();
    assert_eq!(texts(&[answer.next().await.unwrap().unwrap()]), [["1"]]);
    assert_eq!(who(&uri, &options).await.unwrap(), "ann");
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_out() {
    let secured = Secured::start(false).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(secured.served.door.address()).await.unwrap());
    }
    let options = ConnectOptions { login: password("ann", "pferd"), ..secured.options() };
    assert_eq!(who(&secured.uri(), &options).await.unwrap(), "ann");
}
