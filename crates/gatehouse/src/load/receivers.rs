//! Reads who is told of requests, and how.

use axum::http::Uri;
use gatehouse_model::Secret;
use gatehouse_secrets::Reference;

use super::Checker;
use crate::config::{Config, ReceiverForm, ReceiverSection};
use crate::mail::{Mail, MailServer};
use crate::notify::{Channel, EventKind, Form, Receiver, webhook_key};
use crate::web;

impl Checker<'_> {
    pub(super) fn receivers(&mut self, config: &Config) -> Vec<Receiver> {
        let mut receivers = Vec::new();
        for (name, section) in &config.receivers {
            let before = self.faults.len();
            let (mut events, all) = (Vec::new(), EventKind::ALL.map(EventKind::as_str));
            for event in &section.events {
                if let Some(kind) = EventKind::ALL.into_iter().find(|kind| kind.as_str() == event) {
                    events.push(kind);
                    continue;
                }
                let remedy = format!("The events are: {}", all.join(", "));
                self.fault(&["receivers", name, "events"], format!("there is no event `{event}`"), remedy);
            }
            if section.form != ReceiverForm::Mail {
                let only = [
                    ("user", section.user.is_some()),
                    ("from", section.from.is_some()),
                    ("to", !section.to.is_empty()),
                ];
                for (key, _) in only.into_iter().filter(|(_, is_given)| *is_given) {
                    self.fault(&["receivers", name, key], format!("only mail has `{key}`"), "Leave it away");
                }
            }
            let channel = match section.form {
                ReceiverForm::Mail => self.mail(name, section).map(Channel::Mail),
                ReceiverForm::Webhook | ReceiverForm::Slack | ReceiverForm::Teams => self.web(name, section),
            };
            if let (Some(channel), true) = (channel, self.faults.len() == before) {
                receivers.push(Receiver { name: name.clone(), events, channel });
            }
        }
        receivers
    }

    fn web(&mut self, name: &str, section: &ReceiverSection) -> Option<Channel> {
        let place = |key: &'static str| ["receivers", name, key];
        let url = match section.url.starts_with("http") {
            true => Ok(Secret::new(section.url.as_str())),
            false => Reference::parse(&section.url, self.base).and_then(|url| url.fetch()),
        };
        let url = url.map_err(|error| error.to_string()).and_then(|url| {
            let uri = String::from_utf8_lossy(url.expose()).parse::<Uri>();
            if uri.is_ok_and(|uri| web::is_private(&uri)) { Ok(url) } else { Err("it is no https:// address".into()) }
        });
        let url = url.map_err(|error| {
            let remedy = "Write an address that begins with https://, or file:PATH of a file that holds it";
            self.fault(&place("url"), error, remedy);
        });
        let form = self.receiver_form(name, section);
        let fetch = web::fetcher(self.trust(&place("tls_authorities"), section.tls_authorities.as_deref()));
        Some(Channel::Web { url: url.ok()?, form: form?, fetch })
    }

    fn receiver_form(&mut self, name: &str, section: &ReceiverSection) -> Option<Form> {
        let place = ["receivers", name, "secret"];
        match (section.form, &section.secret) {
            (ReceiverForm::Slack, None) => Some(Form::Slack),
            (ReceiverForm::Teams, None) => Some(Form::Teams),
            (ReceiverForm::Slack | ReceiverForm::Teams | ReceiverForm::Mail, _) => {
                self.fault(
                    &place,
                    "only webhooks and mail have a secret",
                    "Leave it away; the address is what is secret",
                );
                None
            }
            (ReceiverForm::Webhook, None) => {
                let remedy = "Make one, and give it to the receiver: echo whsec_$(openssl rand -base64 32)";
                self.fault(&place, "a webhook has a secret that it is signed with", remedy);
                None
            }
            (ReceiverForm::Webhook, Some(reference)) => {
                let secret = Reference::parse(reference, self.base).and_then(|secret| secret.fetch());
                let key = secret.map_err(|error| error.to_string()).and_then(|secret| {
                    let text = String::from_utf8_lossy(secret.expose()).into_owned();
                    webhook_key(&text).map_err(|error| error.to_string())
                });
                let remedy = "Put it into a file with mode 0600: echo whsec_$(openssl rand -base64 32)";
                key.map_err(|error| self.fault(&place, error, remedy)).ok().map(Form::Webhook)
            }
        }
    }

    fn mail(&mut self, name: &str, section: &ReceiverSection) -> Option<Mail> {
        let place = |key: &'static str| ["receivers", name, key];
        let server = MailServer::parse(&section.url, section.tls_authorities.is_some()).map_err(|error| {
            let remedy = "Write smtps://HOST (TLS from the first byte), or smtp://HOST (STARTTLS, which must succeed)";
            self.fault(&place("url"), error.to_string(), remedy);
        });
        let mut address = |key: &'static str, text: &str| {
            let remedy = "Write NAME@HOST, or \"Name <NAME@HOST>\"";
            text.parse().map_err(|_| self.fault(&place(key), format!("`{text}` is no address of mail"), remedy)).ok()
        };
        let from = section.from.as_deref().and_then(|from| address("from", from));
        let to: Vec<_> = section.to.iter().filter_map(|to| address("to", to)).collect();
        if section.from.is_none() || section.to.is_empty() {
            let remedy = "Give `from` and `to`";
            self.fault(&place("from"), "mail has somebody whom it is from and whom it goes to", remedy);
        }
        let account = match (&section.user, &section.secret) {
            (None, None) => None,
            (Some(user), Some(reference)) => {
                let secret = Reference::parse(reference, self.base).and_then(|secret| secret.fetch());
                let remedy = "Put the password into a file with mode 0600 and write secret = \"file:PATH\"";
                let secret = secret.map_err(|error| self.fault(&place("secret"), error.to_string(), remedy)).ok()?;
                Some((user.clone(), secret))
            }
            _ => {
                self.fault(
                    &place("user"),
                    "an account at a mail server has a `user` and a `secret`",
                    "Give both or none",
                );
                None
            }
        };
        let trust = self.trust(&place("tls_authorities"), section.tls_authorities.as_deref());
        let mail = Mail::new(&server.ok()?, account, &trust, from?, to);
        mail.map_err(|error| self.fault(&place("url"), error.to_string(), "Check the section")).ok()
    }
}
