//! Another issuer vouches for an identity that has no key.

use lanyard::issue::administration::{AdminError, CredentialKind, NewIdentity, NewTrust};
use lanyard::policy::Policies;
use lanyard::store::event::{By, Kind, Pinned};
use lanyard::store::{Event, Store};
use lanyard_token::Rev;
use serde_json::{Value, json};

use super::issuer::{Issuer, MAIN, encoded};
use super::world::{Answer, Holder, ISSUER, NOW, ORDERS, World};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A broker that trusts the issuer, and an identity that its main branch is.
async fn trusting(issuer: &Issuer) -> (World, Holder) {
    let world = World::trusting(&[&issuer.url]).await;
    let billing = world.identity("billing").await;
    trust(&world, "billing", issuer, MAIN, false).await.unwrap();
    (world, billing)
}

async fn trust(
    world: &World,
    identity: &str,
    issuer: &Issuer,
    subject: &str,
    reusable: bool,
) -> Result<lanyard_token::NodeId, AdminError> {
    let new = NewTrust {
        issuer: issuer.url.clone(),
        subject: subject.to_owned(),
        label: Some("pipeline".to_owned()),
        reusable,
    };
    let made = world
        .issue
        .trust_issuer(identity, new, None, By::Broker)
        .await;
    made.map(|view| view.id)
}

async fn show(world: &World, token: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("audience", ORDERS),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", token),
    ];
    form.extend_from_slice(more);
    world.post("/oauth/token", None, &form).await
}

/// The claims, with some of them changed; `null` takes one away.
fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    claims
}

#[tokio::test]
async fn a_pipeline_without_a_key_obtains_a_token_below_its_trust() {
    let issuer = Issuer::new().await;
    let (world, billing) = trusting(&issuer).await;
    let claims = world.claims(
        &show(&world, &issuer.token(&issuer.claims()), &[])
            .await
            .token(),
    );
    assert_eq!(claims.client_id, billing.id.to_string());
    let keys = world.issue.list_keys("billing").unwrap();
    let trust = keys.iter().find(|key| key.kind == CredentialKind::Oidc);
    assert_eq!(claims.lin.credential(), trust.unwrap().id);
    let records = world.store.read(Rev::ZERO, 10_000).unwrap();
    let asked = records.into_iter().flat_map(|record| record.events);
    let mut asked = asked.filter_map(|event| match event {
        Event::TokenIssued(token) => Some(token.decided.unwrap().asked),
        _ => None,
    });
    let asked = asked.next_back().unwrap();
    assert_eq!(asked.proof, "oidc");
    let pinned = Pinned {
        issuer: issuer.url.clone(),
        subject: MAIN.to_owned(),
        reusable: false,
    };
    assert_eq!(asked.oidc.as_deref(), Some(&pinned));
}

