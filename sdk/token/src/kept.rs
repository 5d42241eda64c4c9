//! A token that passed the gate, kept by whoever will see it again.

use std::sync::OnceLock;

use crate::verify::{self, token_digest};
use crate::{Audience, Claims, Lineage, NodeId, Rev, ScopeSet, VerifiedToken};

/// The text of a token that passed the gate. What it says is read again when somebody asks: of a million
/// tokens that are kept, few are asked, and claims that are read are twice as large as the text they stand in.
#[derive(Debug)]
pub struct KeptToken {
    text: Box<str>,
    claims: OnceLock<Box<Claims>>,
}

impl KeptToken {
    /// Keeps a token.
    pub fn of(verified: &VerifiedToken<'_>) -> Self {
        Self {
            text: verified.text().into(),
            claims: OnceLock::new(),
        }
    }

    /// The whole token.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is signed: header and claims. Two tokens with the same are one token, because an ECDSA signature
    /// has a twin that is as good.
    pub fn signing_input(&self) -> &str {
        let signed = self.text.rsplit_once('.');
        signed.map_or(&*self.text, |(signed, _)| signed)
    }

    /// Its [`token_digest`].
    pub fn digest(&self) -> [u8; 8] {
        token_digest(self.signing_input())
    }

    /// What it says. The first to ask pays for reading it, which allocates.
    pub fn claims(&self) -> &Claims {
        self.claims.get_or_init(|| Box::new(self.read()))
    }

    /// Reads what the gate has read before, so this always succeeds. If it ever did not, the answer would be
    /// claims that claim nothing.
    #[cold]
    fn read(&self) -> Claims {
        let payload = self.signing_input().split_once('.');
        payload
            .and_then(|(_, payload)| verify::read(payload).ok())
            .unwrap_or_else(nothing)
    }
}

fn nothing() -> Claims {
    let nobody = NodeId::from_u64(0);
    Claims {
        iss: String::new(),
        sub: String::new(),
        client_id: String::new(),
        aud: Audience::nowhere(),
        exp: 0,
        iat: 0,
        nbf: None,
        jti: nobody,
        scope: ScopeSet::default(),
        rev: Rev::ZERO,
        lin: Lineage::of_credential(nobody, nobody, nobody),
        act: None,
        cnf: None,
        authorization_details: None,
        bsl: None,
    }
}
