//! Certificates that a plan names, believed instead of those of this machine: of a third party that nobody else vouches for.
//!
//! The file is read whenever what speaks to the third party is made: when a plan is put, an exchange begins, and one goes on.

use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::driver::Unsuitable;
use crate::outbound::Caller;

/// The longest file of certificates: all that browsers believe have a quarter of it.
pub(super) const LONGEST_FILE: u64 = 1024 * 1024;

/// Calls to servers that the certificates of a file vouch for, and no others; without a file, as usual.
pub(super) fn believing(outside: &Caller, ca_file: Option<&Path>) -> Result<Caller, Unsuitable> {
    let Some(file) = ca_file else {
        return Ok(outside.clone());
    };
    let refused = |why: &str| Unsuitable::Settings(format!("`third_party.ca_file` {why}"));
    let pem = read(file).map_err(|error| refused(&format!("cannot be read: {error}")))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let not_one = || refused("is no file of certificates in PEM");
    if certificates.map_err(|_| not_one())?.is_empty() {
        return Err(not_one());
    }
    outside.believing(&pem).map_err(|_| not_one())
}

/// As far as one may be long. What is no file, such as a device or a pipe, might never end.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut pem = Vec::new();
    let mut file = std::fs::File::open(file)?.take(LONGEST_FILE + 1);
    if file.read_to_end(&mut pem)? as u64 > LONGEST_FILE {
        return Err(std::io::Error::other("it is too long"));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::Reach;

    #[test]
    fn what_is_no_file_of_certificates_is_refused_and_its_path_is_not_repeated() {
        let outside = Caller::new(Reach::public()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["vendor.example".to_owned()]).unwrap();
        let pem = made.cert.pem();
        let long = "x".repeat(usize::try_from(LONGEST_FILE).unwrap() + 1);
        let broken = pem.replacen("MII", "!!!", 1);
        for (name, text, is_good) in [
            ("good", pem.as_str(), true),
            ("empty", "", false),
            ("other", "sk_live_1", false),
            ("broken", broken.as_str(), false),
            ("long", long.as_str(), false),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            let believed = believing(&outside, Some(&file));
            assert_eq!(believed.is_ok(), is_good, "{name}");
            if let Err(refused) = believed {
                let words = refused.to_string();
                assert!(words.contains("ca_file"), "{words}");
                assert!(!words.contains(name) || name == "long", "{words}");
            }
        }
        for none in [
            folder.path(),
            &folder.path().join("missing"),
            Path::new("/dev/zero"),
        ] {
            assert!(
                believing(&outside, Some(none)).is_err(),
                "{}",
                none.display()
            );
        }
        assert!(believing(&outside, None).is_ok());
    }
}
