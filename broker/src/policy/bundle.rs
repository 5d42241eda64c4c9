//! A folder of policies, read and checked once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use lanyard_token::{Audience, Scope};

use super::administration::Could;
use super::annotations::{self, Annotations};
use super::asked::Binding;
use super::broken::Broken;
use super::catalogue::{self, Catalogue};
use super::closed;
use super::contradiction::{self, Written};
use super::mentions::Mentions;
use super::remembered::Remembered;
use super::respond::Responses;
use super::respond::marks::Marks;
use super::slices::{MOST_WITHIN_REACH, Slices, actions};
use super::sources::{Sources, Text};
use super::words::Words;
use crate::store::event::ContentHash;

/// Whether a policy gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It gives, unless another takes.
    Permit,
    /// It takes.
    Forbid,
}

/// One policy, and where it stands.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub id: String,
    /// The folder of its grant.
    pub grant: String,
    /// Its file.
    pub file: PathBuf,
    /// The line of its name.
    pub line: usize,
    /// Whether it gives or takes.
    pub effect: Effect,
    /// Whom to ask.
    pub owner: Option<String>,
    /// Why it is there.
    pub why: Option<String>,
    /// Longest lifetime, in seconds.
    pub max_ttl: Option<u64>,
    /// It counts only for tokens bound so.
    pub require_binding: Option<Binding>,
    /// For a policy of responses: which step, and whom it meets.
    pub respond: Option<Marks>,
}

impl Rule {
    /// `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

/// Policies that parse, fit their schema and do not contradict one another.
#[derive(Debug)]
pub struct Bundle {
    pub(super) words: Words,
    pub(super) slices: Slices,
    /// Policies of responses: its own, or those that came with the program.
    pub(super) responses: Arc<Responses>,
    rules: BTreeMap<String, Rule>,
    pub(super) written: Arc<Written>,
    /// The actions that each of them can have a say about.
    about: HashMap<String, HashSet<EntityUid>>,
    catalogue: Catalogue,
    /// Who decides about administration when its own schema has no word of it.
    administration: Option<Box<Bundle>>,
    remarks: Vec<Broken>,
    hash: ContentHash,
    /// What policies read of the circumstances that change; most read nothing of them.
    mentions: HashMap<PolicyId, Mentions>,
    pub(super) remembered: Remembered,
    pub(super) could: Could,
}

impl Bundle {
    /// Reads a folder.
    pub fn load(folder: &Path) -> Result<Self, Broken> {
        Self::of(&Sources::read(folder)?)
    }

    /// What came with the program: everybody gets what it was registered for.
    pub fn embedded() -> Result<Self, Broken> {
        Self::of(&Sources::embedded())
    }

    /// Policies that somebody sends to be tried, with the schema they are written for.
    pub fn sent(schema: String, policies: String) -> Result<Self, Broken> {
        Self::of(&Sources::sent(schema, policies))
    }

    /// Reads a folder as if these files of grants had other texts.
    pub fn load_with(folder: &Path, texts: &BTreeMap<PathBuf, String>) -> Result<Self, Broken> {
        let mut sources = Sources::read(folder)?;
        for (_, grant) in &mut sources.grants {
            if let Some(text) = texts.get(&grant.file) {
                grant.text = text.clone().into();
            }
        }
        Self::of(&sources)
    }

    pub(super) fn of(sources: &Sources) -> Result<Self, Broken> {
        let Text { file, text } = &sources.schema;
        let schema = Schema::from_cedarschema_str(text)
            .map(|(schema, _)| schema)
            .map_err(|error| Broken::told(file, text, &error))?;
        let words = Words::of(&schema).map_err(|why| {
            Broken::file(file, why).advise("begin with the schema that comes with Lanyard")
        })?;
        if let Some(action) = words.system.as_ref().and_then(|_| words.missing_action()) {
            return Err(Broken::file(file, format!("no action `{action}`"))
                .advise("take over the administration of the schema that comes with Lanyard"));
        }
        let administration = match words.system {
            Some(_) => None,
            None => Some(Box::new(Self::embedded()?)),
        };
        let mut policies = PolicySet::new();
        let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
        for (grant, text) in &sources.grants {
            for (policy, rule) in rules_of(grant, text)? {
                if let Some(twin) = rules.get(&rule.id) {
                    let words = format!("`{}` is also the name of {}", rule.id, twin.place());
                    return Err(Broken::line(&rule.file, rule.line, words)
                        .advise("a decision names its policies: give each its own name"));
                }
                policies
                    .add(policy.new_id(PolicyId::new(&rule.id)))
                    .map_err(|error| Broken::line(&rule.file, rule.line, error.to_string()))?;
                rules.insert(rule.id.clone(), rule);
            }
        }
        let remarks = validate(schema, &policies, &rules, sources)?;
        let written = Arc::new(Written::of(&policies));
        refuse_misspelt(&policies, &rules, &written, sources)?;
        refuse_contradictions(&policies, &rules, &words, &written)?;
        let slices = Slices::of(policies.policies(), &words)
            .map_err(|error| Broken::file(file, error.to_string()))?;
        let responses = Responses::of(&policies, &rules, &words, &written)?;
        let mentions = policies
            .policies()
            .map(|policy| (policy.id().clone(), Mentions::of(written.get(policy.id()))))
            .filter(|(_, mentions)| !mentions.is_none())
            .collect();
        let about = policies.policies().map(|policy| {
            let id: &str = policy.id().as_ref();
            (id.to_owned(), actions(policy, &words).into_iter().collect())
        });
        let about = about.collect();
        Ok(Self {
            words,
            slices,
            responses,
            rules,
            written,
            about,
            catalogue: catalogue::read(sources.catalogue.as_ref())?,
            administration,
            remarks,
            hash: sources.hash(),
            mentions,
            remembered: Remembered::default(),
            could: Could::default(),
        })
    }

