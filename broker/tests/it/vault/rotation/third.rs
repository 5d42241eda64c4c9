//! The third parties of the matrix: one server of each kind for all cases, and what is one case's own there.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::samples::{Samples, Source, Span, Vendors};
use crate::vault::aws_iam::{Account, Accounts};
use crate::vault::faults::{Fault, Proxy};
use crate::vault::http::DESCRIPTIONS;
use crate::vault::postgres::{Root, There, let_manage, superuser};
use crate::vault::servers::PostgresServer;
use crate::vault::vendor::{MANAGER, Vendor};

/// Every server, and who looks at it.
pub(super) struct Servers {
    // Dropped first: there is nothing to look at without the servers.
    pub(super) samples: [Samples; 3],
    postgres: Arc<PostgresServer>,
    root: Root,
    aws: Arc<Accounts>,
    vendors: Vendors,
    client: reqwest::Client,
}

impl Servers {
    /// With a place for each of these at every one of them.
    pub(super) async fn start(each: &[String]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let aws = Arc::new(Accounts::start(each).await);
        let postgres = Arc::new(PostgresServer::start());
        let root = let_manage(&postgres, each).await;
        let vendors = Vendors::default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let (roles, keys, books) = (postgres.clone(), aws.server.keys(), vendors.clone());
        let samples = [
            Samples::start(async move || Source::Postgres(superuser(&roles).await)),
            Samples::start(async move || {
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                Source::Moto(client, keys)
            }),
            Samples::start(async move || Source::Vendors(books)),
        ];
        Self {
            samples,
            postgres,
            root,
            aws,
            vendors,
            client,
        }
    }
}

/// What one case has at a third party.
pub(super) struct Third {
    servers: Arc<Servers>,
    /// Its name there.
    whose: String,
    kind: Kind,
}

enum Kind {
    Vendor {
        vendor: Vendor,
        description: &'static str,
    },
    Aws(Box<Account>),
    Postgres(Box<There>),
}

impl Third {
    pub(super) async fn new(servers: Arc<Servers>, driver: &str, whose: String) -> Self {
        let kind = match driver {
            "postgres" => {
                let there = There::of(servers.postgres.clone(), servers.root.clone(), &whose);
                Kind::Postgres(Box::new(there))
            }
            "aws_iam" => Kind::Aws(Box::new(Account::of(servers.aws.clone(), &whose))),
            name => {
                let vendor = Vendor::start().await;
                let mut vendors = servers.vendors.lock().unwrap();
                vendors.insert(whose.clone(), vendor.books.clone());
                let described = DESCRIPTIONS.iter().find(|(known, _)| *known == name);
                let (_, description) = described.unwrap();
                Kind::Vendor {
                    vendor,
                    description,
                }
            }
        };
        Self {
            servers,
            whose,
            kind,
        }
    }

    /// What may come in between.
    pub(super) async fn proxy(&self, fault: Fault) -> Proxy {
        let client = self.servers.client.clone();
        match &self.kind {
            Kind::Vendor { vendor, .. } => Proxy::http(vendor.url.clone(), client, fault).await,
            Kind::Aws(account) => {
                let url = account.accounts.server.url();
                Proxy::http(url.trim_end_matches('/').to_owned(), client, fault).await
            }
            Kind::Postgres(there) => Proxy::postgres(there.server.port, fault).await,
        }
    }

    /// The first credential: what the third party calls it, and its value.
    pub(super) async fn first(&self) -> (String, String) {
        match &self.kind {
            Kind::Vendor { vendor, .. } => vendor.books.make_ours(),
            Kind::Aws(account) => account.make().await,
            Kind::Postgres(there) => there.first().await,
        }
    }

    /// Who manages: its name there, and its value.
    pub(super) fn manager(&self) -> (String, String) {
        match &self.kind {
            Kind::Vendor { .. } => ("manager".to_owned(), MANAGER.to_owned()),
            Kind::Aws(account) => account.manager_text(),
            Kind::Postgres(_) => There::manager_text(),
        }
    }

    /// Numbers as short as they may be: what is waited for is not what is tried. Only a call has the time that a debug
    /// build needs for one on a machine with thirty brokers.
    pub(super) fn plan(&self, manager: &str, port: u16) -> Value {
        let third_party = match &self.kind {
            Kind::Vendor { description, .. } => {
                let mut settings: Value =
                    serde_json::to_value(toml::from_str::<toml::Value>(description).unwrap())
                        .unwrap();
                settings["base"] = json!(format!("http://127.0.0.1:{port}"));
                settings["kind"] = json!("http");
                settings
            }
            Kind::Aws(_) => json!({
                "kind": "aws_iam",
                "user": self.whose,
                "iam": format!("http://127.0.0.1:{port}/"),
                "sts": format!("http://127.0.0.1:{port}/"),
            }),
            Kind::Postgres(there) => json!({
                "kind": "postgres",
                "host": "127.0.0.1",
                "port": port,
                "database": "postgres",
                "roles": there.roles,
                "plain": true,
            }),
        };
        json!({
            "third_party": third_party,
            "manager": manager,
            "private": ["127.0.0.0/8"],
            "overlap_seconds": 1,
            "quiet_seconds": 1,
            "call_seconds": 4,
            "settle_seconds": 5,
            "spread_seconds": 2,
        })
    }

    /// Ends every credential of ours.
    pub(super) async fn end_all(&self) {
        match &self.kind {
            Kind::Vendor { vendor, .. } => vendor.books.end_ours(),
            Kind::Aws(account) => account.end_all().await,
            Kind::Postgres(there) => there.end_all().await,
        }
    }

    /// Names of our credentials that work, asked of the third party itself.
    pub(super) async fn working(&self) -> BTreeSet<String> {
        match &self.kind {
            Kind::Vendor { vendor, .. } => vendor.books.ours(),
            Kind::Aws(account) => account.keys().await,
            Kind::Postgres(there) => there.logging_in().await,
        }
    }

    /// It is looked every ten milliseconds what works, from here on.
    pub(super) fn watch(&self) {
        self.samples().watch(&self.whose);
    }

    /// What was seen since.
    pub(super) fn seen(&self) -> Vec<Span> {
        self.samples().taken(&self.whose)
    }

    fn samples(&self) -> &Samples {
        let [postgres, aws, vendors] = &self.servers.samples;
        match &self.kind {
            Kind::Postgres(_) => postgres,
            Kind::Aws(_) => aws,
            Kind::Vendor { .. } => vendors,
        }
    }
}

impl Drop for Third {
    fn drop(&mut self) {
        self.servers.vendors.lock().unwrap().remove(&self.whose);
    }
}
