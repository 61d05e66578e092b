//! What a Java program under `gatehouse run` reads: its launcher takes options from a file that a variable names, since Java 9. Java
//! knows nothing of the variables that other tools read.

use std::path::Path;

use anyhow::Result;

use crate::commands::write_private;

/// What names options for Java's launcher. It prints its value when it starts, so that no password stands in it.
pub(crate) const OPTIONS: &str = "JDK_JAVA_OPTIONS";
/// What is reached without a proxy, as Java writes it.
const NON_PROXY_HOSTS: &str = "localhost|127.0.0.1|[::1]";

/// The gateway as a proxy.
pub(crate) struct Proxy<'p> {
    /// Where it listens, as `HOST:PORT`, without TLS: Java speaks none with proxies.
    pub(crate) address: &'p str,
    pub(crate) user: &'p str,
    pub(crate) password: &'p str,
}

/// The value of [`OPTIONS`] that leads to a file of them in a folder, after those that its caller gave.
pub(crate) fn options(
    proxy: Option<&Proxy<'_>>,
    store: &Path,
    folder: &Path,
    callers: Option<String>,
) -> Result<String> {
    let path = folder.join("java.args");
    write_private(&path, arguments(proxy, store).as_bytes())?;
    let own = quoted(&format!("@{}", path.display()));
    Ok(callers.filter(|callers| !callers.trim().is_empty()).map_or_else(|| own.clone(), |more| format!("{more} {own}")))
}

fn arguments(proxy: Option<&Proxy<'_>>, store: &Path) -> String {
    let mut properties = vec![
        ("javax.net.ssl.trustStore".to_string(), store.display().to_string()),
        ("javax.net.ssl.trustStoreType".to_string(), "PKCS12".to_string()),
    ];
    let placed = proxy.and_then(|proxy| Some((proxy, proxy.address.rsplit_once(':')?)));
    if let Some((proxy, (host, port))) = placed {
        for scheme in ["http", "https"] {
            let said = [
                ("proxyHost", host.trim_matches(['[', ']'])),
                ("proxyPort", port),
                ("proxyUser", proxy.user),
                ("proxyPassword", proxy.password),
            ];
            properties.extend(said.map(|(name, value)| (format!("{scheme}.{name}"), value.to_string())));
        }
        // It holds for both.
        properties.push(("http.nonProxyHosts".into(), NON_PROXY_HOSTS.into()));
        // Else Java proves itself to no proxy by Basic before a tunnel.
        properties.push(("jdk.http.auth.tunneling.disabledSchemes".into(), String::new()));
    }
    properties.iter().map(|(name, value)| format!("{}\n", in_file(&format!("-D{name}={value}")))).collect()
}

/// An argument as such a file has it.
fn in_file(argument: &str) -> String {
    format!("\"{}\"", argument.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An argument as the variable has it, which knows quotation marks and nothing else.
fn quoted(argument: &str) -> String {
    if argument.contains(char::is_whitespace) { format!("\"{argument}\"") } else { argument.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_stands_in_the_file_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::Builder::new().prefix("a folder").tempdir().unwrap();
        let proxy = Proxy { address: "[::1]:8480", user: "claude.1", password: "a \"b\\c" };
        let value = options(Some(&proxy), Path::new("/s.p12"), folder.path(), Some("-Xmx1g".into())).unwrap();
        let path = folder.path().join("java.args");
        assert_eq!(value, format!("-Xmx1g \"@{}\"", path.display()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let file = std::fs::read_to_string(&path).unwrap();
        for line in [
            r#""-Djavax.net.ssl.trustStore=/s.p12""#,
            r#""-Dhttps.proxyHost=::1""#,
            r#""-Dhttp.proxyPort=8480""#,
            r#""-Dhttps.proxyPassword=a \"b\\c""#,
            r#""-Djdk.http.auth.tunneling.disabledSchemes=""#,
        ] {
            assert!(file.lines().any(|found| found == line), "{line}: {file}");
        }
        let alone = options(None, Path::new("/s.p12"), folder.path(), None).unwrap();
        assert!(alone.starts_with('"') && !std::fs::read_to_string(&path).unwrap().contains("proxy"));
    }
}
