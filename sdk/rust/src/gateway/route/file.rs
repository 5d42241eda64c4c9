//! Route tables as files.

use http::Method;
use lanyard_token::{Audience, ScopeSet};
use serde::Deserialize;

use super::{Class, Route, RouteError, RouteTable};

/// Why a route file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteFileError {
    /// Not the format, or an unknown member; the source says where.
    #[error("the route table cannot be read")]
    Toml(#[from] Box<toml::de::Error>),
    /// Not the format, or an unknown member; the source says where.
    #[error("the route table cannot be read")]
    Json(#[from] serde_json::Error),
    /// Readable, but not a table.
    #[error("the route table contradicts itself")]
    Routes(#[from] RouteError),
}

impl RouteTable {
    /// Reads `[[route]]` entries: `method`, `template` and, where they apply, `class`, `scopes`
    /// (a text with single spaces), `object`, `destination`.
    pub fn from_toml(audience: &Audience, text: &str) -> Result<Self, RouteFileError> {
        let file: File = toml::from_str(text).map_err(Box::new)?;
        Ok(Self::build(
            audience,
            file.route.into_iter().map(Route::from),
        )?)
    }

    /// The same as [`Self::from_toml`], as `{"route": [...]}`.
    pub fn from_json(audience: &Audience, text: &str) -> Result<Self, RouteFileError> {
        let file: File = serde_json::from_str(text)?;
        Ok(Self::build(
            audience,
            file.route.into_iter().map(Route::from),
        )?)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    route: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(deserialize_with = "method")]
    method: Method,
    template: String,
    #[serde(default)]
    class: Class,
    #[serde(default)]
    scopes: ScopeSet,
    object: Option<String>,
    destination: Option<String>,
}

impl From<Line> for Route {
    fn from(line: Line) -> Self {
        Self {
            method: line.method,
            template: line.template,
            class: line.class,
            scopes: line.scopes,
            object: line.object,
            destination: line.destination,
        }
    }
}

/// `get` would be another method than `GET` (RFC 9110, 9.1), and surely not the one meant.
fn method<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(serde::de::Error::custom("a method is written in capitals"));
    }
    Method::from_bytes(text.as_bytes()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::super::super::canonical::CanonicalPath;
    use super::*;

    const TOML: &str = r#"
        [[route]]
        method = "GET"
        template = "/orders/{id}"
        scopes = "orders:read"
        object = "id"

        [[route]]
        method = "POST"
        template = "/payments"
        class = "strict"
        scopes = "payments:write"
    "#;

    fn audience() -> Audience {
        "https://orders.example".parse().unwrap()
    }

    #[test]
    fn a_table_reads_the_same_from_both_formats() {
        let table = RouteTable::from_toml(&audience(), TOML).unwrap();
        let json = r#"{"route": [
            {"method": "GET", "template": "/orders/{id}", "scopes": "orders:read", "object": "id"},
            {"method": "POST", "template": "/payments", "class": "strict", "scopes": "payments:write"}]}"#;
        let same = RouteTable::from_json(&audience(), json).unwrap();
        assert!(table.operations().eq(same.operations()));
        let (_, payments) = same
            .find(&Method::POST, CanonicalPath::parse("/payments").unwrap())
            .unwrap();
        assert_eq!(payments.class, Class::Strict);
        assert_eq!(&*payments.scope_text, "payments:write");
    }

    #[test]
    fn a_misspelled_member_is_refused_instead_of_ignored() {
        for line in [
            "scope = \"a\"",
            "Class = \"strict\"",
            "class = \"stricter\"",
        ] {
            let text = format!("[[route]]\nmethod = \"GET\"\ntemplate = \"/a\"\n{line}\n");
            assert!(RouteTable::from_toml(&audience(), &text).is_err(), "{line}");
        }
        assert!(
            RouteTable::from_toml(
                &audience(),
                "[[route]]\nmethod = \"get\"\ntemplate = \"/a\""
            )
            .is_err()
        );
    }
}