#[tokio::test]
async fn every_allowed_algorithm_is_believed_with_its_own_key_alone() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    for (algorithm, kid, status) in [
        ("RS256", "rsa", 200),
        ("PS256", "pss", 200),
        ("ES256", "ec", 200),
        ("EdDSA", "ed", 200),
        ("Ed25519", "ed", 200),
        ("RS256", "pss", 401),
        ("PS256", "rsa", 401),
        ("RS256", "ec", 401),
        ("ES256", "ed", 401),
    ] {
        let header = json!({"alg": algorithm, "kid": kid}).to_string();
        let token = issuer.signed(&header, &issuer.claims().to_string());
        let answer = show(&world, &token, &[]).await;
        assert_eq!(answer.status, status, "{algorithm} {kid}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_not_exactly_a_pipelines_token_is_refused_in_the_same_words() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    let good = issuer.claims();
    let header = json!({"alg": "ES256", "kid": "ec", "typ": "JWT"});
    let mut bad: Vec<(String, String)> = Vec::new();
    for changes in [
        json!({"iss": "https://issuer.example"}),
        json!({"iss": format!("{}/", issuer.url)}),
        json!({"iss": [issuer.url]}),
        json!({"iss": null}),
        json!({"sub": "repo:example/shop:ref:refs/heads/feature"}),
        json!({"sub": "repo:example/shop:pull_request"}),
        json!({"sub": "repo:example/shop:ref:refs/heads/main2"}),
        json!({"sub": "Repo:example/shop:ref:refs/heads/main"}),
        json!({"sub": format!("{MAIN} ")}),
        json!({"sub": ""}),
        json!({"sub": null}),
        json!({"aud": "https://other.example"}),
        json!({"aud": format!("{ISSUER}/")}),
        json!({"aud": [ISSUER, "https://other.example"]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"aud": {"a": 1}}),
        json!({"exp": NOW - 6}),
        json!({"exp": NOW + 3_601}),
        json!({"exp": u64::MAX}),
        json!({"exp": 1.5e9}),
        json!({"exp": "1900000000"}),
        json!({"exp": null}),
        json!({"iat": NOW + 6, "exp": NOW + 300}),
        json!({"iat": NOW + 300, "exp": NOW + 200}),
        json!({"iat": null}),
        json!({"iat": -1}),
        json!({"nbf": NOW + 6}),
        json!({"nbf": "soon"}),
        json!({"jti": 7}),
        json!({"jti": ""}),
        // Before this broker started, or so soon after that it may have been shown before: nobody remembers.
        json!({"iat": NOW - 7}),
        json!({"iat": NOW - 1}),
    ] {
        let token = issuer.token(&with(&good, changes.clone()));
        bad.push((changes.to_string(), token));
    }
    for changes in [
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES384"}),
        json!({"alg": "es256"}),
        json!({"alg": ["ES256"]}),
        json!({"alg": null}),
        json!({"kid": "unknown"}),
        json!({"kid": "../../dev/null"}),
        json!({"kid": 7}),
        json!({"kid": null}),
        json!({"typ": "at+jwt"}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": 7}),
        json!({"crit": ["exp"]}),
        json!({"b64": false}),
        json!({"jwk": issuer.ec("ec")}),
        json!({"jku": "http://127.0.0.1:1/keys"}),
        json!({"x5u": "http://127.0.0.1:1/certificate"}),
        json!({"x5c": []}),
        json!({"zip": "DEF"}),
    ] {
        let token = issuer.signed(
            &with(&header, changes.clone()).to_string(),
            &good.to_string(),
        );
        bad.push((changes.to_string(), token));
    }
    let (plain, claims) = (header.to_string(), good.to_string());
    let twice = |text: &str, more: &str| format!("{{{more},{}", &text[1..]);
    let texts = [
        (plain.clone(), twice(&claims, "\"sub\":\"somebody\"")),
        (twice(&plain, "\"alg\":\"none\""), claims.clone()),
        (plain.clone(), format!("[{claims}]")),
        (plain.clone(), format!("{claims} x")),
        (plain.clone(), "null".to_owned()),
        (format!("[{plain}]"), claims.clone()),
    ];
    for (header, claims) in texts {
        bad.push((
            format!("{header} {claims}"),
            issuer.signed(&header, &claims),
        ));
    }
    let token = issuer.token(&good);
    let parts: Vec<&str> = token.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let changed = encoded(
        with(&good, json!({"jti": "another"}))
            .to_string()
            .as_bytes(),
    );
    for text in [
        String::new(),
        "x".to_owned(),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}.{body}.{signature}."),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.!!!!"),
        format!("{head}.{changed}.{signature}"),
        format!("{head}.{body}.{}", encoded(&[0; 64])),
        format!(" {token}"),
        issuer.token(&with(&good, json!({"fill": "x".repeat(9_000)}))),
    ] {
        bad.push((text.clone(), text));
    }
    let words = show(&world, "x", &[]).await.body;
    for (what, token) in bad {
        let answer = show(&world, &token, &[]).await;
        if token.is_empty() {
            // A parameter without a value was not sent.
            assert_eq!(answer.status, 401, "{what}");
            continue;
        }
        answer.assert_error(401, "invalid_client");
        assert_eq!(answer.body, words, "{what}");
    }
    show(&world, &token, &[]).await.token();
}

#[tokio::test]
async fn no_letter_of_a_token_can_be_changed() {
    let issuer = Issuer::new().await;
    let world = World::trusting(&[&issuer.url]).await;
    world.identity("pod").await;
    // One that may be shown again: nothing else would refuse it a second time.
    trust(&world, "pod", &issuer, MAIN, true).await.unwrap();
    let token = issuer.token(&issuer.claims());
    show(&world, &token, &[]).await.token();
    for place in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[place] = match changed[place] {
            b'A' => b'B',
            _ => b'A',
        };
        let changed = String::from_utf8(changed).unwrap();
        let answer = show(&world, &changed, &[]).await;
        assert_eq!(answer.status, 401, "{place}: {changed}");
    }
    show(&world, &token, &[]).await.token();
}

