//! Variables with places to be filled: `STRIPE_BASE={url}/v1`.

use std::path::Path;
use std::str::FromStr;

use lanyard_token::integration::IntegrationName;
use zeroize::Zeroizing;

/// `NAME=VALUE`, with places in the value.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    name: String,
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Token,
    TokenFile,
    /// Of the only integration, or of egress itself where there is none.
    Url,
    UrlOf(IntegrationName),
}

/// What addresses are made of.
pub(super) struct Values<'v> {
    /// Without a slash at its end.
    pub(super) egress: Option<&'v str>,
    pub(super) integrations: &'v [IntegrationName],
}

impl Variable {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether every place can be filled.
    pub(super) fn check(&self, values: &Values<'_>) -> Result<(), String> {
        self.fill(values, "", Path::new("")).map(drop)
    }

    pub(super) fn fill(
        &self,
        values: &Values<'_>,
        token: &str,
        token_file: &Path,
    ) -> Result<Zeroizing<String>, String> {
        let mut filled = Zeroizing::new(String::new());
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Token => filled.push_str(token),
                Part::TokenFile => {
                    let path = token_file.to_str();
                    filled.push_str(path.ok_or("the token's file has no readable name")?);
                }
                Part::Url => filled.push_str(&values.url(&self.name)?),
                Part::UrlOf(name) => filled.push_str(&values.url_of(name, &self.name)?),
            }
        }
        Ok(filled)
    }
}

impl Values<'_> {
    fn url(&self, variable: &str) -> Result<String, String> {
        match self.integrations {
            [] => self.egress(variable).map(str::to_owned),
            [only] => self.url_of(only, variable),
            _ => Err(format!(
                "{variable}: which integration's address is {{url}}? Write {{url:NAME}}"
            )),
        }
    }

    fn url_of(&self, name: &IntegrationName, variable: &str) -> Result<String, String> {
        if !self.integrations.contains(name) {
            return Err(format!(
                "{variable}: `{name}` is not among the integrations: add `--integration {name}`"
            ));
        }
        Ok(format!("{}/{name}", self.egress(variable)?))
    }

    fn egress(&self, variable: &str) -> Result<&str, String> {
        let missing = || format!("{variable}: {{url}} needs --egress-url");
        self.egress.ok_or_else(missing)
    }
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        if name.is_empty() || name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err("a variable has a name without spaces".to_owned());
        }
        if matches!(name, "LANYARD_TOKEN_FILE" | "LANYARD_EGRESS_URL") {
            return Err(format!("{name} is set already"));
        }
        if value.contains('\0') {
            return Err("a variable holds no zero byte".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            text: value.to_owned(),
            parts: parts(value)?,
        })
    }
}

/// Braces that are meant as such are written twice.
fn parts(mut rest: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        parts.push(Part::Text(before.to_owned()));
        if let Some(doubled) = ["{{", "}}"].iter().find(|two| after.starts_with(**two)) {
            parts.push(Part::Text(doubled.chars().take(1).collect()));
            rest = after.strip_prefix(*doubled).unwrap_or_default();
            continue;
        }
        let named = after
            .strip_prefix('{')
            .and_then(|text| text.split_once('}'));
        let (place, following) = named.ok_or("write a brace that is meant as such twice")?;
        parts.push(match place.split_once(':') {
            None if place == "token" => Part::Token,
            None if place == "token_file" => Part::TokenFile,
            None if place == "url" => Part::Url,
            Some(("url", name)) => Part::UrlOf(name.parse().map_err(|_| {
                format!("`{name}` names no integration")
            })?),
            _ => {
                return Err(format!(
                    "nothing is put in for {{{place}}}: there are {{token}}, {{token_file}}, {{url}} and {{url:NAME}}"
                ));
            }
        });
        rest = following;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(variable: &str, integrations: &[&str]) -> Result<String, String> {
        let integrations: Vec<IntegrationName> = integrations
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        let values = Values {
            egress: Some("https://egress.example"),
            integrations: &integrations,
        };
        let variable: Variable = variable.parse()?;
        let filled = variable.fill(&values, "t.o.k", Path::new("/run/token"))?;
        Ok(filled.to_string())
    }

    #[test]
    fn places_are_filled_and_doubled_braces_are_braces() {
        assert_eq!(fill("A=Bearer {token}", &[]).unwrap(), "Bearer t.o.k");
        assert_eq!(fill("A={token_file}", &[]).unwrap(), "/run/token");
        assert_eq!(fill("A={url}", &[]).unwrap(), "https://egress.example");
        assert_eq!(
            fill("A={url}/v1", &["stripe"]).unwrap(),
            "https://egress.example/stripe/v1"
        );
        assert_eq!(
            fill("A={url:mail}", &["stripe", "mail"]).unwrap(),
            "https://egress.example/mail"
        );
        assert_eq!(
            fill(r#"A={{"k":"{token}"}}"#, &[]).unwrap(),
            r#"{"k":"t.o.k"}"#
        );
        assert_eq!(fill("A=", &[]).unwrap(), "");
        assert_eq!(fill("A=b=c", &[]).unwrap(), "b=c");
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        for (variable, integrations, why) in [
            ("A", &[][..], "NAME=VALUE"),
            ("=b", &[], "name"),
            ("A B=c", &[], "name"),
            ("A={toke}", &[], "{toke}"),
            ("A={", &[], "brace"),
            ("A=}", &[], "brace"),
            ("A={url}", &["stripe", "mail"], "{url:NAME}"),
            ("A={url:mail}", &["stripe"], "--integration mail"),
            ("A={url:Mail}", &["stripe"], "names no integration"),
            ("LANYARD_TOKEN_FILE=x", &[], "set already"),
        ] {
            let said = fill(variable, integrations).unwrap_err();
            assert!(said.contains(why), "{variable}: {said}");
        }
    }
}
