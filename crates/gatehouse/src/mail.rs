//! Sends mail by a server that the configuration names (SMTP, RFC 5321).

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::http::Uri;
use gatehouse_gate::Trust;
use gatehouse_model::Secret;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::web;

/// How long a server may take for a step.
const STEP: Duration = Duration::from_secs(10);
/// How long it may take for all of a delivery.
const DELIVERY: Duration = Duration::from_secs(20);
/// The longest subject, in characters: one line (RFC 5322, 2.1.1).
const SUBJECT_CHARS_MAX: usize = 120;

/// How a connection to a mail server begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// With TLS.
    Tls,
    /// With STARTTLS, without which nothing is sent.
    StartTls,
    /// Without TLS, on this machine alone.
    Clear,
}

/// Where mail is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailServer {
    host: String,
    port: u16,
    beginning: Beginning,
}

impl MailServer {
    /// Reads `smtps://HOST:PORT` or `smtp://HOST:PORT`. On this machine the second does without TLS, unless it is vouched for.
    pub(crate) fn parse(text: &str, is_vouched_for: bool) -> Result<Self> {
        let uri: Uri = text.parse().with_context(|| format!("`{}` is no address", web::shown(text)))?;
        let is_bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let (Some(host), true, false) = (uri.host(), is_bare, authority.contains('@')) else {
            bail!("`{}` is no address of a mail server", web::shown(text));
        };
        let (port, beginning) = match uri.scheme_str() {
            Some("smtps") => (465, Beginning::Tls),
            Some("smtp") if web::is_here(host) && !is_vouched_for => (25, Beginning::Clear),
            Some("smtp") => (587, Beginning::StartTls),
            _ => bail!("`{}` is no address of a mail server", web::shown(text)),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').into();
        Ok(Self { host, port: uri.port_u16().unwrap_or(port), beginning })
    }
}

/// Somebody who gets mail.
#[derive(Clone)]
pub(crate) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Nobody needs to answer (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// Why mail was not taken, and whether it is of use to try again.
pub(crate) struct NotTaken {
    pub(crate) cause: String,
    pub(crate) is_final: bool,
}

impl Mail {
    /// Mail from one to others by a server, with an account there or without.
    pub(crate) fn new(
        server: &MailServer,
        account: Option<(String, Secret)>,
        trust: &Trust,
        from: Mailbox,
        to: Vec<Mailbox>,
    ) -> Result<Self> {
        let tls = || -> Result<TlsParameters> {
            let mut parameters = TlsParameters::builder(server.host.clone());
            if let Trust::Pem(pem) = trust {
                parameters = parameters.certificate_store(CertificateStore::None);
                for certificate in pem_certificates(pem)? {
                    parameters = parameters.add_root_certificate(certificate);
                }
            }
            Ok(parameters.build_rustls()?)
        };
        let tls = match server.beginning {
            Beginning::Tls => Tls::Wrapper(tls()?),
            Beginning::StartTls => Tls::Required(tls()?),
            Beginning::Clear => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host);
        transport = transport.port(server.port).tls(tls).timeout(Some(STEP));
        if let Some((user, secret)) = account {
            transport =
                transport.credentials(Credentials::new(user, String::from_utf8_lossy(secret.expose()).into_owned()));
        }
        Ok(Self { transport: transport.build(), from, to })
    }

    /// Sends a text. The same `id` is the same message, however often it is sent.
    pub(crate) async fn send(&self, id: &str, subject: &str, text: &str) -> Result<(), NotTaken> {
        let is_shown = |c: &char| !c.is_control();
        // What looks encoded would be decoded by whoever reads it (RFC 2047).
        let subject: String = subject.replace("=?", "= ?").chars().filter(is_shown).take(SUBJECT_CHARS_MAX).collect();
        let mut message = Message::builder().from(self.from.clone()).subject(subject).header(AutoSubmitted);
        message = message.message_id(Some(format!("<{id}@{}>", self.from.email.domain())));
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message.header(ContentType::TEXT_PLAIN).body(text.to_string());
        let message = message.map_err(|error| NotTaken { cause: error.to_string(), is_final: true })?;
        match tokio::time::timeout(DELIVERY, self.transport.send(message)).await {
            Ok(sent) => {
                sent.map(|_| ()).map_err(|error| NotTaken { is_final: error.is_permanent(), cause: error.to_string() })
            }
            Err(_) => {
                Err(NotTaken { cause: format!("it takes longer than {} s", DELIVERY.as_secs()), is_final: false })
            }
        }
    }
}

fn pem_certificates(pem: &str) -> Result<Vec<Certificate>> {
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = pem.split_inclusive(END).filter(|block| block.ends_with(END));
    Ok(blocks.map(|block| Certificate::from_pem(block.as_bytes())).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_leaves_the_machine_with_tls_alone() {
        let parse = |text: &str| {
            MailServer::parse(text, false)
                .ok()
                .map(|server| format!("{} {} {:?}", server.host, server.port, server.beginning))
        };
        for (text, expected) in [
            ("smtps://mail.example", Some("mail.example 465 Tls")),
            ("smtps://127.0.0.1:25", Some("127.0.0.1 25 Tls")),
            ("smtp://mail.example", Some("mail.example 587 StartTls")),
            ("smtp://mail.example:25/", Some("mail.example 25 StartTls")),
            ("smtp://[::1]:2525", Some("::1 2525 Clear")),
            ("smtp://127.0.0.1.example", Some("127.0.0.1.example 587 StartTls")),
            ("smtp://user:secret@mail.example", None),
            ("https://mail.example", None),
            ("mail.example", None),
            ("smtp://mail.example/x", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
        let error = MailServer::parse("smtp://user:secret@mail.example/x", false).unwrap_err();
        assert_eq!(error.to_string(), "`smtp://…@mail.example/x` is no address of a mail server");
    }
}
