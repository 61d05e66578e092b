//! Certificates for the tests, of authorities that exist for as long as one does.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

use crate::Setup;

/// A certificate, its key, and the authority that signed it, as PEM text.
pub struct Certificates {
    /// The authority's own.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Whoever signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::<String>::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "Test authority");
        let pem = parameters.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(parameters, key), pem })
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate of a server.
    pub fn server(&self, name: &str) -> Result<Certificates> {
        self.sign(CertificateParams::new(vec![name.to_string()])?)
    }

    /// The certificate of a client with a URI such as a SPIFFE ID, good until the beginning of that day, in UTC.
    pub fn client(&self, uri: &str, until: jiff::civil::Date) -> Result<Certificates> {
        let mut parameters = CertificateParams::new(Vec::<String>::new())?;
        parameters.subject_alt_names.push(SanType::URI(uri.try_into()?));
        parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let (month, day) = (until.month().unsigned_abs(), until.day().unsigned_abs());
        parameters.not_after = rcgen::date_time_ymd(until.year().into(), month, day);
        self.sign(parameters)
    }

    /// The certificate of a client with a common name alone.
    pub fn called(&self, name: DnValue) -> Result<Certificates> {
        let mut parameters = CertificateParams::new(Vec::<String>::new())?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        self.sign(parameters)
    }

    fn sign(&self, parameters: CertificateParams) -> Result<Certificates> {
        let key = KeyPair::generate()?;
        let signed = parameters.signed_by(&key, &self.issuer)?;
        Ok(Certificates { authority: self.pem.clone(), certificate: signed.pem(), key: key.serialize_pem() })
    }
}

/// A server's certificate, of an authority of its own.
pub fn certificates(name: &str) -> Result<Certificates> {
    Authority::new()?.server(name)
}

/// A listener with TLS.
pub fn tls_listener(certificates: &Certificates, required: bool) -> Setup {
    Setup {
        listen: format!("tls_certificate = \"server.crt\"\ntls_key = \"server.key\"\ntls_required = {required}\n"),
        files: vec![
            ("server.crt", certificates.certificate.clone()),
            ("server.key", certificates.key.clone()),
            ("root.crt", certificates.authority.clone()),
        ],
        ..Setup::default()
    }
}
