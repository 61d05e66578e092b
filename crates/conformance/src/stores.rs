//! Where secrets lie elsewhere, as processes of their own: an OpenBao, and the Secrets Manager of moto.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::Fixture;
use crate::fixture::wait_until;
use crate::http::{self, Door};
use crate::secret::remember;
use crate::served::CLIENTS;

/// What everything is allowed by at the vault.
const ROOT: &str = "the-root-of-the-vault";
/// The calls of moto's that need no proof: those that make the account which proves itself.
const CALLS_TO_SET_UP: usize = 4;
/// An account that may do all.
const ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// A program that answers HTTP until it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &str, arguments: impl FnOnce(u16) -> Vec<String>, variables: &[(&str, &str)]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(CLIENTS);
        command.arg(program).args(arguments(port)).envs(variables.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { child, address: format!("http://127.0.0.1:{port}") };
        wait_until(&format!("{program} listens"), || {
            ensure!(server.child.try_wait()?.is_none(), "{program} does not start");
            Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        })?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A vault.
pub struct Vault(Server);

impl Vault {
    /// Starts one that is empty, and forgets everything when it ends.
    pub fn start() -> Result<Self> {
        let listen = |port| {
            let options = ["server", "-dev", "-dev-no-store-token", "-dev-root-token-id", ROOT];
            let listen = format!("-dev-listen-address=127.0.0.1:{port}");
            options.into_iter().map(String::from).chain([listen]).collect()
        };
        let vault = Self(Server::start("bao", listen, &[])?);
        // It listens before it is unsealed.
        wait_until("the vault is unsealed", || Ok(vault.call("GET", "secret/config", &Value::Null).is_ok()))?;
        Ok(vault)
    }

    /// Is not there any more.
    pub fn stop(&mut self) -> Result<()> {
        self.0.child.kill()?;
        self.0.child.wait()?;
        Ok(())
    }

    /// Takes calls and answers none.
    pub fn hang(&self) -> Result<()> {
        let pid = i32::try_from(self.0.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(kill_process(pid, Signal::STOP)?)
    }

    /// A call of somebody who may do everything.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("x-vault-token", ROOT), http::JSON];
        let answer = http::call(Door::Web(&self.0.address), method, &format!("/v1/{path}"), &headers, &body)?;
        if answer.status >= 300 {
            bail!("{method} {path} answers {} {}", answer.status, answer.body);
        }
        Ok(answer.json())
    }

    /// Keeps a password under `secret/NAME#password`.
    pub fn keep(&self, name: &str, password: &str) -> Result<()> {
        remember(password);
        self.call("POST", &format!("secret/data/{name}"), &json!({ "data": { "password": password } })).map(|_| ())
    }

    /// What the gateway is allowed: to read what it needs, and to look after its leases.
    pub fn allow(&self) -> Result<()> {
        let rules = "path \"secret/data/shop\" { capabilities = [\"read\"] }\n\
                     path \"database/creds/*\" { capabilities = [\"read\"] }\n\
                     path \"sys/leases/revoke\" { capabilities = [\"update\"] }\n";
        self.call("PUT", "sys/policies/acl/gatehouse", &json!({ "policy": rules })).map(|_| ())
    }

    /// Lets the gateway in as an application, whose tokens live for some seconds: the configuration, and the secret that
    /// goes into `vault.secret`.
    pub fn application(&self, token_secs: u32) -> Result<(String, String)> {
        self.allow()?;
        self.call("POST", "sys/auth/approle", &json!({ "type": "approle" }))?;
        let role = json!({ "token_policies": "gatehouse", "token_ttl": token_secs, "token_max_ttl": 3600 });
        self.call("POST", "auth/approle/role/gatehouse", &role)?;
        let text = |answer: Value, pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(String::from);
        let role = self.call("GET", "auth/approle/role/gatehouse/role-id", &Value::Null)?;
        let role = text(role, "/data/role_id").context("a role id")?;
        let secret = self.call("POST", "auth/approle/role/gatehouse/secret-id", &json!({}))?;
        let secret = text(secret, "/data/secret_id").context("a secret id")?;
        let login = format!("approle = {{ role_id = \"{role}\", secret_id = \"file:vault.secret\" }}");
        Ok((self.config(&login), secret))
    }

    /// Makes accounts at a database, which live for some seconds where nobody renews them.
    pub fn make_accounts_at(&self, fixture: &Fixture, account_secs: u32) -> Result<()> {
        let password = "the-password-of-who-makes-accounts";
        remember(password);
        fixture.truth(&format!("create role maker login superuser password '{password}'"))?;
        self.call("POST", "sys/mounts/database", &json!({ "type": "database" }))?;
        let port = fixture.postgres.port;
        let database = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": "maker", "password": password,
            "connection_url": format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/shop?sslmode=disable"),
        });
        self.call("POST", "database/config/shop", &database)?;
        self.make_role(
            "shop",
            "login password '{{password}}' valid until '{{expiration}}' in role gatehouse",
            account_secs,
        )
    }

    /// Makes accounts whose passwords the database tells its superuser, in `told`.
    pub fn make_telling_accounts(&self, fixture: &Fixture, more: &str) -> Result<()> {
        fixture.truth("create table told (name text, password text)")?;
        let options = format!(
            "login password '{{{{password}}}}' in role gatehouse; \
             insert into told values ('{{{{name}}}}', '{{{{password}}}}'); {more}"
        );
        self.make_role("shop", &options, 600)
    }

    /// Makes accounts of another kind there.
    pub fn make_role(&self, name: &str, options: &str, account_secs: u32) -> Result<()> {
        let role = json!({
            "db_name": "shop", "default_ttl": account_secs, "max_ttl": 3600,
            "creation_statements": [format!("create role \"{{{{name}}}}\" {options}")],
            "revocation_statements": ["drop role if exists \"{{name}}\""],
        });
        self.call("POST", &format!("database/roles/{name}"), &role).map(|_| ())
    }

    /// The configuration of a gateway that asks here, and proves itself so.
    pub fn config(&self, login: &str) -> String {
        format!("[vault]\naddress = \"{}\"\n{login}\n", self.0.address)
    }

    /// The root's token, which goes into a file.
    pub fn root(&self) -> String {
        remember(ROOT);
        ROOT.into()
    }
}

