use std::fs;
use std::path::Path;

use lanyard_token::{Audience, ScopeSet};
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;

const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");
const MONDAY: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);

/// Somebody registered, and what they ask for.
struct World {
    audiences: Vec<Audience>,
    registered: ScopeSet,
    tags: Vec<String>,
    audience: Audience,
    scopes: Option<ScopeSet>,
    within: Option<ScopeSet>,
    partial: bool,
    binding: Binding,
    proof: Proof,
    kind: &'static str,
}

impl World {
    fn new() -> Self {
        Self {
            audiences: vec!["https://a.example".parse().unwrap()],
            registered: "orders:read orders:write".parse().unwrap(),
            tags: Vec::new(),
            audience: "https://a.example".parse().unwrap(),
            scopes: None,
            within: None,
            partial: false,
            binding: Binding::None,
            proof: Proof::ApiKey,
            kind: "service",
        }
    }

    fn asks(scopes: &str) -> Self {
        Self {
            scopes: Some(scopes.parse().unwrap()),
            ..Self::new()
        }
    }

    fn tagged(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    fn of(&self, bundle: &Bundle) -> Result<Given, NotGiven> {
        bundle.grant(&Asked {
            subject: Party {
                name: "billing",
                kind: self.kind,
                owner: "payments",
                tags: &self.tags,
                audiences: &self.audiences,
                scopes: &self.registered,
                max_lifetime: 900,
                age_days: None,
                unused_days: None,
            },
            actor: None,
            audience: &self.audience,
            scopes: self.scopes.as_ref(),
            within: self.within.as_ref(),
            partial: self.partial,
            lifetime: 300,
            grant: AskedBy::ClientCredentials,
            proof: self.proof,
            oidc: None,
            binding: self.binding,
            network: Some("192.0.2.7".parse().unwrap()),
            risk: Risk::None,
            task: None,
            approvals: &[],
            time: MONDAY,
        })
    }

    fn scopes(&self, bundle: &Bundle) -> String {
        self.of(bundle).unwrap().scopes.to_string()
    }
}

fn load(policies: &str) -> Result<Bundle, Broken> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "grant", policies);
    Bundle::load(folder.path()).map_err(|mut broken| {
        let prefix = format!("{}/", folder.path().display());
        broken.place = broken.place.replace(&prefix, "");
        broken.words = broken.words.replace(&prefix, "");
        broken
    })
}

fn write(folder: &Path, grant: &str, policies: &str) {
    fs::write(folder.join("schema.cedarschema"), SCHEMA).unwrap();
    fs::create_dir_all(folder.join(grant)).unwrap();
    fs::write(folder.join(grant).join("policy.cedar"), policies).unwrap();
}

fn broken(policies: &str) -> String {
    load(policies).unwrap_err().to_string()
}

#[test]
fn without_a_folder_everybody_gets_what_it_was_registered_for() {
    let bundle = Bundle::embedded().unwrap();
    assert_eq!(World::new().scopes(&bundle), "orders:read orders:write");
    assert_eq!(World::asks("orders:read").scopes(&bundle), "orders:read");
    let refused = World::asks("orders:read admin").of(&bundle).unwrap_err();
    assert_eq!(
        refused,
        NotGiven::default(),
        "no forbid, no fault: nobody permits it"
    );
    let mut elsewhere = World::asks("orders:read");
    elsewhere.audience = "https://b.example".parse().unwrap();
    elsewhere.of(&bundle).unwrap_err();
}

#[test]
fn without_a_folder_an_identity_without_scopes_gets_a_token_without_scopes() {
    let bundle = Bundle::embedded().unwrap();
    let mut world = World::new();
    world.registered = ScopeSet::default();
    assert_eq!(world.scopes(&bundle), "");
    world.audience = "https://b.example".parse().unwrap();
    world.of(&bundle).unwrap_err();
}

#[test]
fn everything_is_what_the_parent_has_of_it() {
    let bundle = Bundle::embedded().unwrap();
    let mut world = World::new();
    world.within = Some("orders:read stock:read".parse().unwrap());
    assert_eq!(world.scopes(&bundle), "orders:read");
}

#[test]
fn what_is_allowed_is_given_alone_only_to_whoever_said_so() {
    let bundle = Bundle::embedded().unwrap();
    let mut world = World::asks("admin orders:read");
    world.of(&bundle).unwrap_err();
    world.partial = true;
    assert_eq!(world.scopes(&bundle), "orders:read");
    world.scopes = Some("admin".parse().unwrap());
    world.of(&bundle).unwrap_err();
}

