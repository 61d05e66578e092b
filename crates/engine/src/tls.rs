//! TLS on both sides, with rustls: certificates for listeners, libpq's modes for targets.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use gatehouse_gate::{Route, TlsIdentity, TlsMode, Trust};
use gatehouse_protocol::{ClientCertificate, TlsStarted};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use sha2::Digest as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificate;
use crate::wire::{Early, Wire};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text is not what it should be.
    #[error("the PEM text is not valid: {0}")]
    Pem(String),
    /// The certificate and the key do not fit, or are not usable.
    #[error("rustls does not accept it: {0}")]
    Rustls(#[from] rustls::Error),
    /// The target's name cannot stand in a certificate.
    #[error("`{0}` is not a host name")]
    Name(String),
}

/// Who vouches for clients' certificates.
#[derive(Debug, Clone)]
pub struct ClientAuthority {
    /// Its name in the configuration.
    pub name: String,
    /// Its certificates, as PEM text.
    pub pem: String,
}

/// A listener's certificate and key.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// What channel bindings call the certificate.
    endpoint: Option<Bytes>,
    authorities: Vec<(String, Arc<dyn ClientCertVerifier>)>,
}

impl ServerTls {
    /// From a PEM chain and a PEM key.
    /// Clients that name application protocols (RFC 7301) must name one of these.
    /// Clients may show a certificate that one of the authorities vouches for; another ends the handshake.
    pub fn new(
        chain: &[u8],
        key: &[u8],
        application_protocols: &[&[u8]],
        authorities: &[ClientAuthority],
    ) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|error| TlsError::Pem(error.to_string()))?;
        let endpoint = chain.first().and_then(endpoint);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Pem(error.to_string()))?;
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let config = match authorities {
            [] => config.with_no_client_auth(),
            all => {
                let pem: String = all.iter().map(|authority| format!("{}\n", authority.pem)).collect();
                config.with_client_cert_verifier(client_verifier(&pem, true)?)
            }
        };
        let mut config = config.with_single_cert(chain, key)?;
        config.alpn_protocols = application_protocols.iter().map(|name| name.to_vec()).collect();
        let each = |authority: &ClientAuthority| {
            Ok::<_, TlsError>((authority.name.clone(), client_verifier(&authority.pem, false)?))
        };
        let authorities = authorities.iter().map(each).collect::<Result<_, _>>()?;
        Ok(Self { config: Arc::new(config), endpoint, authorities })
    }

    /// Shakes hands with a client.
    pub(crate) async fn accept(&self, socket: Early) -> io::Result<(Wire, TlsStarted)> {
        let stream = TlsAcceptor::from(self.config.clone()).accept(socket).await?;
        let connection = stream.get_ref().1;
        let application = connection.alpn_protocol().map(Bytes::copy_from_slice);
        let client = connection.peer_certificates().and_then(|chain| self.client(chain)).map(Arc::new);
        Ok((Wire::Server(Box::new(stream)), TlsStarted { endpoint: self.endpoint.clone(), application, client }))
    }

    /// Shakes hands with a client inside of another connection.
    pub(crate) async fn stand_in<I: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: I,
    ) -> io::Result<tokio_rustls::server::TlsStream<I>> {
        TlsAcceptor::from(self.config.clone()).accept(io).await
    }

    /// What a client's certificate says, and who of all that are trusted vouches for it.
    fn client(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (own, others) = chain.split_first()?;
        let now = UnixTime::now();
        let vouches = |(_, verifier): &&(String, Arc<dyn ClientCertVerifier>)| {
            verifier.verify_client_cert(own, others, now).is_ok()
        };
        let authorities = self.authorities.iter().filter(vouches).map(|(name, _)| name.clone()).collect();
        let (names, expires) = certificate::names(own)?;
        Some(ClientCertificate { names, authorities, sha256: sha2::Sha256::digest(own).into(), expires })
    }
}

/// Whether certificates are such that clients' can be checked by them.
pub fn check_client_authority(pem: &str) -> Result<(), TlsError> {
    client_verifier(pem, false).map(|_| ())
}

fn client_verifier(pem: &str, is_optional: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|error| TlsError::Pem(error.to_string()))?)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if is_optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| TlsError::Pem(error.to_string()))
}

