//! `lanyard integration`: what egress may call at third parties.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use lanyard_sdk::{Route, RouteTable};
use lanyard_token::Audience;
use lanyard_token::integration::{Integration, Rule};
use serde_json::{Value, json};

use super::super::CliError;
use super::super::output;
use super::{Asks, Call, items, listed, segment, text_of};

/// `lanyard integration …`.
#[derive(Debug, Subcommand)]
pub enum IntegrationCommand {
    /// Say what may be called at a third party, in the place of what was said before
    Add(Box<AddArgs>),
    /// All integrations
    List,
    /// One integration: what may be called, who carries it, and whether it can be used now
    Show {
        /// Its name or id
        integration: String,
    },
    /// Let nobody call it any more
    Remove {
        /// Its name or id
        integration: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
}

/// `lanyard integration add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What it is called: the first segment of the path under which egress serves it
    name: String,
    /// Who answers for it: id or name
    #[arg(long)]
    owner: String,
    /// A gateway that carries it, enrolled with --egress; repeatable
    #[arg(long = "gateway", required = true, value_name = "NAME")]
    gateways: Vec<String>,
    /// The integration, TOML; instead of the flags below
    #[arg(long, value_name = "FILE", conflicts_with_all = ["upstream", "secret", "allow", "header"])]
    file: Option<PathBuf>,
    /// Where calls go, such as https://api.stripe.com
    #[arg(long, value_name = "URL", required_unless_present = "file")]
    upstream: Option<String>,
    /// The secret that is put into each call, by name
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    secret: Option<String>,
    /// What may be called, such as 'GET /v1/charges/{id}'; repeatable
    #[arg(long, value_name = "RULE", required_unless_present = "file")]
    allow: Vec<String>,
    /// The header that takes the secret; `authorization`, with `Bearer` before it, unless said
    #[arg(long, value_name = "HEADER")]
    header: Option<String>,
}

impl Asks for IntegrationCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::Add(args) => {
                let integration = args.integration()?;
                let body = json!({
                    "owner": args.owner, "gateways": args.gateways, "integration": integration,
                });
                Call::post("v1/integrations", body, shown)
            }
            Self::List => Call::get("v1/integrations", |answer| {
                let columns = ["name", "owner", "upstream", "secret", "usable"];
                listed(answer, "integrations", &columns)
            }),
            Self::Show { integration } => {
                Call::get(format!("v1/integrations/{}", segment(integration)?), shown)
            }
            Self::Remove {
                integration,
                reason,
            } => Call::post(
                format!("v1/integrations/{}/remove", segment(integration)?),
                json!({"reason": reason}),
                output::members,
            ),
        })
    }
}

impl AddArgs {
    fn integration(&self) -> Result<Integration, CliError> {
        let written = match &self.file {
            Some(file) => of_file(file, &self.name)?,
            None => self.of_flags()?,
        };
        let integration: Integration =
            serde_json::from_value(written).map_err(|error| CliError::Usage(error.to_string()))?;
        if integration.name().as_str() != self.name {
            return Err(CliError::Usage(format!(
                "the file names `{}`: say that name, or leave it out of the file",
                integration.name()
            )));
        }
        check_routes(&integration).map_err(CliError::Usage)?;
        Ok(integration)
    }

    fn of_flags(&self) -> Result<Value, CliError> {
        let mut rules = Vec::with_capacity(self.allow.len());
        for rule in &self.allow {
            let (method, template) = rule.split_once(' ').ok_or_else(|| {
                CliError::Usage(format!(
                    "`{rule}` is no rule such as 'GET /v1/charges/{{id}}'"
                ))
            })?;
            rules.push(json!({"method": method, "template": template.trim_start()}));
        }
        let mut inject = json!({"kind": "header", "secret": self.secret});
        if let (Some(header), Some(object)) = (&self.header, inject.as_object_mut()) {
            object.insert("header".to_owned(), json!(header.to_ascii_lowercase()));
            object.insert("prefix".to_owned(), json!(""));
        }
        Ok(json!({
            "name": self.name, "upstream": self.upstream, "inject": inject, "rule": rules,
        }))
    }
}

/// The longest file.
const LONGEST_FILE: u64 = 256 * 1_024;

