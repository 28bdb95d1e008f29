//! Users with passwords, tokens and TLS, with real clients; and what a service tells of them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use skep_sample::{Content, Generation, SampleServer, SampleSpec, ServerOptions};
use skep_tests::harness::process::Guarded;
use skep_tests::harness::skep::{Outcome, binary, json_rows};
use skep_tests::harness::{Skep, parts, python};

const PASSWORD: &str = "planted-password-of-ann";
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a command with this standard input and these variables.
fn run(arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(binary());
    command.args(arguments).envs(variables.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Writes an authority's certificate, and the service's with its key.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    for (file, text) in
        [("ca.pem", authority.pem()), ("skep.pem", certificate.pem()), ("skep.key", key.serialize_pem())]
    {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

struct Service {
    skep: Skep,
    _server: SampleServer,
    _service: Guarded,
    folder: tempfile::TempDir,
    token: String,
    hashes: [String; 2],
    uri: String,
}

/// A service that logs everything it can, with user `ann`, who sees one database, and `bob`.
fn service() -> Service {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let hash = run(&["hash-password"], &format!("{PASSWORD}\n"), &[]);
    assert_eq!(hash.code, Some(0), "{hash:?}");
    let made = run(&["token"], "", &[]);
    let [token, token_hash] = &made.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{made:?}") };
    let spec = SampleSpec::new("dc1", Generation::V3_1, Content::Company);
    let server = SampleServer::start(&spec, ServerOptions::default()).unwrap();
    let first = {
        let skep = Skep::of(&[("dc1", server.uri())]);
        skep.sync();
        let rows = skep.rows("SELECT min(database_name) AS first FROM catalog.tables");
        rows[0]["first"].as_str().unwrap().to_owned()
    };
    let file = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        "[[metastore]]\nname = \"dc1\"\nuris = [\"{}\"]\n\
         [flight.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n\
         [[flight.user]]\nname = \"ann\"\npassword_hash = \"{}\"\ndatabases = [\"{first}\"]\n\
         [[flight.user]]\nname = \"bob\"\nrole = \"admin\"\ntoken_hashes = [\"{token_hash}\"]\n",
        server.uri(),
        file("skep.pem"),
        file("skep.key"),
        hash.stdout.trim(),
    );
    let skep = Skep::with_config(&config);
    // Everything that any crate has to say; the store's is much, and of no interest here.
    let service = skep.serve_with(&[("RUST_LOG", "trace,sled=warn")]);
    let uri = skep.sql_door();
    skep.wait_until_mirrored();
    let hashes = [hash.stdout.trim().to_owned(), (*token_hash).to_owned()];
    Service { skep, _server: server, _service: service, token: (*token).to_owned(), folder, hashes, uri }
}

#[test]
fn users_come_in_with_real_clients_and_their_secrets_are_told_nowhere() {
    let service = service();
    let Service { skep, token, hashes, uri, .. } = &service;
    assert!(uri.starts_with("grpc+tls://127.0.0.1:"), "{uri}");
    let ca = service.folder.path().join("ca.pem").display().to_string();
    let done = python::adbc("login.py", &[uri, &ca, PASSWORD, token]);
    for what in ["password", "token", "token as password", "rows in scope", "strangers", "unknown authority"]
    {
        assert!(done.iter().any(|line| line == what), "{what} is not in {done:?}");
    }
    let address = uri.replace("grpc+tls://", "");
    let done = parts::java_client("Login", &[&address, &ca, PASSWORD, token]);
    for what in ["password", "token", "strangers", "unknown authority"] {
        assert!(done.iter().any(|line| line == what), "{what} is not in {done:?}");
    }

    let sql = "SELECT principal FROM runtime.queries; SELECT * FROM runtime.settings; SELECT * FROM runtime.query_history";
    let ask = |more: &[&str], variables: &[(&str, &str)]| {
        let arguments = ["sql", "--connect", uri, "--ca-file", &ca, "--output", "json", "-c", sql];
        run(&[&arguments[..], more].concat(), "", variables)
    };
    let secret = service.folder.path().join("secret");
    std::fs::write(&secret, format!("{PASSWORD}\n")).unwrap();
    let secret = secret.display().to_string();
    let mut told = Vec::new();
    for (more, variables, who) in [
        (&["--user", "ann", "--password-file", &secret][..], &[][..], "ann"),
        (&["--user", "ann"], &[("SKEP_PASSWORD", PASSWORD)], "ann"),
        (&[], &[("SKEP_USER", "ann"), ("SKEP_PASSWORD", PASSWORD)], "ann"),
        (&[], &[("SKEP_TOKEN", token.as_str())], "bob"),
    ] {
        let outcome = ask(more, variables);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let first = outcome.stdout.split_inclusive(']').next().unwrap();
        assert_eq!(json_rows(first)[0]["principal"], who, "{outcome:?}");
        told.extend([outcome.stdout, outcome.stderr]);
    }
    let refused = ask(&["--user", "ann"], &[("SKEP_PASSWORD", "planted-wrong")]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("UNAUTHENTICATED"), "{refused:?}");
    told.push(refused.stderr);
    // The same from the config of the service that holds the catalog: its certificate is not of this address.
    let local = skep.run("sql", &["--ca-file", &ca, "-c", "SELECT 1"], TIMEOUT);
    told.push(local.stderr);

    let log = skep.log();
    assert!(log.contains("not authenticated"), "{log}");
    told.push(log);
    for secret in [PASSWORD, "planted-wrong", token, &hashes[0], &hashes[1], "BEGIN PRIVATE KEY"] {
        for text in &told {
            let at = text.find(secret);
            assert_eq!(at, None, "{secret}: {}", at.map_or("", |at| &text[at.saturating_sub(300)..]));
        }
    }
}