#[test]
fn the_most_generous_cap_of_a_scope_and_the_shortest_over_scopes() {
    let bundle = load(
        r#"@id("short") @max_ttl("60s") permit(principal, action, resource == Lanyard::Scope::"https://a.example#orders:read");
        @id("longer") @max_ttl("2m") permit(principal, action, resource == Lanyard::Scope::"https://a.example#orders:read");
        @id("free") permit(principal, action, resource == Lanyard::Scope::"https://a.example#stock:read");
        @id("long") @max_ttl("10m") permit(principal, action, resource == Lanyard::Scope::"https://a.example#orders:write");"#,
    )
    .unwrap();
    let cap = |scopes: &str| World::asks(scopes).of(&bundle).unwrap().cap;
    assert_eq!(cap("orders:read"), Some(120));
    assert_eq!(cap("orders:write"), Some(600));
    assert_eq!(cap("orders:read orders:write"), Some(120));
    assert_eq!(cap("stock:read"), None);
    assert_eq!(cap("orders:write stock:read"), Some(600));
    let policies = World::asks("orders:read").of(&bundle).unwrap().policies;
    assert_eq!(
        policies.into_iter().collect::<Vec<_>>(),
        ["longer", "short"]
    );
}

#[test]
fn a_binding_that_is_demanded_and_missing_denies_and_is_told() {
    let bundle = load(
        r#"@id("bound") @require_binding("dpop") permit(principal, action == Lanyard::Action::"issue", resource);"#,
    )
    .unwrap();
    let mut world = World::asks("orders:read");
    let refused = world.of(&bundle).unwrap_err();
    assert_eq!(refused.unbound.into_iter().collect::<Vec<_>>(), ["bound"]);
    world.binding = Binding::Mtls;
    world.of(&bundle).unwrap_err();
    world.binding = Binding::Dpop;
    world.of(&bundle).unwrap();
}

#[test]
fn a_forbid_wins_in_whatever_slice_it_stands() {
    for head in [
        "principal, action, resource",
        r#"principal == Lanyard::Identity::"billing", action, resource"#,
        r#"principal in Lanyard::Owner::"payments", action, resource"#,
        r#"principal in Lanyard::Tag::"prod", action, resource"#,
        r#"principal in Lanyard::Tag::"kind:service", action, resource"#,
        r#"principal is Lanyard::Identity in Lanyard::Tag::"prod", action == Lanyard::Action::"issue", resource"#,
        r#"principal, action in [Lanyard::Action::"issue"], resource in Lanyard::Audience::"https://a.example""#,
        r#"principal, action, resource is Lanyard::Scope in Lanyard::Audience::"https://a.example""#,
        r#"principal, action, resource == Lanyard::Scope::"https://a.example#orders:read""#,
    ] {
        let bundle = load(&format!(
            r#"@id("all") permit(principal, action, resource);
            @id("no") forbid({head}) when {{ context has proof && context.proof == "api_key" }};"#
        ))
        .unwrap();
        let mut world = World::asks("orders:read").tagged("prod");
        let refused = world.of(&bundle).unwrap_err();
        assert_eq!(
            refused.policies.into_iter().collect::<Vec<_>>(),
            ["no"],
            "{head}"
        );
        world.proof = Proof::AccessToken;
        world.of(&bundle).unwrap();
    }
}

#[test]
fn policies_that_stand_too_close_together_are_told_with_their_slice() {
    let crowd = |number: usize| -> String {
        let policy = |id| {
            format!(
                "@id(\"p{id}\") permit(principal, action == Lanyard::Action::\"issue\", resource in \
                 Lanyard::Audience::\"https://a.example\") when {{ resource.name == \"s{id}\" }};\n"
            )
        };
        (0..number).map(policy).collect()
    };
    assert_eq!(load(&crowd(100)).unwrap().crowded(), None);
    let told = load(&crowd(101)).unwrap().crowded().unwrap();
    for words in ["101", "issue", "https://a.example", "everybody"] {
        assert!(told.contains(words), "{words} in {told}");
    }
}

#[test]
fn a_policy_that_applies_to_nothing_is_told_to_whoever_puts_it_in_force() {
    let whole = r#"@id("a") forbid(principal, action in Lanyard::Action::"administer", resource);"#;
    assert!(load(whole).unwrap().warnings().is_empty());
    let idle = r#"@id("a") forbid(principal, action == Lanyard::Action::"administer", resource);"#;
    let told = load(idle).unwrap().warnings().join("; ");
    assert!(
        told.contains("grant/policy.cedar:1") && told.contains("applicable action"),
        "{told}"
    );
}

