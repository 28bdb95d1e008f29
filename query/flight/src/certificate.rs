//! The names in a certificate that a client shows.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// Types of texts: UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// DNS names, URIs and common names, in this order; none of one that cannot be read.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let mut names: Vec<String> = certificate.valid_dns_names().map(str::to_owned).collect();
    names.extend(certificate.valid_uri_names().map(str::to_owned));
    names.extend(common_names(certificate.subject()));
    names
}

/// The common names of a subject: sets of pairs of type and value, one after the other (X.501, in
/// DER).
fn common_names(subject: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut sets = subject;
    while let Some((SET, set, rest)) = value(sets) {
        sets = rest;
        let mut pairs = set;
        while let Some((SEQUENCE, pair, rest)) = value(pairs) {
            pairs = rest;
            let Some((OBJECT_IDENTIFIER, COMMON_NAME, named)) = value(pair) else { continue };
            let text = value(named).filter(|(tag, ..)| TEXTS.contains(tag));
            names.extend(text.and_then(|(_, text, _)| String::from_utf8(text.to_vec()).ok()));
        }
    }
    names
}

/// The tag, the content and what follows it of the first value in DER.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, bytes) = bytes.split_first()?;
    let (length, bytes) = bytes.split_first()?;
    let (length, bytes) = match *length {
        length @ 0..=0x7f => (usize::from(length), bytes),
        // More than two bytes of length are more than a name has.
        0x81 => (usize::from(*bytes.first()?), &bytes[1..]),
        0x82 => (usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?])), &bytes[2..]),
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(dns: &[&str], uri: Option<&str>, common: Option<&str>) -> CertificateDer<'static> {
        let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "skep");
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn all_names_are_found() {
        let uri = "spiffe://skep.example/ann";
        let found = names(&certificate(&["ann.example", "a.example"], Some(uri), Some("Ann Ünlü")));
        assert_eq!(found, ["ann.example", "a.example", uri, "Ann Ünlü"]);
        assert_eq!(names(&certificate(&[], None, None)), Vec::<String>::new());
        let long = "n".repeat(300);
        assert_eq!(names(&certificate(&[], None, Some(&long))), [long]);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = certificate(&["ann.example"], None, Some("ann"));
        for length in 0..whole.len() {
            names(&CertificateDer::from(whole[..length].to_vec()));
        }
        let der = EndEntityCert::try_from(&whole).unwrap().subject().to_vec();
        for index in 0..der.len() {
            for byte in 0..=u8::MAX {
                let mut changed = der.clone();
                changed[index] = byte;
                common_names(&changed);
                common_names(&changed[..index]);
            }
        }
    }
}
