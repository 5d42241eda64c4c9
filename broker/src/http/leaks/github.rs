//! What GitHub's secret scanning sends to whoever issued what it found, and how it signs that.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Found, wipe};
use crate::http::problem::Problem;
use crate::http::wording;

const SIGNATURE: &str = "github-public-key-signature";
/// What stands before the point of a P-256 key (RFC 5480): algorithm, curve, and the head of a bit string.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Keys that GitHub signs with.
#[derive(Debug)]
pub struct GithubKeys(Vec<Vec<u8>>);

/// The file has no key that could be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has no public key on P-256, or something else: PEM, as GitHub publishes them")]
pub struct NoKeys;

impl GithubKeys {
    /// Reads the keys of a file.
    pub fn parse(pem: &[u8]) -> Result<Self, NoKeys> {
        let mut points = Vec::new();
        for key in SubjectPublicKeyInfoDer::pem_slice_iter(pem) {
            let key = key.map_err(|_| NoKeys)?;
            let point = key.as_ref().strip_prefix(&P256_HEAD[..]).ok_or(NoKeys)?;
            points.push(point.to_vec());
        }
        if points.is_empty() {
            return Err(NoKeys);
        }
        Ok(Self(points))
    }

    /// Whether one of them signed this body. Which one is said in a header that needs not be believed.
    pub(super) fn have_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let mut signatures = headers.get_all(SIGNATURE).iter();
        let (Some(signature), None) = (signatures.next(), signatures.next()) else {
            return false;
        };
        let Ok(signature) = STANDARD.decode(signature.as_bytes()) else {
            return false;
        };
        let mut keys = self.0.iter();
        keys.any(|point| {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
            key.verify(body, &signature).is_ok()
        })
    }
}

/// One that its scanner found. What it may say beside is of no interest.
#[derive(Deserialize)]
struct Item {
    token: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    url: Option<String>,
}

/// Hash and type of each, for the answer.
pub(super) type Types = Vec<(String, String)>;

pub(super) fn read(body: Bytes) -> Result<(Vec<Found>, Types), Problem> {
    let items = serde_json::from_slice::<Vec<Item>>(&body);
    wipe(body);
    let items = items.map_err(|error| Problem::invalid_request(wording::of_json(&error)))?;
    let each = items.into_iter().map(|item| {
        let told = (hash(&item.token), item.r#type);
        let found = Found {
            text: Zeroizing::new(item.token),
            at: item.url,
        };
        (found, told)
    });
    Ok(each.unzip())
}

fn hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    hex.collect()
}

/// What it was, so that its patterns get better.
#[derive(Serialize)]
pub(super) struct Label {
    token_hash: String,
    token_type: String,
    label: &'static str,
}

pub(super) fn answer(types: Types, known: &[bool]) -> Vec<Label> {
    let each = types.into_iter().zip(known);
    each.map(|((token_hash, token_type), known)| Label {
        token_hash,
        token_type,
        label: if *known {
            "true_positive"
        } else {
            "false_positive"
        },
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    fn signer() -> (EcdsaKeyPair, Vec<u8>) {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random)
                .unwrap();
        let der = [&P256_HEAD[..], pair.public_key().as_ref()].concat();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        );
        (pair, pem.into_bytes())
    }

    fn signed(pair: &EcdsaKeyPair, body: &[u8]) -> HeaderMap {
        let signature = pair.sign(&SystemRandom::new(), body).unwrap();
        let mut headers = HeaderMap::new();
        let text = STANDARD.encode(signature.as_ref());
        headers.insert(SIGNATURE, text.parse().unwrap());
        headers
    }

    #[test]
    fn only_what_one_of_the_keys_signed_is_believed() {
        let ((one, first), (other, second)) = (signer(), signer());
        let keys = GithubKeys::parse(&[first, second].concat()).unwrap();
        let (stranger, _) = signer();
        let body = br#"[{"token":"x","type":"lanyard_key","url":"https://example.com"}]"#;
        assert!(keys.have_signed(&signed(&one, body), body));
        assert!(keys.have_signed(&signed(&other, body), body));
        assert!(!keys.have_signed(&signed(&stranger, body), body));
        assert!(!keys.have_signed(&signed(&one, body), b"[]"));
        assert!(!keys.have_signed(&HeaderMap::new(), body));
        let mut twice = signed(&one, body);
        twice.append(SIGNATURE, twice[SIGNATURE].clone());
        assert!(!keys.have_signed(&twice, body));
    }

    #[test]
    fn a_file_without_such_a_key_is_refused() {
        for bad in [
            &b""[..],
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            b"nonsense",
        ] {
            assert!(GithubKeys::parse(bad).is_err());
        }
    }
}