#[tokio::test]
async fn a_token_is_shown_once_unless_its_platform_has_only_one() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    let claims = issuer.claims();
    let token = issuer.token(&claims);
    show(&world, &token, &[]).await.token();
    show(&world, &token, &[])
        .await
        .assert_error(401, "invalid_client");
    // The same number in another text, and another text without a number.
    let again = issuer.token(&with(&claims, json!({"repository": "another"})));
    show(&world, &again, &[])
        .await
        .assert_error(401, "invalid_client");
    let unnumbered = with(&claims, json!({"jti": null, "job": 1}));
    let signed_twice = [issuer.token(&unnumbered), issuer.token(&unnumbered)];
    assert_ne!(signed_twice[0], signed_twice[1]);
    show(&world, &signed_twice[0], &[]).await.token();
    show(&world, &signed_twice[1], &[])
        .await
        .assert_error(401, "invalid_client");

    world.identity("pod").await;
    trust(&world, "pod", &issuer, "pod", true).await.unwrap();
    let pod = issuer.token(&with(
        &claims,
        json!({"sub": "pod", "jti": "pod", "iat": NOW - 100}),
    ));
    for _ in 0..2 {
        show(&world, &pod, &[]).await.token();
    }
}

#[tokio::test]
async fn a_token_signed_ahead_is_not_believed_again_by_a_broker_that_was_started_since() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    let ahead = issuer.token(&with(&issuer.claims(), json!({"iat": NOW + 5})));
    show(&world, &ahead, &[]).await.token();

    let world = World::trusting_since(&[&issuer.url], NOW).await;
    world.identity("billing").await;
    trust(&world, "billing", &issuer, MAIN, false)
        .await
        .unwrap();
    for seconds in 0..10 {
        show(&world, &ahead, &[])
            .await
            .assert_error(401, "invalid_client");
        let signed_now = issuer.token(&with(&issuer.claims(), json!({"iat": NOW + seconds})));
        let status = show(&world, &signed_now, &[]).await.status;
        let wanted = if seconds <= 5 { 401 } else { 200 };
        assert_eq!(status, wanted, "after {seconds} s");
        world.clock.advance_millis(1_000);
    }
}

#[tokio::test]
async fn a_refused_token_is_not_used_up() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    let token = issuer.token(&issuer.claims());
    show(&world, &token, &[("client_secret", "x")])
        .await
        .assert_error(400, "invalid_request");
    show(&world, &token, &[("client_id", "0000000000000001")])
        .await
        .assert_error(401, "invalid_client");
    show(&world, &token, &[]).await.token();
}

#[tokio::test]
async fn one_subject_of_two_identities_says_which_it_is() {
    let issuer = Issuer::new().await;
    let (world, billing) = trusting(&issuer).await;
    let other = world.identity("other").await;
    trust(&world, "other", &issuer, MAIN, false).await.unwrap();
    let shown = |id: Option<String>| {
        let (world, token) = (&world, issuer.token(&issuer.claims()));
        async move {
            let id = id.unwrap_or_default();
            show(world, &token, &[("client_id", &id)]).await
        }
    };
    shown(None).await.assert_error(401, "invalid_client");
    for holder in [billing, other] {
        let claims = world.claims(&shown(Some(holder.id.to_string())).await.token());
        assert_eq!(claims.client_id, holder.id.to_string());
    }
}

#[tokio::test]
async fn ending_the_trust_ends_its_tokens_and_gives_no_more() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    let token = show(&world, &issuer.token(&issuer.claims()), &[])
        .await
        .token();
    let keys = world.issue.list_keys("billing").unwrap();
    let trust = keys.iter().find(|key| key.kind == CredentialKind::Oidc);
    let trust = trust.unwrap().id;
    let ended = world
        .issue
        .revoke_credential(trust, By::Broker, "the repository was given away");
    ended.await.unwrap();
    assert!(!world.lives(&token));
    show(&world, &issuer.token(&issuer.claims()), &[])
        .await
        .assert_error(401, "invalid_client");
    let enabled = world.issue.enable_credential(trust, By::Broker, None);
    enabled.await.unwrap();
    assert!(!world.lives(&token), "what was ended stays dead");
    show(&world, &issuer.token(&issuer.claims()), &[])
        .await
        .token();
}