#[test]
fn a_policy_for_somebody_else_is_not_even_looked_at() {
    let bundle = load(
        r#"@id("a") permit(principal == Lanyard::Identity::"other", action == Lanyard::Action::"issue", resource);
        @id("b") permit(principal in Lanyard::Tag::"other", action == Lanyard::Action::"issue", resource);
        @id("c") permit(principal, action == Lanyard::Action::"issue", resource in Lanyard::Audience::"https://b.example");"#,
    )
    .unwrap();
    assert_eq!(bundle.sliced(), (3, 1));
    // What is for one of those named and at one audience.
    assert_eq!(bundle.within_reach(), 2);
    World::asks("orders:read").of(&bundle).unwrap_err();
    World::asks("orders:read")
        .tagged("other")
        .of(&bundle)
        .unwrap();
}

#[test]
fn a_label_cannot_make_somebody_an_administrator() {
    let bundle = load(
        r#"@id("a") permit(principal in Lanyard::Tag::"kind:administrator", action, resource);"#,
    )
    .unwrap();
    let mut world = World::asks("orders:read").tagged("kind:administrator");
    world.of(&bundle).unwrap_err();
    world.kind = "administrator";
    world.of(&bundle).unwrap();
}

#[test]
fn a_policy_that_fails_denies_and_is_told() {
    let bundle = load(
        r#"@id("a") permit(principal, action, resource);
        @id("overflow") forbid(principal, action == Lanyard::Action::"issue", resource) when { context.lifetime * 9223372036854775807 > 0 };"#,
    )
    .unwrap();
    let refused = World::asks("orders:read").of(&bundle).unwrap_err();
    assert!(refused.faults[0].contains("overflow"), "{refused:?}");
}

#[test]
fn whatever_is_put_to_cedar_fits_the_schema() {
    let (schema, _) = cedar_policy::Schema::from_cedarschema_str(SCHEMA).unwrap();
    let words = words::Words::of(&schema).unwrap();
    let world = World::new().tagged("prod");
    let oidc = Oidc {
        issuer: "https://token.example".to_owned(),
        subject: "repo:a/b".to_owned(),
    };
    let operations = ["GET /orders".to_owned()];
    let party = Party {
        name: "billing",
        kind: "service",
        owner: "payments",
        tags: &world.tags,
        audiences: &world.audiences,
        scopes: &world.registered,
        max_lifetime: u64::MAX,
        age_days: Some(3),
        unused_days: Some(1),
    };
    let asked = Asked {
        subject: party,
        actor: Some(Party {
            name: "agent",
            ..party
        }),
        audience: &world.audience,
        scopes: None,
        within: None,
        partial: false,
        lifetime: u64::MAX,
        grant: AskedBy::TokenExchange,
        proof: Proof::AccessToken,
        oidc: Some(&oidc),
        binding: Binding::None,
        network: Some("2001:db8::1".parse().unwrap()),
        risk: Risk::Anomalous,
        task: Some(Task::Limits {
            operations: Some(&operations),
            destinations: None,
            calls: Some(3),
        }),
        approvals: &operations,
        time: OffsetDateTime::now_utc(),
    };
    let context = words.context(&asked).unwrap();
    context.validate(&schema, &words.issue).unwrap();
    let entities = words
        .entities(&asked, ["orders:read", ""].into_iter())
        .unwrap();
    let uid = words.scope(asked.audience, "");
    cedar_policy::Entities::from_entities(entities, Some(&schema)).unwrap();
    cedar_policy::Request::new(
        words.identity("billing"),
        words.issue.clone(),
        uid,
        context,
        Some(&schema),
    )
    .unwrap();
}

#[test]
fn what_does_not_parse_or_fit_is_refused_with_its_line_and_column() {
    let error = broken("@id(\"a\")\npermit(principal, action, resource)\nwhen { principal. };\n");
    assert!(error.starts_with("grant/policy.cedar:3:"), "{error}");
    let error = broken(
        "@id(\"a\")\npermit(principal, action, resource)\nwhen { principal.shoe_size == 3 };\n",
    );
    assert!(error.starts_with("grant/policy.cedar:3:"), "{error}");
    assert!(error.contains("shoe_size"), "{error}");
    let error =
        broken("// nobody\n\n@id(\"a\")\n@max_tll(\"5m\")\npermit(principal, action, resource);");
    assert_eq!(
        error,
        "grant/policy.cedar:3: unknown annotation `@max_tll`; known are id, owner, why, max_ttl, require_binding, response, canary, cap and override"
    );
    let twins = "@id(\"a\")\npermit(principal, action, resource);\n";
    let error = broken(&format!("{twins}{twins}"));
    assert!(
        error.starts_with("grant/policy.cedar:3: `a` is also the name of grant/policy.cedar:1"),
        "{error}"
    );
    let error = broken("@id(\"a\")\npermit(principal == ?principal, action, resource);");
    assert!(
        error.starts_with("grant/policy.cedar:1: a template"),
        "{error}"
    );
    let error = broken("\n\npermit(principal, action, resource);");
    assert!(
        error.starts_with("grant/policy.cedar:3: a policy without a name"),
        "{error}"
    );
}

