//! Whom the tools of a command under `gatehouse run` believe: the gateway, and whomever they would have believed without it.
//!
//! Most tools take what a variable names in place of the system's authorities, not besides them. With the gateway's certificate alone
//! they could verify no host that is reached unseen, through a tunnel that policy permits.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gatehouse_engine::{authorities_at, system_authorities};

use crate::commands::write_private;

/// What names the authorities that OpenSSL, curl, Python, git, AWS's tools, Deno, pip and cargo believe, of hosts and of proxies.
const IN_PLACE: [&str; 9] = [
    SYSTEMS,
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_PROXY_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
];
/// The one of them that stands for the system's authorities, also to this program.
const SYSTEMS: &str = "SSL_CERT_FILE";
/// What names authorities that Node believes besides its own.
const BESIDES: &str = "NODE_EXTRA_CA_CERTS";
/// How long a line of PEM is (RFC 7468, section 2), in characters.
const PEM_LINE_CHARS: usize = 64;

/// Tags of DER (X.690), `EXPLICIT` for what PKCS#12 marks by 0.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT: u8 = 0xa0;
/// The version of PKCS#12 (RFC 7292, section 4).
const PKCS12_VERSION: u8 = 3;
/// Names of PKCS#7, 9 and 12: 1.2.840.113549.1.7.1, .12.10.1.3, .9.22.1 and .9.20.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const CERTIFICATE_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
/// By what Java knows that a certificate is trusted, and for what: 2.16.840.1.113894.746875.1.1, and anything, 2.5.29.37.0.
const TRUSTED_KEY_USAGE: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

/// What says whom tools believe.
pub(crate) struct Believed {
    /// The variables that name it.
    pub(crate) environment: BTreeMap<String, String>,
    /// The same in PKCS#12, for Java. It has no password.
    pub(crate) store: PathBuf,
}

impl Believed {
    /// Writes it into a folder; `own` are the gateway's certificates, as PEM.
    pub(crate) fn write(own: &str, folder: &Path) -> Result<Self> {
        Self::write_as(own, folder, |name| std::env::var_os(name).filter(|path| !path.is_empty()))
    }

    /// The same, where the caller's own environment says this.
    fn write_as(own: &str, folder: &Path, callers: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut environment = BTreeMap::new();
        let mut write = |name: &str, file: &str, others: &[Vec<u8>]| -> Result<PathBuf> {
            let path = folder.join(file);
            write_private(&path, format!("{own}{}", pem(others)).as_bytes())?;
            environment.insert(name.to_string(), path.display().to_string());
            Ok(path)
        };
        let system = system_authorities();
        let all = write(SYSTEMS, "authorities.crt", &system)?;
        // What somebody has a tool believe, it goes on believing.
        let mut shared = Vec::new();
        for name in IN_PLACE.into_iter().filter(|name| *name != SYSTEMS) {
            match callers(name) {
                Some(path) => {
                    write(name, &format!("{}.crt", name.to_ascii_lowercase()), &authorities_at(Path::new(&path)))?;
                }
                None => shared.push(name),
            }
        }
        let besides = callers(BESIDES).map(|path| authorities_at(Path::new(&path))).unwrap_or_default();
        write(BESIDES, "proxy.crt", &besides)?;
        environment.extend(shared.into_iter().map(|name| (name.to_string(), all.display().to_string())));
        let store = folder.join("authorities.p12");
        write_private(&store, &pkcs12(&authorities_at(&all)))?;
        Ok(Self { environment, store })
    }
}