#[tokio::test]
async fn a_trust_names_a_listed_issuer_and_a_written_out_subject_once() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    for subject in [
        "repo:example/*",
        "repo:example/shop:*",
        "",
        " repo:example/shop",
        "two\nlines",
        "hid\u{200b}den",
        &"x".repeat(513),
    ] {
        let refused = trust(&world, "billing", &issuer, subject, false).await;
        assert!(
            matches!(refused, Err(AdminError::Invalid(ref why)) if why.member == "subject"),
            "{subject:?}"
        );
    }
    let again = trust(&world, "billing", &issuer, MAIN, true).await;
    assert!(matches!(again, Err(AdminError::Taken { .. })));
    let nobody = trust(&world, "nobody", &issuer, MAIN, false).await;
    assert!(matches!(nobody, Err(AdminError::NotFound { .. })));
    let stranger = Issuer::new().await;
    let refused = trust(&world, "billing", &stranger, MAIN, false)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("federation.issuers"),
        "{refused}"
    );
    show(&world, &stranger.token(&stranger.claims()), &[])
        .await
        .assert_error(401, "invalid_client");
    assert_eq!(
        stranger.asked(),
        0,
        "nobody is asked whom the operator did not list"
    );
}

#[tokio::test]
async fn names_of_keys_that_somebody_invents_ask_the_issuer_once_in_half_a_minute() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    let invented = |number: usize| {
        let header = json!({"alg": "ES256", "kid": format!("invented-{number}")}).to_string();
        issuer.signed(&header, &issuer.claims().to_string())
    };
    for number in 0..20 {
        show(&world, &invented(number), &[])
            .await
            .assert_error(401, "invalid_client");
    }
    assert_eq!(issuer.asked(), 2, "the document and the keys");
    world.clock.advance_millis(29_000);
    let claims = with(&issuer.claims(), json!({"iat": NOW + 29, "nbf": null}));
    show(&world, &issuer.token(&claims), &[]).await.token();
    assert_eq!(issuer.asked(), 2);
    world.clock.advance_millis(1_000);
    show(&world, &invented(20), &[]).await;
    assert_eq!(issuer.asked(), 4);
}

#[tokio::test]
async fn keys_come_and_go_and_outlive_an_outage_of_their_issuer_by_a_day() {
    let issuer = Issuer::new().await;
    let (world, _) = trusting(&issuer).await;
    // Its own signing keys are kept meanwhile, as a running broker does.
    let at = async |seconds: u64| {
        world
            .clock
            .set(lanyard::clock::UnixMillis::from_seconds(NOW + seconds));
        world.issue.keep_keys().await.unwrap();
        let claims = json!({"iat": NOW + seconds, "exp": NOW + seconds + 300, "nbf": null});
        with(&issuer.claims(), claims)
    };
    let token = |kid: &str, claims: &Value| {
        let header = json!({"alg": "ES256", "kid": kid}).to_string();
        issuer.signed(&header, &claims.to_string())
    };
    show(&world, &token("ec", &at(0).await), &[]).await.token();
    // A new key is known as soon as it is used.
    issuer.publish(&[issuer.ec("ec"), issuer.ec("new")]);
    show(&world, &token("new", &at(60).await), &[])
        .await
        .token();
    // One that is taken back is believed for ten minutes more.
    issuer.publish(&[issuer.ec("new")]);
    show(&world, &token("ec", &at(600).await), &[])
        .await
        .token();
    show(&world, &token("ec", &at(660).await), &[])
        .await
        .assert_error(401, "invalid_client");
    show(&world, &token("new", &at(661).await), &[])
        .await
        .token();
    issuer.is_down();
    show(&world, &token("new", &at(23 * 3_600).await), &[])
        .await
        .token();
    show(&world, &token("new", &at(25 * 3_600).await), &[])
        .await
        .assert_error(503, "temporarily_unavailable");
    issuer.publish(&[issuer.ec("new")]);
    show(&world, &token("new", &at(25 * 3_600 + 30).await), &[])
        .await
        .token();
}

