// An OpenID provider for the tests: oidc-provider, with the accounts of a file that may change while it runs. It prints its
// issuer when it listens, and has new keys each time that it starts.
import { createRequire } from "node:module";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

// A module's own imports are not looked up in NODE_PATH.
const { Provider } = await import(pathToFileURL(createRequire(import.meta.url).resolve("oidc-provider")));
const { ACCOUNTS, CLIENT_SECRET, PORT = "0", IN_ID_TOKEN } = process.env;
const key = (kind, options, alg) => ({
    ...generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" }),
    use: "sig",
    alg,
    kid: `${alg}-${process.pid}`,
});

const server = (await import("node:http")).createServer();
await new Promise((listening) => server.listen(Number(PORT), "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
    clients: [
        {
            client_id: "gatehouse",
            client_secret: CLIENT_SECRET,
            application_type: "native",
            grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            redirect_uris: ["http://127.0.0.1/login/callback"],
            post_logout_redirect_uris: ["http://127.0.0.1/"],
        },
        // A workload, which gets a signed token for itself.
        {
            client_id: "deployer",
            client_secret: CLIENT_SECRET,
            grant_types: ["client_credentials"],
            redirect_uris: [],
            response_types: [],
        },
    ],
    jwks: { keys: [key("ec", { namedCurve: "P-256" }, "ES256"), key("rsa", { modulusLength: 2048 }, "RS256")] },
    cookies: { keys: ["only for tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups"] },
    conformIdTokenClaims: !IN_ID_TOKEN,
    features: {
        deviceFlow: { enabled: true },
        devInteractions: { enabled: true },
        clientCredentials: { enabled: true },
        resourceIndicators: {
            enabled: true,
            defaultResource: ({ oidc }) =>
                oidc.params.grant_type === "client_credentials" ? "urn:gatehouse" : undefined,
            getResourceServerInfo: () => ({
                audience: "gatehouse",
                scope: "",
                accessTokenFormat: "jwt",
                jwt: { sign: { alg: "ES256" } },
            }),
        },
    },
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    findAccount: async (_, id) => {
        const account = JSON.parse(readFileSync(ACCOUNTS, "utf8"))[id];
        return account && { accountId: id, claims: async () => ({ sub: id, ...account }) };
    },
});
server.on("request", provider.callback());
// Its own notes go where nobody must read them.
console.log(issuer);
console.log = console.info = console.error;
