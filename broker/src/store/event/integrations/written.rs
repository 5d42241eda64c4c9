//! An integration as it was written.
//!
//! What may be called at a third party is checked before it is kept, and a later release may check more. Its broker has to
//! start all the same: so a log keeps what was written, and whoever replays it learns whether this release can still
//! read it. *Why not a number for the form:* a check that becomes stricter is no other form.

use lanyard_token::integration::Integration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// An integration as it was written, and what this release makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenIntegration {
    text: Value,
    read: Result<Integration, String>,
}

impl WrittenIntegration {
    /// What it is; or why this release cannot say so.
    pub fn read(&self) -> Result<&Integration, &str> {
        self.read.as_ref().map_err(String::as_str)
    }

    /// As it was written.
    pub const fn text(&self) -> &Value {
        &self.text
    }

    /// What it is called, if that much can be read.
    pub fn name(&self) -> &str {
        self.member("/name")
    }

    /// A text within it, by JSON pointer; `-` where there is none.
    pub fn member(&self, pointer: &str) -> &str {
        let member = self.text.pointer(pointer).and_then(Value::as_str);
        member.unwrap_or("-")
    }
}

impl From<Integration> for WrittenIntegration {
    fn from(integration: Integration) -> Self {
        Self {
            // It always has a form in JSON.
            text: serde_json::to_value(&integration).unwrap_or_default(),
            read: Ok(integration),
        }
    }
}

impl Serialize for WrittenIntegration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WrittenIntegration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Value::deserialize(deserializer)?;
        let read = Integration::deserialize(&text).map_err(|error| error.to_string());
        Ok(Self { text, read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"name": "stripe", "upstream": "https://api.stripe.com",
        "inject": {"kind": "header", "secret": "payments/stripe"}, "rule": [{"method": "GET", "template": "/v1/charges"}]}"#;

    fn read(text: &str) -> WrittenIntegration {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_read_is_the_integration_and_what_is_not_stays_as_it_was_written() {
        let good = read(GOOD);
        assert_eq!(good.read().unwrap().name().as_str(), "stripe");
        let bad = read(&GOOD.replace("/v1/charges", "no path"));
        assert!(bad.read().is_err());
        assert_eq!(bad.name(), "stripe");
        assert_eq!(bad.member("/inject/secret"), "payments/stripe");
        let again = serde_json::to_string(&bad).unwrap();
        assert_eq!(read(&again), bad);
        assert!(again.contains("no path"), "{again}");
        assert_eq!(read("7").name(), "-");
    }

    #[test]
    fn an_integration_is_written_as_it_is_read() {
        let good = read(GOOD);
        let written = WrittenIntegration::from(good.read().unwrap().clone());
        assert_eq!(read(&serde_json::to_string(&written).unwrap()), written);
    }
}