#[tokio::test]
async fn an_issuer_that_answers_strangely_gives_no_keys() {
    let keys = |issuer: &Issuer| format!("{}/keys", issuer.url);
    let strange: [fn(&Issuer); 7] = [
        |issuer| {
            issuer.describe(&json!({"issuer": "https://other.example", "jwks_uri": format!("{}/keys", issuer.url)}))
        },
        |issuer| {
            issuer.describe(&json!({"issuer": issuer.url, "jwks_uri": "http://127.0.0.1:1/keys"}))
        },
        |issuer| issuer.describe(&json!({"issuer": issuer.url})),
        |issuer| issuer.describe(&json!([issuer.url])),
        |issuer| issuer.answers_with("<html>".to_owned()),
        |issuer| {
            issuer.answers_with(format!(
                "{{\"keys\":[],\"fill\":\"{}\"}}",
                "x".repeat(300_000)
            ))
        },
        |issuer| issuer.publish(&[issuer.ec("ec"), issuer.ec("ec")]),
    ];
    for (number, make) in strange.into_iter().enumerate() {
        let issuer = Issuer::new().await;
        let (world, _) = trusting(&issuer).await;
        make(&issuer);
        let answer = show(&world, &issuer.token(&issuer.claims()), &[]).await;
        assert_eq!(answer.status, 503, "{number}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Where the operator names the keys, the document does not matter.
    let issuer = Issuer::new().await;
    issuer.describe(&json!({}));
    let world = World::trusting(&[&format!("{}={}", issuer.url, keys(&issuer))]).await;
    world.identity("billing").await;
    trust(&world, "billing", &issuer, MAIN, false)
        .await
        .unwrap();
    show(&world, &issuer.token(&issuer.claims()), &[])
        .await
        .token();
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_policy_sees_who_vouches_for_whom() {
    let issuer = Issuer::new().await;
    let (world, billing) = trusting(&issuer).await;
    let policy = format!(
        "@id(\"ci\") @owner(\"team\") @why(\"w\") permit(principal, action == Lanyard::Action::\"issue\", resource)\n\
         when {{ context.proof == \"oidc\" && context has oidc && context.oidc.issuer == \"{}\" &&\n\
         context.oidc.subject == \"{MAIN}\" }};",
        issuer.url
    );
    let folder = tempfile::tempdir().unwrap();
    let schema = include_str!("../../../../policies/schema.cedarschema");
    std::fs::write(folder.path().join("schema.cedarschema"), schema).unwrap();
    std::fs::create_dir(folder.path().join("ci")).unwrap();
    std::fs::write(folder.path().join("ci/policy.cedar"), policy).unwrap();
    assert!(Policies::open(Some(folder.path())).is_ok());
    world.issue.read_policies_from(Some(folder.path()));
    world.issue.reload_policies(By::Broker, None).await.unwrap();
    let form = [("grant_type", "client_credentials"), ("audience", ORDERS)];
    world
        .post("/oauth/token", Some(&billing), &form)
        .await
        .assert_error(400, "invalid_scope");
    show(&world, &issuer.token(&issuer.claims()), &[])
        .await
        .token();
}

#[tokio::test]
async fn the_shipped_grant_for_pipelines_gives_a_release_to_the_main_branch_and_nothing_to_a_key() {
    const GITHUB: &str = "https://token.actions.githubusercontent.com";
    const DEPLOY: &str = "https://deploy.example";
    let issuer = Issuer::new().await;
    let world = World::trusting(&[&format!("{GITHUB}={}/keys", issuer.url)]).await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    world.issue.read_policies_from(Some(&folder));
    world.issue.reload_policies(By::Broker, None).await.unwrap();
    let new = NewIdentity {
        name: "deploy-bot".to_owned(),
        owner: "team".to_owned(),
        kind: Kind::Service,
        tags: vec!["grant.ci-deploy".to_owned()],
        audiences: vec![DEPLOY.to_owned()],
        scopes: String::new(),
        max_lifetime: None,
    };
    world.issue.create_identity(new, By::Broker).await.unwrap();
    let feature = "repo:example/shop:ref:refs/heads/feature";
    for subject in [MAIN, feature] {
        let new = NewTrust {
            issuer: GITHUB.to_owned(),
            subject: subject.to_owned(),
            label: None,
            reusable: false,
        };
        let trusted = world
            .issue
            .trust_issuer("deploy-bot", new, None, By::Broker);
        trusted.await.unwrap();
    }
    let asked = [
        ("grant_type", "client_credentials"),
        ("audience", DEPLOY),
        ("scope", "release:write"),
        ("requested_lifetime", "3600"),
    ];
    let pipeline = async |subject: &str| {
        let claims = with(&issuer.claims(), json!({"iss": GITHUB, "sub": subject}));
        let token = issuer.token(&claims);
        let shown = [
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", token.as_str()),
        ];
        let form = [asked.as_slice(), &shown].concat();
        world.post("/oauth/token", None, &form).await
    };
    let given = pipeline(MAIN).await;
    assert_eq!(given.json()["expires_in"], 600, "{given:?}");
    let claims = world.claims(&given.token());
    assert_eq!(claims.scope.to_string(), "release:write");
    // It proved who it is, and the grant is for another branch.
    pipeline(feature).await.assert_error(400, "invalid_scope");
    let (credential, key) = world
        .issue
        .add_key("deploy-bot", None, None, By::Broker)
        .await
        .unwrap();
    let holder = Holder {
        id: claims.lin.identity(),
        credential,
        secret: key.expose().to_owned(),
    };
    world
        .post("/oauth/token", Some(&holder), &asked)
        .await
        .assert_error(400, "invalid_scope");
}
