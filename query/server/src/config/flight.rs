//! `[flight]` with what is below it: TLS and users.

use std::path::{Path, PathBuf};

use skep_catalog::fault::Fault;
use skep_flight::{Protection, TlsFiles, TokenHash, User, check_listen};
use skep_query::{Role, Scope};

use super::options::{FlightSection, FlightTlsSection, UserSection};
use super::reader::{TableReader, check_readable, read_array, read_section_with};
use super::section::{Section, Setting, closed, of_subject};
use super::value::Secrets;

/// Bytes of a user's name.
const USER_NAME_BYTES_MAX: usize = 128;
/// Principals that are no users.
const RESERVED_NAMES: [&str; 2] = ["anonymous", "local"];

/// The door for SQL clients, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct FlightConfig {
    /// Its own options.
    pub options: FlightSection,
    /// TLS, when its section is there.
    pub tls: Option<FlightTlsSection>,
    /// Users in the order of the file.
    pub users: Vec<UserConfig>,
}

/// A user of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct UserConfig {
    /// As written.
    pub options: UserSection,
    /// The same as the door takes it.
    pub user: User,
}

impl FlightConfig {
    /// Reads `[flight]`; `None` when it is not there.
    ///
    /// Errors: `CONFIG_INVALID`.
    pub fn read(top: &TableReader<'_, '_>, folder: &Path) -> Result<Option<Self>, Fault> {
        let source = top.source;
        let Some((offset, reader, options)) =
            read_section_with::<FlightSection>(top, folder, &["tls", "user"])?
        else {
            return Ok(None);
        };
        let tls = read_section_with::<FlightTlsSection>(&reader, folder, &[])?;
        let tls = tls.map(|(offset, _, tls)| match check_tls(&tls) {
            Ok(()) => Ok(tls),
            Err((key, why)) => Err(source.invalid(offset, &format!("flight.tls.{key}"), why)),
        });
        let tls = tls.transpose()?;
        let has_client_ca = tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
        let mut users: Vec<UserConfig> = Vec::new();
        for (offset, mut table) in read_array(&reader, "user", "flight.user")? {
            let options = UserSection::read(&mut table, folder)?;
            let at = |key| table.get(key).map_or(offset, |(offset, _)| offset);
            let user = checked(&options, &users, has_client_ca)
                .map_err(|(key, why)| source.invalid(at(key), &format!("flight.user.{key}"), why))?;
            users.push(UserConfig { options, user });
        }
        let is_protected = tls.is_some() && !users.is_empty();
        check_listen(&options.listen, is_protected, options.insecure_listen_without_tls_or_users)
            .map_err(|(why, fix)| source.invalid(offset, "flight.listen", why).with_fix(fix))?;
        Ok(Some(Self { options, tls, users }))
    }

    /// As the door takes it.
    pub fn protection(&self) -> Protection {
        Protection {
            tls: self.tls.as_ref().map(|tls| TlsFiles {
                certificate_file: tls.cert_file.clone(),
                key_file: tls.key_file.clone(),
                client_ca_file: tls.client_ca_file.clone(),
                is_client_certificate_required: tls.client_cert_required,
            }),
            users: self.users(),
            bearer_lifetime_ms: self.options.bearer_lifetime_ms,
        }
    }

    /// The users, as the door takes them.
    pub fn users(&self) -> Vec<User> {
        self.users.iter().map(|user| user.user.clone()).collect()
    }

    /// How clients on this machine write the address.
    pub fn uri(&self) -> String {
        let scheme = if self.tls.is_some() { "grpc+tls" } else { "grpc" };
        let listen = &self.options.listen;
        let listen = match listen.parse::<std::net::SocketAddr>() {
            Ok(address) if address.ip().is_unspecified() => match address.is_ipv4() {
                true => format!("127.0.0.1:{}", address.port()),
                false => format!("[::1]:{}", address.port()),
            },
            _ => listen.clone(),
        };
        format!("{scheme}://{listen}")
    }

