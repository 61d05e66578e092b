//! What of a configuration counts at the start alone, so that whoever changes it while the gateway runs is told.
//!
//! Knows which settings those are. What each does is the business of whoever reads it at the start.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, Limits};

/// What of a changed configuration waits for the next start: it is another than what the gateway started with, and than what was
/// read last.
pub(crate) fn waiting(started: &Config, last: &Config, new: &Config) -> Vec<String> {
    let (started, last, new) = (settings(started), settings(last), settings(new));
    let names: BTreeSet<&String> = started.keys().chain(new.keys()).collect();
    let waits = |name: &&String| new.get(*name) != started.get(*name) && new.get(*name) != last.get(*name);
    names.into_iter().filter(waits).cloned().collect()
}

/// What counts at the start alone, by its name in the file, as texts that are compared and never shown.
fn settings(config: &Config) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (name, listen) in &config.listen {
        // The certificate of a listener that has one is read again, and so is what it is called.
        let (address, has_tls) = (&listen.address, listen.tls_certificate.is_some());
        settings.insert(format!("[listen.{name}]"), format!("{address} {has_tls} {}", listen.tls_required));
    }
    if let Some(api) = &config.api {
        settings.insert("[api]".into(), api.address.clone());
    }
    settings.insert("[admin]".into(), format!("{:?}", config.admin));
    settings.insert("[gateway]".into(), format!("{:?}", config.gateway));
    settings.insert("[receivers]".into(), format!("{:?}", config.receivers));
    let limits = limits(&config.limits).into_iter();
    settings.extend(limits.map(|(name, value)| (format!("limits.{name}"), value)));
    settings
}

/// Every limit is named here, so that a new one is asked when it counts.
fn limits(limits: &Limits) -> [(&'static str, String); 17] {
    let Limits {
        connections_max,
        logins_max,
        login_secs_max,
        frame_bytes_max,
        body_bytes_max,
        outlet_bytes_max,
        connect_secs_max,
        http_silence_secs_max,
        approval_secs_max,
        api_calls_per_minute_max,
        api_unproven_calls_per_minute_max,
        open_requests_max,
        held_body_bytes_max,
        held_bodies_bytes_max,
        segment_bytes_max,
        checkpoint_secs,
        every_record_to_disk,
        // These are looked up when they are needed.
        task_secs_max: _,
        live_tasks_max: _,
        token_secs_max: _,
        request_secs_max: _,
        api_key_secs_max: _,
        api_keys_max: _,
        secret_cache_secs: _,
        recording_bytes_max: _,
    } = limits;
    [
        ("connections_max", connections_max.to_string()),
        ("logins_max", logins_max.to_string()),
        ("login_secs_max", login_secs_max.to_string()),
        ("frame_bytes_max", frame_bytes_max.to_string()),
        ("body_bytes_max", body_bytes_max.to_string()),
        ("outlet_bytes_max", outlet_bytes_max.to_string()),
        ("connect_secs_max", connect_secs_max.to_string()),
        ("http_silence_secs_max", http_silence_secs_max.to_string()),
        ("approval_secs_max", approval_secs_max.to_string()),
        ("api_calls_per_minute_max", api_calls_per_minute_max.to_string()),
        ("api_unproven_calls_per_minute_max", api_unproven_calls_per_minute_max.to_string()),
        ("open_requests_max", open_requests_max.to_string()),
        ("held_body_bytes_max", held_body_bytes_max.to_string()),
        ("held_bodies_bytes_max", held_bodies_bytes_max.to_string()),
        ("segment_bytes_max", segment_bytes_max.to_string()),
        ("checkpoint_secs", checkpoint_secs.to_string()),
        ("every_record_to_disk", every_record_to_disk.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_changed_waits_until_it_is_what_it_was() {
        let plain = "[listen.postgres]\naddress = \"127.0.0.1:5433\"\n";
        let started = config(plain);
        let with_http = config(&format!("{plain}[listen.http]\naddress = \"127.0.0.1:8480\"\n"));
        assert_eq!(waiting(&started, &started, &with_http), ["[listen.http]"]);
        let more = config(&format!(
            "limits.connections_max = 7\nlimits.task_secs_max = 60\n{plain}[listen.http]\naddress = \"127.0.0.1:8480\"\n"
        ));
        assert_eq!(waiting(&started, &with_http, &more), ["limits.connections_max"], "what was said is not said again");
        assert!(waiting(&started, &more, &started).is_empty(), "nothing is to be done");
        let renamed = config(&format!("{plain}domain = \"gw.example\"\n"));
        assert!(waiting(&started, &started, &renamed).is_empty(), "what is looked up when it is needed counts at once");
        assert_eq!(waiting(&with_http, &with_http, &started), ["[listen.http]"], "it listens until then");
    }
}