fn of_file(path: &Path, name: &str) -> Result<Value, CliError> {
    let cannot =
        |error: std::io::Error| CliError::cannot(format_args!("read `{}`", path.display()), &error);
    if std::fs::metadata(path).map_err(cannot)?.len() > LONGEST_FILE {
        let words = format!("{}: longer than {LONGEST_FILE} bytes", path.display());
        return Err(CliError::Usage(words));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    let mut written: toml::Table = toml::from_str(&text)
        .map_err(|error| CliError::Usage(format!("{}: {}", path.display(), error.message())))?;
    written
        .entry("name")
        .or_insert_with(|| toml::Value::String(name.to_owned()));
    serde_json::to_value(written)
        .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))
}

/// Whether egress could serve its rules: exactly as a gateway reads a table of routes.
pub(in crate::cli) fn check_routes(integration: &Integration) -> Result<(), String> {
    let audience: Audience = "https://egress.invalid"
        .parse()
        .map_err(|error| format!("{error}"))?;
    let routes = integration
        .rules()
        .iter()
        .map(|rule| route(integration, rule));
    RouteTable::build(&audience, routes)
        .map(drop)
        .map_err(|error| format!("`{}`: {error}", integration.name()))
}

fn route(integration: &Integration, rule: &Rule) -> Route {
    let template = format!("/{}{}", integration.name(), rule.template());
    // One that is none is refused where the integration is read.
    let method = rule.method().parse().unwrap_or(Method::CONNECT);
    let scopes = integration.scopes(rule).into_owned();
    let mut route = Route::new(method, template).scopes(scopes);
    if let Some(object) = rule.object() {
        route = route.object(object);
    }
    if let Some(destination) = rule.destination() {
        route = route.destination(destination);
    }
    route
}

fn shown(answer: &Value) -> String {
    let mut members = answer.clone();
    if let Some(object) = members.as_object_mut() {
        object.remove("gateways");
        object.remove("integration");
    }
    let gateways = output::table(items(answer, "gateways"), &["name", "allowed", "why"]);
    let empty = Value::Null;
    let integration = answer.get("integration").unwrap_or(&empty);
    let rules: String = items(integration, "rule")
        .iter()
        .map(|rule| {
            format!(
                "{} {}\n",
                text_of(rule, "method"),
                text_of(rule, "template")
            )
        })
        .collect();
    format!("{}\n{gateways}\n{rules}", output::members(&members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(allow: &[&str], header: Option<&str>) -> AddArgs {
        AddArgs {
            name: "stripe".to_owned(),
            owner: "payments".to_owned(),
            gateways: vec!["egress-eu".to_owned()],
            file: None,
            upstream: Some("https://api.stripe.com".to_owned()),
            secret: Some("payments/stripe/api-key".to_owned()),
            allow: allow.iter().map(|&rule| rule.to_owned()).collect(),
            header: header.map(str::to_owned),
        }
    }

    #[test]
    fn flags_say_the_simple_case() {
        let args = flags(&["GET /v1/charges/{id}", "POST  /v1/refunds"], None);
        let integration = args.integration().unwrap();
        assert_eq!(integration.rules().len(), 2);
        assert_eq!(integration.rules()[1].template(), "/v1/refunds");
        let written = serde_json::to_value(&integration).unwrap();
        assert_eq!(written["inject"]["header"], "authorization");
        let own = flags(&["GET /v1/x"], Some("X-Api-Key")).integration();
        let written = serde_json::to_value(own.unwrap()).unwrap();
        assert_eq!(written["inject"]["header"], "x-api-key");
        assert_eq!(written["inject"]["prefix"], "");
    }

    #[test]
    fn rules_that_no_gateway_could_serve_are_refused_before_anything_is_sent() {
        for bad in [
            &["/v1/x"][..],
            &["TRACE /v1/x"],
            &["GET v1"],
            &["GET /v1/{a}/x", "GET /v1/{b}/x"],
            &["GET /v1/{a}/{a}"],
        ] {
            assert!(
                matches!(flags(bad, None).integration(), Err(CliError::Usage(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_file_says_all_the_rest_and_may_leave_out_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stripe.toml");
        let text = "upstream = \"https://api.stripe.com\"\n[inject]\nkind = \"query\"\nsecret = \"s\"\n\
                    parameter = \"key\"\n[[rule]]\nmethod = \"GET\"\ntemplate = \"/v1/charges\"\n";
        let mut args = flags(&[], None);
        args.file = Some(file.clone());
        std::fs::write(&file, text).unwrap();
        assert_eq!(args.integration().unwrap().name().as_str(), "stripe");
        std::fs::write(&file, format!("name = \"other\"\n{text}")).unwrap();
        assert!(args.integration().is_err());
        std::fs::write(&file, format!("uptsream = \"x\"\n{text}")).unwrap();
        assert!(args.integration().is_err());
    }
}
