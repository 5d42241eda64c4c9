//! Where the HTTP interface of a third party is, as a plan says it.

use url::Url;

use super::driver::Unsuitable;
use crate::outbound::{self, NotConnected};

/// Whether calls may go there at all. What stands there is not repeated: it may hold a credential.
pub(super) fn check(member: &str, url: &Url) -> Result<(), Unsuitable> {
    let wrong = |why: &str| Err(Unsuitable::Settings(format!("`{member}` {why}")));
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("holds a credential: keep it as a secret");
    }
    let is_here = outbound::literal(url).is_some_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        _ => {
            return wrong(
                "must begin with https://, or with http:// and a loopback address that `private` names",
            );
        }
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return wrong("ends behind the host and the port: paths stand with each call");
    }
    if url.port() == Some(0) {
        return wrong("has a port that is none");
    }
    Ok(())
}

/// What to do about a place that may not be connected to.
pub(super) fn not_reached(refused: NotConnected) -> Unsuitable {
    let what = match refused {
        NotConnected::Address(_) | NotConnected::Name(_) => ": name it in `private` if it is meant",
        _ => "",
    };
    Unsuitable::Settings(format!("{refused}{what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_host_over_tls_and_a_credential_in_it_is_not_repeated() {
        for good in [
            "https://api.vendor.example",
            "https://api.vendor.example:8443/",
            "http://127.0.0.1:80/",
            "http://[::1]:8080",
        ] {
            assert!(check("base", &Url::parse(good).unwrap()).is_ok(), "{good}");
        }
        for bad in [
            "http://api.vendor.example",
            "http://10.0.0.1/",
            "http://localhost/",
            "ftp://api.vendor.example/",
            "http://me:hunter2@api.vendor.example/",
            "https://hunter2@api.vendor.example/",
            "https://:hunter2@api.vendor.example/",
            "https://api.vendor.example/?key=hunter2",
            "https://api.vendor.example/#hunter2",
            "https://api.vendor.example/hunter2",
            "https://api.vendor.example:0/",
            "unix:/run/hunter2",
            "file:///etc/hunter2",
        ] {
            let refused = check("base", &Url::parse(bad).unwrap()).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{bad}: {refused}");
        }
    }
}