    /// The values in effect; those of a door that is not open when it is `None`.
    pub fn settings(config: Option<&Self>) -> Vec<Setting> {
        let Some(Self { options, tls, users }) = config else {
            return closed(FlightSection::default().settings());
        };
        let mut settings = options.settings();
        settings.extend(tls.iter().flat_map(Section::settings));
        for user in users {
            let name = &user.options.name;
            let subject = skep_query::Subject::User(name.clone());
            settings.extend(of_subject(user.options.settings(), "flight.user.", name, &subject));
        }
        settings
    }
}

type Wrong = (&'static str, String);

/// Files must be readable now, not at the first connection.
fn check_tls(tls: &FlightTlsSection) -> Result<(), Wrong> {
    if tls.client_cert_required && tls.client_ca_file.is_none() {
        let why = "certificates of clients cannot be checked without client_ca_file".to_owned();
        return Err(("client_cert_required", why));
    }
    let required = |file: &PathBuf| Some(file.clone());
    check_readable(&[
        ("cert_file", &required(&tls.cert_file)),
        ("key_file", &required(&tls.key_file)),
        ("client_ca_file", &tls.client_ca_file),
    ])
}

/// The user, with nothing that another one has. What was written as a secret is in no message.
fn checked(options: &UserSection, others: &[UserConfig], has_client_ca: bool) -> Result<User, Wrong> {
    let name = &options.name;
    // Basic authentication ends the name with a colon.
    let is_name = name.len() <= USER_NAME_BYTES_MAX && !name.chars().any(|c| c == ':' || c.is_control());
    if !is_name || RESERVED_NAMES.contains(&name.as_str()) {
        let why = format!(
            "{name:?} is no name for a user: at most {USER_NAME_BYTES_MAX} bytes without colons, and none of {}",
            RESERVED_NAMES.join(", ")
        );
        return Err(("name", why));
    }
    if others.iter().any(|other| other.options.name == *name) {
        return Err(("name", format!("a user named {name:?} is declared twice")));
    }
    let password = options.password_hash.as_ref().map(|hash| hash.0.parse()).transpose();
    let password = password.map_err(|why: &str| ("password_hash", why.to_owned()))?;
    let hashes = options.token_hashes.as_ref().map(|Secrets(hashes)| hashes.as_slice()).unwrap_or_default();
    let tokens: Result<Vec<TokenHash>, &str> = hashes.iter().map(|hash| hash.parse()).collect();
    let tokens = tokens.map_err(|why| ("token_hashes", why.to_owned()))?;
    let certificate_names = options.cert_names.clone().unwrap_or_default();
    for other in others {
        if other.user.tokens.iter().any(|token| tokens.contains(token)) {
            let why = format!("user {:?} has the same token: nobody could tell who asks", other.user.name);
            return Err(("token_hashes", why));
        }
        if let Some(shared) = other.user.certificate_names.iter().find(|own| certificate_names.contains(own))
        {
            let why = format!("{shared:?} is a name of user {:?} already", other.user.name);
            return Err(("cert_names", why));
        }
    }
    if !certificate_names.is_empty() && !has_client_ca {
        let why = "certificates of clients are not looked at without flight.tls.client_ca_file".to_owned();
        return Err(("cert_names", why));
    }
    if password.is_none() && tokens.is_empty() && certificate_names.is_empty() {
        let why = format!("nobody could be {name:?}: it has no password_hash, token_hashes or cert_names");
        return Err(("name", why));
    }
    for pattern in options.databases.iter().flatten() {
        Scope::check_database_pattern(pattern).map_err(|why| ("databases", why))?;
    }
    let role = match options.role.as_str() {
        "admin" => Role::Admin,
        "operator" => Role::Operator,
        _ => Role::Reader,
    };
    let scope = Scope::new(options.metastores.clone(), options.databases.clone()).into();
    Ok(User { name: name.clone(), role, scope, password, tokens, certificate_names })
}
