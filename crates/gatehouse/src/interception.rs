//! The gateway's own authority, by which it stands in for the hosts of its targets before clients that take it for their proxy.
//!
//! Its key is made once and kept with the gateway's others. It vouches for hosts that are targets and for no others.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use gatehouse_engine::ServerTls;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use zeroize::Zeroizing;

use crate::state::DataFolder;

/// What the authority calls itself.
const NAME: &str = "Gatehouse, standing in for its targets";
/// How many hosts' certificates are remembered.
const HOSTS_MAX: usize = 256;
/// How long a certificate is good, and for how long it is used, in days.
const GOOD_DAYS: i64 = 30;
const USED_DAYS: i64 = 7;
/// Clocks differ.
const EARLY_DAYS: i64 = 2;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, as PEM text.
    pub(crate) certificate: String,
    hosts: Mutex<HashMap<String, (Timestamp, ServerTls)>>,
}

impl Authority {
    /// The authority of a data folder, made where there is none.
    pub(crate) fn open(data: &DataFolder) -> Result<Self> {
        let (key_path, path) = (data.keys().join("interception"), data.keys().join("interception.crt"));
        if !key_path.exists() {
            let key = KeyPair::generate()?;
            let pem = Zeroizing::new(key.serialize_pem());
            let certificate = params()?.self_signed(&key)?.pem();
            // The key comes last: where it is, its certificate is.
            let mut file = std::fs::File::create(&path)?;
            file.write_all(certificate.as_bytes())?;
            file.sync_all()?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_path)?;
            file.write_all(pem.as_bytes())?;
            file.sync_all()?;
        }
        let pem = Zeroizing::new(
            std::fs::read_to_string(&key_path).with_context(|| format!("{} cannot be read", key_path.display()))?,
        );
        let damaged = || format!("{} is damaged: delete it, and a new one is made", key_path.display());
        let key = KeyPair::from_pem(&pem).with_context(damaged)?;
        let certificate =
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { issuer: Issuer::new(params()?, key), certificate, hosts: Mutex::default() })
    }

    /// What stands in for a host that is a target's.
    pub(crate) fn stands_in_for(&self, host: &str, now: Timestamp) -> Result<ServerTls> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_young = |made: &Timestamp| now.duration_since(*made) < SignedDuration::from_hours(24 * USED_DAYS);
        if let Some((_, tls)) = hosts.get(host).filter(|(made, _)| is_young(made)) {
            return Ok(tls.clone());
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![host.trim_matches(['[', ']']).to_string()])?;
        let ((year, month, early), (until_year, until_month, late)) = (day(now, -EARLY_DAYS), day(now, GOOD_DAYS));
        params.not_before = rcgen::date_time_ymd(year, month, early);
        params.not_after = rcgen::date_time_ymd(until_year, until_month, late);
        params.distinguished_name.push(DnType::CommonName, host);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = format!("{}{}", certificate.pem(), self.certificate);
        let pem = Zeroizing::new(key.serialize_pem());
        let tls = ServerTls::new(chain.as_bytes(), pem.as_bytes(), &[b"h2", b"http/1.1"], &[])?;
        if hosts.len() >= HOSTS_MAX {
            hosts.clear();
        }
        hosts.insert(host.into(), (now, tls.clone()));
        Ok(tls)
    }
}

fn params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// The year, the month and the day that is so many days away.
fn day(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let at = now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let (month, day) = (u8::try_from(date.month()).unwrap_or(1), u8::try_from(date.day()).unwrap_or(1));
    (i32::from(date.year()), month, day)
}
