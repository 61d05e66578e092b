//! Proves who the gateway is to services of AWS: a signature over each request (Signature Version 4).

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use gatehouse_gate::AwsSigning;
use gatehouse_model::Secret;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;

/// The service whose paths are signed as they are, and that wants the digest of the body in a field.
const S3: &str = "s3";
/// The field with that digest, or with what stands for it.
const DIGEST: &str = "x-amz-content-sha256";
/// What stands for it where a body comes in AWS's own chunks, with a checksum behind them that nobody signs: so SDKs upload to S3. The
/// client wrote the chunks, so nothing else is true of them; S3 takes it over TLS alone.
const UNSIGNED_CHUNKS: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// Fields that are the signature's, whoever sent them.
const OF_SIGNATURE: [&str; 3] = [DIGEST, "x-amz-date", "x-amz-security-token"];

/// What signs, as it is kept: the secret alone, or what AWS's tools print of keys that expire, in JSON.
pub(super) struct Keys {
    id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

impl Keys {
    pub(super) fn read(signing: &AwsSigning, kept: &Secret) -> Option<Self> {
        let kept = std::str::from_utf8(kept.expose()).ok()?.trim();
        if !kept.starts_with('{') {
            let id = signing.access_key_id.clone()?;
            return Some(Self { id, secret: kept.into(), token: None });
        }
        let printed: serde_json::Value = serde_json::from_str(kept).ok()?;
        let text = |name: &str| printed.get(name).and_then(serde_json::Value::as_str).map(String::from);
        Some(Self { id: text("AccessKeyId")?, secret: text("SecretAccessKey")?, token: text("SessionToken") })
    }
}

/// Signs a request; `body` where it is there in whole. `None` if it cannot be signed.
pub(super) fn sign_request(
    signing: &AwsSigning,
    keys: Keys,
    (method, uri, body): (&Method, &Uri, Option<&[u8]>),
    headers: &mut HeaderMap,
    now: Timestamp,
) -> Option<()> {
    let is_chunked = signing.service == S3 && headers.get(DIGEST).is_some_and(|said| said == UNSIGNED_CHUNKS);
    for name in OF_SIGNATURE {
        headers.remove(name);
    }
    let authority = uri.authority()?.as_str();
    let usual = if uri.scheme_str() == Some("https") { ":443" } else { ":80" };
    let host = authority.strip_suffix(usual).unwrap_or(authority);
    headers.insert(HOST, HeaderValue::from_str(host).ok()?);
    let mut settings = SigningSettings::default();
    if signing.service == S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = Credentials::new(keys.id, keys.secret, keys.token, None, "gatehouse").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&signing.region)
        .name(&signing.service)
        .time(now.into())
        .settings(settings)
        .build()
        .ok()?
        .into();
    let is_signed = |name: &HeaderName| *name == HOST || *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-");
    let signed: Option<Vec<(&str, &str)>> = headers
        .iter()
        .filter(|(name, _)| is_signed(name))
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let body = match body {
        _ if is_chunked => SignableBody::StreamingUnsignedPayloadTrailer,
        Some(body) => SignableBody::Bytes(body),
        None => SignableBody::UnsignedPayload,
    };
    let uri = uri.to_string();
    let signable = SignableRequest::new(method.as_str(), &uri, signed?.into_iter(), body).ok()?;
    let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(())
}