    /// Names the bundle by its content.
    pub const fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Its policies, by name.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.values()
    }

    /// One of them.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(id)
    }

    /// The audiences and scopes there are, as far as the bundle knows.
    pub const fn catalogue(&self) -> &BTreeMap<Audience, BTreeSet<Scope>> {
        &self.catalogue
    }

    /// What is strange about it, though not wrong.
    pub fn remarks(&self) -> &[Broken] {
        &self.remarks
    }

    /// Whether a policy can have a say when a token is asked for.
    pub fn is_about_issuing(&self, rule: &Rule) -> bool {
        self.has_a_say(rule, &self.words.issue)
    }

    /// Whether a policy can have a say about an action.
    pub(super) fn has_a_say(&self, rule: &Rule, action: &EntityUid) -> bool {
        let about = self.about.get(&rule.id);
        about.is_some_and(|actions| actions.contains(action))
    }

    /// The bundle that decides about administration: itself, or the one that came with the program when its schema
    /// knows nothing of that.
    pub(super) fn about_administration(&self) -> &Self {
        self.administration.as_deref().unwrap_or(self)
    }

    /// What a set of them reads of the circumstances that change.
    pub(super) fn mentions_of(&self, policies: &PolicySet) -> Mentions {
        if self.mentions.is_empty() {
            return Mentions::default();
        }
        let all = policies.policies().map(|policy| policy.id());
        let all = all.filter_map(|id| self.mentions.get(id).copied());
        all.fold(Mentions::default(), Mentions::and)
    }

    /// Whether any of its policies about an action looks at the hour.
    pub(super) fn looks_at_hours(&self, action: &EntityUid) -> bool {
        let mut mentions = self.mentions.iter().filter(|(_, mentions)| mentions.hour);
        mentions.any(|(id, _)| {
            let rule = self.rules.get(AsRef::<str>::as_ref(id));
            rule.is_some_and(|rule| self.has_a_say(rule, action))
        })
    }

    /// In how many slices the policies are, and how many the largest has.
    pub fn sliced(&self) -> (usize, usize) {
        (self.slices.count(), self.slices.largest())
    }

    /// How many policies one decision can come to look at, as far as their heads tell.
    pub fn within_reach(&self) -> usize {
        self.slices.within_reach()
    }

    /// What whoever puts it in force should know, in words.
    pub fn warnings(&self) -> Vec<String> {
        // Such a policy does nothing: whoever wrote it believes that it permits or forbids something.
        let remarked = self.remarks.first().map(|first| {
            let count = self.remarks.len();
            format!(
                "`lanyard policy check` says more about these policies ({count} in all): {first}"
            )
        });
        self.crowded().into_iter().chain(remarked).collect()
    }

    /// That a decision can come to look at too many, in words, and where most of them stand.
    pub fn crowded(&self) -> Option<String> {
        let within_reach = self.within_reach();
        (within_reach > MOST_WITHIN_REACH).then(|| {
            let fullest = self.slices.fullest().unwrap_or_default();
            format!(
                "a decision can look at {within_reach} policies, about a microsecond each ({fullest}): say in their heads for \
                 whom they are, or for which audience"
            )
        })
    }
}

