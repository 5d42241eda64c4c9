//! A third party behind TLS, with a certificate of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::support::{HEADER, VALUE, World, party, serve};

/// Serves as `localhost`; its certificate as PEM.
pub(crate) async fn serving(router: Router) -> (String, SocketAddr) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let config = RustlsConfig::from_config(Arc::new(config));
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    (made.cert.pem(), address)
}

#[tokio::test]
async fn a_third_party_is_believed_by_the_certificates_that_are_named_and_by_no_others() {
    let answer = |request: axum::extract::Request| async move {
        let value = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(value, format!("Bearer {VALUE}"));
        format!("{:?}", request.version())
    };
    let (pem, upstream) = serving(Router::new().fallback(answer)).await;
    let (other, _) = serving(Router::new()).await;
    let written = |pem: &str| {
        party(upstream, HEADER, &format!("certificates = '''{pem}'''")).replace(
            &format!("http://{upstream}"),
            &format!("https://localhost:{}", upstream.port()),
        )
    };
    let world = World::new(&written(&pem)).await;
    let good = world.get("/party/v1/x").await;
    assert_eq!(good.status(), 200);
    assert_eq!(good.text().await.unwrap(), "HTTP/2.0");
    let wrong = World::new(&written(&other)).await;
    assert_eq!(wrong.get("/party/v1/x").await.status(), 502);
}

#[tokio::test]
async fn a_call_on_a_connection_that_was_opened_for_another_host_is_misdirected() {
    let upstream = serve(Router::new().fallback(|| async { "fine" })).await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let (address, pem) = world.behind_tls();
    let token = world.token("party:use");
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = |only_1: bool| {
        let provider = rustls::crypto::ring::default_provider();
        // Another one may have been first.
        let _ = provider.install_default();
        let builder = reqwest::Client::builder().no_proxy();
        let builder = builder.tls_certs_only([certificate.clone()]);
        let builder = if only_1 {
            builder.http1_only()
        } else {
            builder
        };
        builder.build().unwrap()
    };
    let port = address.port();
    let good = format!("https://localhost:{port}/party/v1/x");
    for only_1 in [true, false] {
        let client = client(only_1);
        let answer = client.get(&good).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST.:1", 200),
        ("other.example", 421),
        ("localhost.other.example", 421),
        ("127.0.0.1", 421),
    ] {
        let call = client(true).get(&good).bearer_auth(&token);
        let answer = call.header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
}