#[test]
fn a_permit_that_a_forbid_always_covers_is_refused_by_line() {
    let forbid = "@id(\"no\")\nforbid(principal, action, resource in Lanyard::Audience::\"https://a.example\");\n";
    for head in [
        r#"principal, action, resource == Lanyard::Scope::"https://a.example#orders:read""#,
        r#"principal in Lanyard::Tag::"x", action, resource in Lanyard::Audience::"https://a.example""#,
    ] {
        let error = broken(&format!("{forbid}@id(\"yes\")\npermit({head});"));
        assert_eq!(
            error,
            "grant/policy.cedar:3: `yes` permits nothing: `no` (grant/policy.cedar:1) forbids all of it; \
             take out one of them, or say when the forbid applies"
        );
    }
    for head in [
        "principal, action, resource",
        r#"principal, action, resource in Lanyard::Audience::"https://a.example#b""#,
        r#"principal, action, resource == Lanyard::Scope::"https://a.example#b#c""#,
    ] {
        load(&format!("{forbid}@id(\"yes\")\npermit({head});")).unwrap();
    }
}

#[test]
fn a_folder_that_is_none_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let error = Bundle::load(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("no folder in it has a policy.cedar"),
        "{error}"
    );
    let error = Bundle::load(&folder.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    write(
        folder.path(),
        "a",
        "@id(\"a\") permit(principal, action, resource);",
    );
    fs::write(folder.path().join("schema.cedarschema"), "entity Cat;").unwrap();
    let error = Bundle::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("schema.cedarschema"), "{error}");
    fs::write(folder.path().join("schema.cedarschema"), "\nentity Cat").unwrap();
    let error = Bundle::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("schema.cedarschema:2:"), "{error}");
    fs::write(folder.path().join("schema.cedarschema"), SCHEMA).unwrap();
    fs::write(folder.path().join("catalogue.json"), "[{]").unwrap();
    let error = Bundle::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("catalogue.json:1:3"), "{error}");
}

#[test]
fn a_hash_names_the_content_and_not_the_place() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let permit = "@id(\"a\") permit(principal, action, resource);";
    write(left.path(), "a", permit);
    write(right.path(), "a", permit);
    let hash = |folder: &tempfile::TempDir| Bundle::load(folder.path()).unwrap().hash();
    assert_eq!(hash(&left), hash(&right));
    write(right.path(), "a", &format!("{permit}\n"));
    assert_ne!(hash(&left), hash(&right));
}

#[test]
fn a_broken_bundle_leaves_the_last_good_one_in_force() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a",
        "@id(\"a\") permit(principal, action, resource);",
    );
    let policies = Policies::open(Some(folder.path())).unwrap();
    let good = policies.current().hash();
    write(
        folder.path(),
        "a",
        "@id(\"a\") permit(principal, action, resource)",
    );
    policies.read().unwrap_err();
    assert_eq!(policies.current().hash(), good);
    World::asks("orders:read").of(&policies.current()).unwrap();
    write(
        folder.path(),
        "a",
        r#"@id("a") permit(principal == Lanyard::Identity::"other", action, resource);"#,
    );
    let next = policies.read().unwrap();
    assert_eq!(
        policies.current().hash(),
        good,
        "read, and not yet in force"
    );
    policies.swap(next.into());
    assert_ne!(policies.current().hash(), good);
    World::asks("orders:read")
        .of(&policies.current())
        .unwrap_err();
}

#[test]
fn the_repositorys_folder_can_be_loaded_and_the_embedded_bundle_is_its_registered_grant_and_its_roles()
 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let bundle = Bundle::load(&folder).unwrap();
    assert!(bundle.remarks().is_empty(), "{:?}", bundle.remarks());
    let embedded = Bundle::embedded().unwrap();
    let ids: Vec<_> = embedded.rules().map(|rule| &rule.id).collect();
    assert_eq!(
        ids,
        [
            "administrator",
            "auditor",
            "deployer",
            "egress.own-integrations",
            "policy-reviewer",
            "registered",
            "security-responder",
            "team-lead",
            "team-lead-looks"
        ]
    );
    assert_eq!(bundle.rule("registered").unwrap().grant, "registered");
    assert_eq!(bundle.rule("auditor").unwrap().grant, "administration");
}
