//! The folder of a newcomer's broker, and what it remembers: a broker that is started again on it must
//! be the same issuer, or every token and key of before would be somebody else's.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::broker::{Doors, StartError};
use crate::cli::CliError;
use crate::config::Config;

const REMEMBERED: &str = "dev.json";
const PUBLIC_PORT: u16 = 8420;
const ADMIN_PORT: u16 = 8421;

/// A folder and where its broker listens.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
    /// Of an earlier start.
    pub(super) issuer: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    issuer: String,
    listen: SocketAddr,
    admin_listen: SocketAddr,
}

impl Folder {
    /// Opens a folder, or makes a fresh one under the system's temporary directory. A remembered
    /// address is used again, unless another one is asked for: for the public listener that is refused,
    /// since it is part of the issuer's name.
    pub(super) fn open(
        path: Option<PathBuf>,
        listen: Option<&str>,
        admin: Option<&str>,
    ) -> Result<Self, CliError> {
        let path = match path {
            Some(path) => make(&path).map(|()| path),
            None => fresh(),
        }?;
        let (listen, admin) = (address("listen", listen)?, address("admin_listen", admin)?);
        let Some(remembered) = read(&path)? else {
            if has_log(&path) {
                return Err(CliError::Failed(format!(
                    "`{}` holds a log that `lanyard dev` did not make: `lanyard serve` runs it",
                    path.display()
                )));
            }
            let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
            return Ok(Self {
                path,
                listen: listen.unwrap_or_else(|| local(PUBLIC_PORT)),
                admin_listen: admin.unwrap_or_else(|| local(ADMIN_PORT)),
                issuer: None,
            });
        };
        if let Some(asked) = listen
            && asked.port() != 0
            && asked != remembered.listen
        {
            return Err(CliError::Usage(format!(
                "`{}` belongs to issuer {}: start it without --listen, or take another --data-dir",
                path.display(),
                remembered.issuer
            )));
        }
        Ok(Self {
            path,
            listen: remembered.listen,
            admin_listen: admin
                .filter(|asked| asked.port() != 0)
                .unwrap_or(remembered.admin_listen),
            issuer: Some(remembered.issuer),
        })
    }

    /// Whether something was written here before.
    pub(super) fn has_log(&self) -> bool {
        has_log(&self.path)
    }

    /// Binds, and names the issuer after the port that came of it.
    pub(super) fn open_doors(&mut self, mut config: Config) -> Result<(Config, Doors), CliError> {
        let doors = Doors::bind(&config).map_err(|error| self.not_bound(&error))?;
        self.listen = doors
            .public_address()
            .map_err(|error| CliError::failed(&error))?;
        self.admin_listen = doors
            .admin_address()
            .map_err(|error| CliError::failed(&error))?;
        if self.issuer.is_none() {
            let issuer = format!("http://{}", self.listen);
            config.issuer = issuer
                .parse()
                .map_err(|error| CliError::cannot("name the issuer", &error))?;
            self.issuer = Some(issuer);
        }
        Ok((config, doors))
    }

    fn not_bound(&self, error: &StartError) -> CliError {
        let words = match CliError::failed(error) {
            CliError::Failed(words) => words,
            other => return other,
        };
        let taken = matches!(error, StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse);
        CliError::Failed(match (taken, &self.issuer) {
            (false, _) => words,
            (true, None) => format!(
                "{words}; another broker? `--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0` takes free ports"
            ),
            // Its address is its name: free ports would not help.
            (true, Some(_)) => {
                format!("{words}; another broker? stop it, or take another --data-dir")
            }
        })
    }

    /// Writes down what the next start must know.
    pub(super) fn remember(&self) -> Result<(), CliError> {
        let remembered = Remembered {
            issuer: self.issuer.clone().unwrap_or_default(),
            listen: self.listen,
            admin_listen: self.admin_listen,
        };
        let file = self.path.join(REMEMBERED);
        let new = file.with_extension("new");
        serde_json::to_vec(&remembered)
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, &file))
            .map_err(|error| CliError::cannot(format_args!("write `{}`", file.display()), &error))
    }
}

fn has_log(folder: &Path) -> bool {
    std::fs::read_dir(folder.join(crate::store::log::segments::FOLDER))
        .is_ok_and(|mut entries| entries.next().is_some())
}

fn read(folder: &Path) -> Result<Option<Remembered>, CliError> {
    let file = folder.join(REMEMBERED);
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(CliError::cannot(
                format_args!("read `{}`", file.display()),
                &error,
            ));
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| CliError::cannot(format_args!("understand `{}`", file.display()), &error))
}

fn address(setting: &str, text: Option<&str>) -> Result<Option<SocketAddr>, CliError> {
    text.map(|text| {
        text.parse().map_err(|_| {
            CliError::Usage(format!(
                "`{setting}` is `{text}`: expected an address and port such as `127.0.0.1:8420`"
            ))
        })
    })
    .transpose()
}

fn make(path: &Path) -> Result<(), CliError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            CliError::cannot(format_args!("make the folder `{}`", path.display()), &error)
        })
}

/// A name nobody can have prepared: creation fails when it exists.
fn fresh() -> Result<PathBuf, CliError> {
    use std::os::unix::fs::DirBuilderExt;
    let name = format!("lanyard-dev-{}", uuid::Uuid::new_v4().simple());
    let path = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .map_err(|error| {
            CliError::cannot(format_args!("make the folder `{}`", path.display()), &error)
        })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_issuer_and_ports() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let open = |listen| Folder::open(Some(path.clone()), listen, Some("127.0.0.1:0"));
        let mut folder = open(Some("127.0.0.1:0")).unwrap_or_else(|_| panic!("a new folder opens"));
        assert!(folder.issuer.is_none());
        folder.listen = "127.0.0.1:4000".parse().unwrap();
        folder.admin_listen = "127.0.0.1:4001".parse().unwrap();
        folder.issuer = Some("http://127.0.0.1:4000".to_owned());
        folder.remember().unwrap();
        for listen in [None, Some("127.0.0.1:0"), Some("127.0.0.1:4000")] {
            let again = open(listen).unwrap_or_else(|_| panic!("{listen:?}"));
            assert_eq!(again.listen, folder.listen);
            assert_eq!(again.admin_listen, folder.admin_listen);
            assert_eq!(again.issuer, folder.issuer);
        }
        let Err(CliError::Usage(words)) = open(Some("127.0.0.1:5000")) else {
            panic!("another port was taken")
        };
        assert!(
            words.contains("belongs to issuer http://127.0.0.1:4000"),
            "{words}"
        );
    }

    #[test]
    fn a_log_of_another_broker_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        std::fs::write(folder.path().join("segments/0001-00000001.seg"), "x").unwrap();
        let Err(CliError::Failed(words)) = Folder::open(Some(folder.path().into()), None, None)
        else {
            panic!("somebody else's log was taken")
        };
        assert!(words.contains("`lanyard serve` runs it"), "{words}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