/// Shakes hands with a target.
pub(crate) async fn connect(
    route: &Route,
    socket: TcpStream,
    application_protocols: &[&[u8]],
) -> Result<(Wire, TlsStarted), ConnectError> {
    let Some((connector, name)) = connector(route, application_protocols)? else {
        return Err(TlsError::Name(route.host.clone()).into());
    };
    let stream = connector.connect(name, socket).await?;
    let connection = stream.get_ref().1;
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let application = connection.alpn_protocol().map(Bytes::copy_from_slice);
    let started = TlsStarted { endpoint: certificate.and_then(endpoint), application, client: None };
    Ok((Wire::Client(Box::new(stream)), started))
}

/// Whether a certificate and a key for targets fit each other.
pub fn check_identity(identity: &TlsIdentity) -> Result<(), TlsError> {
    let (chain, key) = identity_of(identity)?;
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain, key)?;
    Ok(())
}

/// Why TLS with a target failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Setup(#[from] TlsError),
    #[error(transparent)]
    Handshake(#[from] io::Error),
}

/// The digest of a certificate that the channel binding `tls-server-end-point` is (RFC 5929, section 4.1): by the hash
/// of its signature, or SHA-256 where that is MD5 or SHA-1. `None` where its signature names no hash.
fn endpoint(certificate: &CertificateDer<'_>) -> Option<Bytes> {
    use x509_cert::der::Decode as _;
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    let bytes: &[u8] = certificate;
    let digest = match parsed.signature_algorithm().oid.to_string().as_str() {
        // md5WithRSAEncryption, sha1WithRSAEncryption, sha256WithRSAEncryption, ecdsa-with-SHA1, ecdsa-with-SHA256
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => sha2::Sha256::digest(bytes).to_vec(),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => sha2::Sha384::digest(bytes).to_vec(),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => sha2::Sha512::digest(bytes).to_vec(),
        _ => return None,
    };
    Some(digest.into())
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The connector of a route, which offers these protocols (RFC 7301); `None` where TLS is disabled.
fn connector(
    route: &Route,
    application_protocols: &[&[u8]],
) -> Result<Option<(TlsConnector, ServerName<'static>)>, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = match route.tls {
        TlsMode::Disable => return Ok(None),
        TlsMode::Prefer | TlsMode::Require => Arc::new(Unverified(provider())),
        TlsMode::VerifyCa => Arc::new(AnyName(authorities(&route.trust)?)),
        TlsMode::VerifyFull => authorities(&route.trust)?,
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &route.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity_of(identity)?;
            config.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = application_protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(route.host.clone()).map_err(|_| TlsError::Name(route.host.clone()))?;
    Ok(Some((TlsConnector::from(Arc::new(config)), name)))
}

/// The gateway's own certificate and key for a target.
fn identity_of(identity: &TlsIdentity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let pem = |error: rustls::pki_types::pem::Error| TlsError::Pem(error.to_string());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose()).map_err(pem)?;
    Ok((chain.map_err(pem)?, key))
}

pub(crate) fn authorities(trust: &Trust) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Trust::Pem(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(|error| TlsError::Pem(error.to_string()))?)?;
            }
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| TlsError::Pem(error.to_string()))
}

/// The certificates, as DER, of the authorities that programs of this machine believe: those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name, where either is set, else the system's.
pub fn system_authorities() -> Vec<Vec<u8>> {
    read(&rustls_native_certs::load_native_certs())
}

/// The same of a file, or of a folder of files, with certificates in PEM.
pub fn authorities_at(path: &Path) -> Vec<Vec<u8>> {
    let (file, folder) = if path.is_dir() { (None, Some(path)) } else { (Some(path), None) };
    read(&rustls_native_certs::load_certs_from_paths(file, folder))
}

fn read(found: &rustls_native_certs::CertificateResult) -> Vec<Vec<u8>> {
    for error in &found.errors {
        tracing::warn!(%error, "a certificate of an authority cannot be read, and is left out");
    }
    found.certs.iter().map(|certificate| certificate.to_vec()).collect()
}

/// For the modes `prefer` and `require`, which protect from listeners but not from impostors, as in libpq.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// For the mode `verify-ca`: the chain counts, the name does not.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is checked last, so this error says that everything else was right.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
