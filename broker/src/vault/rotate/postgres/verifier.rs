//! What a server keeps instead of a password, computed here: the password itself is in no statement.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

use crate::crypto::{self, CryptoError};
use crate::vault::SecretValue;

/// As many as PostgreSQL itself takes (`scram_iterations`).
const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();

/// What `ALTER ROLE … PASSWORD` takes instead of a password:
/// `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY` (RFC 5802 section 3, SASLprep is the identity on the
/// letters and digits that we choose).
pub(super) fn scram_verifier(password: &SecretValue) -> Result<Zeroizing<String>, CryptoError> {
    let salt = crypto::random::<16>()?;
    Ok(scram_verifier_with(password.expose().as_bytes(), &salt))
}

fn scram_verifier_with(password: &[u8], salt: &[u8]) -> Zeroizing<String> {
    let mut salted = Zeroizing::new([0_u8; digest::SHA256_OUTPUT_LEN]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        SCRAM_ITERATIONS,
        salt,
        password,
        &mut *salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    Zeroizing::new(format!(
        "SCRAM-SHA-256${SCRAM_ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 section 3: `user` logs in with `pencil`. Whoever keeps the verifier accepts the proof there.
    #[test]
    fn a_server_that_keeps_the_verifier_accepts_the_proof_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = scram_verifier_with(b"pencil", &salt);
        let stored = verifier
            .rsplit('$')
            .next()
            .unwrap()
            .split(':')
            .next()
            .unwrap();
        let stored = STANDARD.decode(stored).unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &stored),
            message.as_bytes(),
        );
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let client_key: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(proof, signature)| proof ^ signature)
            .collect();
        assert_eq!(
            digest::digest(&digest::SHA256, &client_key).as_ref(),
            stored
        );
    }
}
