//! Another issuer on a loopback port: a discovery document, a key set, and tokens signed with its keys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::world::{ISSUER, NOW};

/// A key of nobody: made for these tests.
const RSA: &[u8] = include_bytes!("issuer/rsa.pkcs8.der");

/// The subject that tests pin.
pub(crate) const MAIN: &str = "repo:example/shop:ref:refs/heads/main";

/// Another issuer.
pub(crate) struct Issuer {
    pub(crate) url: String,
    answers: Arc<Answers>,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    rsa: RsaKeyPair,
    server: tokio::task::JoinHandle<()>,
}

/// What it answers.
struct Answers {
    documents: Mutex<BTreeMap<&'static str, (StatusCode, String)>>,
    asked: AtomicUsize,
}

const DISCOVERY: &str = "discovery";
const KEYS: &str = "keys";

impl Issuer {
    pub(crate) async fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ec =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let answers = Arc::new(Answers {
            documents: Mutex::default(),
            asked: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(|state| answer(state, DISCOVERY)),
            )
            .route("/keys", get(|state| answer(state, KEYS)))
            .with_state(answers.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let issuer = Self {
            url,
            answers,
            ec: ec.unwrap(),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
            rsa: RsaKeyPair::from_pkcs8(RSA).unwrap(),
            server,
        };
        let keys = format!("{}/keys", issuer.url);
        issuer.describe(&json!({"issuer": issuer.url, "jwks_uri": keys}));
        issuer.publish(&[
            issuer.rsa("rsa"),
            issuer.ec("ec"),
            issuer.ed("ed"),
            issuer.pss("pss"),
        ]);
        issuer
    }

    /// How often anything of it was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.answers.asked.load(Ordering::SeqCst)
    }

    /// From now on its discovery document says this.
    pub(crate) fn describe(&self, document: &Value) {
        self.say(DISCOVERY, StatusCode::OK, document.to_string());
    }

    /// From now on these are its keys.
    pub(crate) fn publish(&self, keys: &[Value]) {
        self.say(KEYS, StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    /// From now on its keys cannot be had.
    pub(crate) fn is_down(&self) {
        self.say(KEYS, StatusCode::BAD_GATEWAY, String::new());
    }

    /// From now on this is where its keys were.
    pub(crate) fn answers_with(&self, body: String) {
        self.say(KEYS, StatusCode::OK, body);
    }

    fn say(&self, what: &'static str, status: StatusCode, body: String) {
        let mut documents = self.answers.documents.lock().unwrap();
        documents.insert(what, (status, body));
    }

    pub(crate) fn ec(&self, kid: &str) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig",
            "x": encoded(&point[1..33]), "y": encoded(&point[33..]),
        })
    }

    fn ed(&self, kid: &str) -> Value {
        let point = encoded(self.ed.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": point})
    }

    pub(crate) fn rsa(&self, kid: &str) -> Value {
        let public: PublicKeyComponents<Vec<u8>> = self.rsa.public().into();
        let (n, e) = (encoded(&public.n), encoded(&public.e));
        json!({"kty": "RSA", "kid": kid, "use": "sig", "n": n, "e": e})
    }

    fn pss(&self, kid: &str) -> Value {
        let mut key = self.rsa(kid);
        key["alg"] = json!("PS256");
        key
    }

    /// What a pipeline of the main branch says, a new one each time.
    pub(crate) fn claims(&self) -> Value {
        let jti = uuid::Uuid::new_v4().to_string();
        json!({
            "iss": self.url, "sub": MAIN, "aud": ISSUER, "iat": NOW, "nbf": NOW - 600, "exp": NOW + 300,
            "jti": jti, "repository": "example/shop",
        })
    }

    /// A token that says this.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "ec", "typ": "JWT"});
        self.signed(&header.to_string(), &claims.to_string())
    }

    /// Signed by the key that the header names by its algorithm, whatever the texts are.
    pub(crate) fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            encoded(header.as_bytes()),
            encoded(claims.as_bytes())
        );
        let parsed: Value = serde_json::from_str(header).unwrap_or_default();
        let signature = self.sign(
            parsed["alg"].as_str().unwrap_or_default(),
            message.as_bytes(),
        );
        format!("{message}.{}", encoded(&signature))
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa
                .sign(padding, &random, message, &mut signature)
                .unwrap();
            signature
        };
        match algorithm {
            "EdDSA" | "Ed25519" => self.ed.sign(message).as_ref().to_vec(),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            _ => self.ec.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(answers): State<Arc<Answers>>, what: &'static str) -> Response {
    answers.asked.fetch_add(1, Ordering::SeqCst);
    let (status, body) = answers.documents.lock().unwrap()[what].clone();
    (status, body).into_response()
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
