//! What a client's certificate is for: the names that stand in it (RFC 5280, section 4.2.1.6).
//!
//! Knows the form of certificates. Whether one is to be believed the handshake has found out.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The most names that are read of one.
const NAMES_MAX: usize = 64;
/// `id-at-commonName`.
const COMMON_NAME: &str = "2.5.4.3";

/// Its names, as `uri:…`, `dns:…`, `email:…` and `cn:…`, and until when it is good, in seconds of Unix time. `None` where it
/// cannot be read.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Option<(Vec<String>, i64)> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let certificate = parsed.tbs_certificate();
    let mut names = Vec::new();
    if let Some((_, alternative)) = certificate.get_extension::<SubjectAltName>().ok()? {
        for name in &alternative.0 {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => names.push(format!("uri:{uri}")),
                GeneralName::DnsName(name) => names.push(format!("dns:{name}")),
                GeneralName::Rfc822Name(address) => names.push(format!("email:{address}")),
                _ => {}
            }
        }
    }
    for part in certificate.subject().iter().filter(|part| part.oid.to_string() == COMMON_NAME) {
        // Of other kinds of strings the same bytes are other characters.
        let is_read = matches!(part.value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
        let text = std::str::from_utf8(part.value.value()).ok().filter(|_| is_read);
        names.extend(text.map(|text| format!("cn:{text}")));
    }
    let expires = certificate.validity().not_after.to_unix_duration().as_secs();
    (names.len() <= NAMES_MAX).then_some((names, i64::try_from(expires).ok()?))
}
