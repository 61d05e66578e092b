//! Where each protocol of the registry is listened for.

use gatehouse_engine::Spoken;
use gatehouse_protocol::Carriage;
pub(crate) use gatehouse_registry::{protocol, protocols, schemas};

/// The listener of everything that rides on HTTP.
pub(crate) const HTTP: &str = "http";

/// Whether the protocol of this name rides on HTTP.
pub(crate) fn rides_on_http(name: &str) -> bool {
    protocol(name).is_some_and(|protocol| matches!(protocol.carriage(), Carriage::Exchanges(_)))
}

/// The name of what listens for a protocol.
pub(crate) fn listener(protocol: &str) -> &str {
    if rides_on_http(protocol) { HTTP } else { protocol }
}

/// What is spoken at the listener of this name, and what clients may call it when they begin TLS; `None` if there is no such
/// listener.
pub(crate) fn spoken_at(listener: &str) -> Option<(Spoken, &'static [&'static [u8]])> {
    let protocol = protocol(listener)?;
    let called = protocol.application_protocols();
    match protocol.carriage() {
        Carriage::Stream(protocol) => Some((Spoken::Stream(protocol), called)),
        Carriage::Exchanges(_) if listener == HTTP => {
            let riding = protocols().into_iter().filter_map(|protocol| match protocol.carriage() {
                Carriage::Exchanges(protocol) => Some(protocol),
                Carriage::Stream(_) => None,
            });
            Some((Spoken::Exchanges(riding.collect()), called))
        }
        Carriage::Exchanges(_) => None,
    }
}
