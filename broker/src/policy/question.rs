//! A question to policies, written down whole: what is remembered is found again by it.

use lanyard_token::{Audience, Scope, ScopeSet};

use super::asked::Party;

/// Longer than most questions, so that it is written without growing.
const USUAL_BYTES: usize = 512;

/// What was written down, with the length of each part before it: no two questions are written alike.
pub(super) struct Question(Vec<u8>);

impl Question {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(USUAL_BYTES))
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// As it was when it was so long.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.0.truncate(bytes);
    }

    pub(super) fn into_bytes(self) -> Box<[u8]> {
        self.0.into_boxed_slice()
    }

    pub(super) fn party(&mut self, party: &Party<'_>) {
        let Party {
            name,
            kind,
            owner,
            tags,
            audiences,
            scopes,
            max_lifetime,
            age_days,
            unused_days,
        } = *party;
        for word in [name, kind, owner] {
            self.text(word);
        }
        self.texts(tags.len(), tags.iter().map(String::as_str));
        self.texts(audiences.len(), audiences.iter().map(Audience::as_str));
        self.scopes(Some(scopes));
        self.number(max_lifetime);
        for days in [age_days, unused_days] {
            self.number(u64::from(days.is_some()));
            self.number(days.unwrap_or(0));
        }
    }

    pub(super) fn scopes(&mut self, scopes: Option<&ScopeSet>) {
        let count = scopes.map_or(0, |scopes| scopes.iter().count());
        let scopes = scopes.into_iter().flat_map(ScopeSet::iter);
        self.texts(count, scopes.map(Scope::as_str));
    }

    fn texts<'t>(&mut self, count: usize, texts: impl Iterator<Item = &'t str>) {
        self.number(count as u64);
        texts.for_each(|text| self.text(text));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
