//! The administrators' Unix socket: whoever may become the broker's user may administer it.
//!
//! No bootstrap secret exists. The kernel says who connects (`SO_PEERCRED`); the broker's own user and
//! root are let in. The file is 0600 besides, so others are already stopped by the file system.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{
    SocketAddr, UnixListener as StdUnixListener, UnixStream as StdUnixStream,
};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use axum_server::accept::Accept;
use http::StatusCode;
use tokio::net::UnixStream;
use tower_http::add_extension::AddExtension;

use super::audited::AdministeredBy;
use super::caller::Administrator;
use super::problem::Problem;
use crate::store::event::By;

/// `sockaddr_un` holds 108 bytes, the last one zero.
const LONGEST_PATH: usize = 107;

/// A bound socket; the file is removed when it is dropped.
pub struct AdminSocket {
    listener: StdUnixListener,
    file: SocketFile,
}

impl AdminSocket {
    /// Binds. A socket nobody answers on is left over from a killed broker and replaced; anything else
    /// at that path is left alone.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() > LONGEST_PATH {
            let words = format!(
                "a Unix socket's path has at most {LONGEST_PATH} bytes: set `socket` to a shorter one"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "something that is not a socket is there",
                ));
            }
            if StdUnixStream::connect(path).is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another broker answers there",
                ));
            }
            std::fs::remove_file(path)?;
        }
        let listener = StdUnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, file })
    }

    /// Serves until the handle is shut down.
    pub async fn serve(self, routes: Router, handle: Handle<SocketAddr>) -> io::Result<()> {
        let _removed_at_the_end = self.file;
        let server = axum_server::from_unix(self.listener)?
            .handle(handle)
            .acceptor(AskTheKernel);
        server.serve(routes.into_make_service()).await
    }
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Left over when this fails, and replaced at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Lets in the broker's own user and root, and names them to the handlers.
pub fn local_administrators(routes: Router) -> Router {
    let own = rustix::process::geteuid().as_raw();
    routes.layer(middleware::from_fn_with_state(own, door))
}

async fn door(State(own): State<u32>, mut request: Request, next: Next) -> Response {
    let uid = request.extensions().get::<PeerUid>().copied();
    let Some(PeerUid(uid)) = uid.filter(|PeerUid(uid)| *uid == own || *uid == 0) else {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "access_denied",
            "only the broker's own user and root come in here",
        )
        .because("socket_peer")
        .into_response();
    };
    let by = By::Socket { uid };
    request.extensions_mut().insert(Administrator(by.clone()));
    let mut response = next.run(request).await;
    response.extensions_mut().insert(AdministeredBy(by));
    response
}

/// The user a connection belongs to, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub struct PeerUid(pub u32);

#[derive(Clone, Copy)]
struct AskTheKernel;

impl<S> Accept<UnixStream, S> for AskTheKernel {
    type Stream = UnixStream;
    type Service = AddExtension<S, PeerUid>;
    type Future = std::future::Ready<io::Result<(UnixStream, Self::Service)>>;

    fn accept(&self, stream: UnixStream, service: S) -> Self::Future {
        std::future::ready(
            stream
                .peer_cred()
                .map(|peer| (stream, AddExtension::new(service, PeerUid(peer.uid())))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn another_user_or_nobody_is_turned_away() {
        let routes = local_administrators(
            Router::new().route("/", get(async |who: Administrator| format!("{who:?}"))),
        );
        let own = rustix::process::geteuid().as_raw();
        for (peer, expected) in [
            (Some(own), 200),
            (Some(0), 200),
            (Some(own + 1), 403),
            (None, 403),
        ] {
            let mut request = Request::new(Body::empty());
            if let Some(uid) = peer {
                request.extensions_mut().insert(PeerUid(uid));
            }
            let response = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), expected, "{peer:?}");
        }
    }

    #[tokio::test]
    async fn a_left_over_socket_is_replaced_and_anything_else_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        let bound = AdminSocket::bind(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            AdminSocket::bind(&path).map(drop).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(bound);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        assert!(AdminSocket::bind(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        assert!(AdminSocket::bind(&folder.path().join("x".repeat(120))).is_err());
    }
}