fn pem(certificates: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in BASE64.encode(certificate).as_bytes().chunks(PEM_LINE_CHARS) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// A store of certificates that Java trusts (RFC 7292). None of them is a secret, so nothing is encrypted, and no password opens it.
fn pkcs12(certificates: &[Vec<u8>]) -> Vec<u8> {
    let bags: Vec<u8> = certificates.iter().enumerate().flat_map(|(number, found)| bag(number, found)).collect();
    let safes = der(SEQUENCE, &[&data(&der(SEQUENCE, &[&bags]))]);
    der(SEQUENCE, &[&der(INTEGER, &[&[PKCS12_VERSION]]), &data(&safes)])
}

/// A certificate, under a name of its own.
fn bag(number: usize, certificate: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = format!("authority-{number}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let attribute = |id: &[u8], value: &[u8]| der(SEQUENCE, &[&der(OID, &[id]), &der(SET, &[value])]);
    let named = attribute(FRIENDLY_NAME, &der(BMP_STRING, &[&name]));
    let trusted = attribute(TRUSTED_KEY_USAGE, &der(OID, &[ANY_USAGE]));
    let held = der(SEQUENCE, &[&der(OID, &[X509_CERTIFICATE]), &der(EXPLICIT, &[&der(OCTETS, &[certificate])])]);
    der(SEQUENCE, &[&der(OID, &[CERTIFICATE_BAG]), &der(EXPLICIT, &[&held]), &der(SET, &[&named, &trusted])])
}

/// Content that is there as it is (RFC 5652, section 4).
fn data(content: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[&der(OID, &[DATA]), &der(EXPLICIT, &[&der(OCTETS, &[content])])])
}

/// A value in DER: its tag, its length, its parts.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut value = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => value.push(short),
        Ok(_) | Err(_) => {
            let length = content.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|digit| *digit == 0).collect();
            value.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            value.extend(digits);
        }
    }
    value.extend(content);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> String {
        let made = rcgen::generate_simple_self_signed([name.to_string()]).map(|made| made.cert.pem());
        made.unwrap_or_default()
    }

    #[test]
    fn what_somebody_has_a_tool_believe_it_goes_on_believing() {
        let folder = tempfile::tempdir().unwrap();
        let (own, theirs, extra) = (certificate("gateway"), certificate("theirs"), certificate("extra"));
        let (of_git, of_node) = (folder.path().join("git.pem"), folder.path().join("node.pem"));
        std::fs::write(&of_git, &theirs).unwrap();
        std::fs::write(&of_node, &extra).unwrap();
        let written = folder.path().join("run");
        std::fs::create_dir(&written).unwrap();
        let callers = |name: &str| match name {
            "GIT_SSL_CAINFO" => Some(of_git.clone().into_os_string()),
            "NODE_EXTRA_CA_CERTS" => Some(of_node.clone().into_os_string()),
            _ => None,
        };
        let believed = Believed::write_as(&own, &written, callers).unwrap();
        assert_eq!(believed.environment.len(), IN_PLACE.len() + 1);
        let named = |name: &str| authorities_at(Path::new(&believed.environment[name]));
        let ders = |pem: &str| {
            let path = folder.path().join("one.pem");
            std::fs::write(&path, pem).unwrap();
            authorities_at(&path)
        };
        assert_eq!(named("GIT_SSL_CAINFO"), ders(&format!("{own}{theirs}")));
        assert_eq!(named("NODE_EXTRA_CA_CERTS"), ders(&format!("{own}{extra}")), "Node adds them to its own");
        assert_eq!(believed.environment["CURL_CA_BUNDLE"], believed.environment["SSL_CERT_FILE"]);
        let mut systems = [ders(&own), system_authorities()].concat();
        systems.sort_unstable();
        systems.dedup();
        assert_eq!(named("SSL_CERT_FILE"), systems);
        let store = std::fs::read(&believed.store).unwrap();
        assert!(systems.iter().all(|one| store.windows(one.len()).any(|part| part == one.as_slice())));
    }

    #[test]
    fn lengths_of_der_have_as_many_digits_as_they_need() {
        assert_eq!(der(OCTETS, &[]), [0x04, 0x00]);
        assert_eq!(der(OCTETS, &[&[7; 0x7f]])[..2], [0x04, 0x7f]);
        assert_eq!(der(OCTETS, &[&[7; 0x80]])[..3], [0x04, 0x81, 0x80]);
        assert_eq!(der(OCTETS, &[&[7; 0x80], &[7; 0x80]])[..4], [0x04, 0x82, 0x01, 0x00]);
    }
}