/// A Secrets Manager, which knows who signed a request.
pub struct Manager {
    server: Server,
    /// The account's access key.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

impl Manager {
    /// Starts one that holds a secret.
    pub fn start(name: &str, content: &str) -> Result<Self> {
        let set_up = CALLS_TO_SET_UP.to_string();
        let listen = |port: u16| ["-H", "127.0.0.1", "-p", &port.to_string()].map(String::from).to_vec();
        let server = Server::start("moto_server", listen, &[("INITIAL_NO_AUTH_ACTION_COUNT", &set_up)])?;
        let form = |body: &str| call(&server.address, "iam", http::FORM, "", &format!("{body}&Version=2010-05-08"));
        form("Action=CreateUser&UserName=gatehouse")?;
        let all: String = form_urlencoded::byte_serialize(ALL.as_bytes()).collect();
        form(&format!("Action=PutUserPolicy&UserName=gatehouse&PolicyName=all&PolicyDocument={all}"))?;
        let secret = json!({ "Name": name, "SecretString": content }).to_string();
        let content_type = ("content-type", "application/x-amz-json-1.1");
        call(&server.address, "secretsmanager", content_type, "secretsmanager.CreateSecret", &secret)?;
        let made = form("Action=CreateAccessKey&UserName=gatehouse")?;
        let between = |tag: &str| -> Result<String> {
            let (_, rest) = made.split_once(&format!("<{tag}>")).with_context(|| made.clone())?;
            Ok(rest.split_once('<').context("an end")?.0.into())
        };
        let (key, secret) = (between("AccessKeyId")?, between("SecretAccessKey")?);
        remember(&secret);
        Ok(Self { server, key, secret })
    }

    /// The configuration of a gateway that asks here; the secret of its key is in `aws.secret`.
    pub fn config(&self) -> String {
        format!(
            "[aws]\nregion = \"eu-central-1\"\nendpoint = \"{}\"\naccess_key_id = \"file:aws.key\"\n\
             secret_access_key = \"file:aws.secret\"\n",
            self.server.address
        )
    }
}

/// A call before anybody needs to prove anything; moto sees by the signature's scope which service is meant.
fn call(address: &str, service: &str, kind: (&str, &str), target: &str, body: &str) -> Result<String> {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=none/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=none"
    );
    let headers = [kind, ("authorization", scope.as_str()), ("x-amz-target", target)];
    let answer = http::call(Door::Web(address), "POST", "/", &headers, body)?;
    if answer.status != 200 {
        bail!("{service} answers {} {}", answer.status, answer.body);
    }
    Ok(answer.body)
}
