//! Whom the client believes.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::routing::post;
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use lanyard_sdk::{Client, ClientError, Secret};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// A broker behind TLS, whose certificate an authority of the test signed; the authority as PEM.
async fn broker() -> (SocketAddr, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let tls =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![server.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
    let token = || async {
        Json(serde_json::json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 300 }))
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/oauth/token", post(token));
    let serving =
        axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(tls))).unwrap();
    tokio::spawn(async move { serving.serve(router.into_make_service()).await.unwrap() });
    (address, authority.pem())
}

async fn token(url: String, certificates: Option<&str>) -> Result<String, ClientError> {
    let mut client = Client::builder(url).client_credentials("id", Secret::new("k"));
    if let Some(pem) = certificates {
        client = client.certificates(pem);
    }
    let tokens = client
        .build()?
        .tokens("aud".parse().unwrap(), "a".parse().unwrap());
    Ok(tokens.token().await?.secret().expose().to_owned())
}

#[tokio::test]
async fn only_a_server_with_a_certificate_of_a_believed_authority_gets_the_secret() {
    let (address, authority) = broker().await;
    let url = format!("https://localhost:{}", address.port());
    assert_eq!(token(url.clone(), Some(&authority)).await.unwrap(), "t");
    let (_, stranger) = broker().await;
    let error = token(url, Some(&stranger)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
    // The right authority, another name.
    let error = token(
        format!("https://127.0.0.1:{}", address.port()),
        Some(&authority),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
}