/// The policies of a file, and where each stands.
pub(super) fn rules_of(grant: &str, source: &Text) -> Result<Vec<(Policy, Rule)>, Broken> {
    let Text { file, text } = source;
    let set = PolicySet::from_str(text).map_err(|errors| match errors.iter().next() {
        Some(error) => Broken::told(file, text, error),
        None => Broken::file(file, errors.to_string()),
    })?;
    if let Some(template) = set.templates().next() {
        let line = line_of(text, &template.to_cedar(), &mut 0);
        return Err(
            Broken::line(file, line, "a template").advise("write a policy for each principal")
        );
    }
    let mut policies: Vec<_> = set.policies().collect();
    policies.sort_by_key(|policy| numbered(policy.id()));
    let mut read_so_far = 0;
    let mut found = Vec::with_capacity(policies.len());
    for policy in policies {
        let written = policy.to_cedar().unwrap_or_default();
        let line = line_of(text, &written, &mut read_so_far);
        let Annotations {
            id,
            owner,
            why,
            max_ttl,
            require_binding,
            respond,
        } = annotations::read(policy)
            .map_err(|(words, advice)| Broken::line(file, line, words).advise(advice))?;
        let effect = match policy.effect() {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        };
        let rule = Rule {
            id,
            grant: grant.to_owned(),
            file: file.clone(),
            line,
            effect,
            owner,
            why,
            max_ttl,
            require_binding,
            respond,
        };
        found.push((policy.clone(), rule));
    }
    Ok(found)
}

/// Cedar numbers the policies of a text in their order: `policy0`, `policy1`.
fn numbered(id: &PolicyId) -> u64 {
    let id: &str = id.as_ref();
    id.trim_start_matches("policy").parse().unwrap_or(u64::MAX)
}

/// Where a policy begins, after those before it.
fn line_of(text: &str, written: &str, read_so_far: &mut usize) -> usize {
    let rest = text.get(*read_so_far..).unwrap_or_default();
    let begin = *read_so_far + rest.find(written).unwrap_or(0);
    *read_so_far = begin + written.len();
    let before = text.get(..begin).unwrap_or_default();
    before.matches('\n').count() + 1
}

fn validate(
    schema: Schema,
    policies: &PolicySet,
    rules: &BTreeMap<String, Rule>,
    sources: &Sources,
) -> Result<Vec<Broken>, Broken> {
    let told = |id: &PolicyId, error: &dyn miette::Diagnostic| {
        let rule = rules.get(AsRef::<str>::as_ref(id));
        let source = rule.and_then(|rule| {
            let mut grants = sources.grants.iter();
            grants.find(|(grant, _)| *grant == rule.grant)
        });
        let source = source.map_or(&sources.schema, |(_, source)| source);
        Broken::told(&source.file, &source.text, error)
    };
    let result = Validator::new(schema).validate(policies, ValidationMode::Strict);
    if let Some(error) = result.validation_errors().next() {
        return Err(told(error.policy_id(), error));
    }
    Ok(result
        .validation_warnings()
        .map(|warning| told(warning.policy_id(), warning))
        .collect())
}

/// A word that never comes, with the line it stands in.
fn refuse_misspelt(
    policies: &PolicySet,
    rules: &BTreeMap<String, Rule>,
    written: &Written,
    sources: &Sources,
) -> Result<(), Broken> {
    for (id, rule) in rules {
        let policy = policies.policy(&PolicyId::new(id));
        let Some(found) = policy.and_then(|policy| closed::misspelt(written.get(policy.id())?))
        else {
            continue;
        };
        let text = sources
            .grants
            .iter()
            .find(|(_, source)| source.file == rule.file)
            .map_or("", |(_, source)| &source.text);
        let mut lines = text.lines().enumerate().skip(rule.line.saturating_sub(1));
        let line = lines.find(|(_, line)| line.contains(&found.written));
        let line = line.map_or(rule.line, |(index, _)| index + 1);
        let words = format!("`{id}` {}", found.words);
        return Err(Broken::line(&rule.file, line, words));
    }
    Ok(())
}

fn refuse_contradictions(
    policies: &PolicySet,
    rules: &BTreeMap<String, Rule>,
    words: &Words,
    written: &Written,
) -> Result<(), Broken> {
    let forbids = contradiction::Forbid::all(policies, words);
    for (id, rule) in rules {
        let Some(policy) = policies.policy(&PolicyId::new(id)) else {
            continue;
        };
        if let Some(clash) = written.excluded(policy) {
            let words = format!("`{id}` never applies: {clash}");
            return Err(Broken::line(&rule.file, rule.line, words).advise("correct one of them"));
        }
        // A forbid of a step leaves the milder ones, and one about tokens has no word about responses.
        let comparable = forbids.iter().filter(|other| {
            let other = rules.get(AsRef::<str>::as_ref(other.policy.id()));
            other.is_some_and(|other| Marks::compare(&rule.respond, &other.respond))
        });
        let Some(forbid) = contradiction::covering(policy, comparable, words, written) else {
            continue;
        };
        let forbid: &str = forbid.policy.id().as_ref();
        let place = rules.get(forbid).map(Rule::place).unwrap_or_default();
        let words = format!("`{id}` permits nothing: `{forbid}` ({place}) forbids all of it");
        return Err(Broken::line(&rule.file, rule.line, words)
            .advise("take out one of them, or say when the forbid applies"));
    }
    Ok(())
}
