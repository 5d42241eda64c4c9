//! AWS Signature Version 4. The signing itself is AWS's own crate's.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as sign_request,
};
use aws_sigv4::sign::v4;
use http::{HeaderName, HeaderValue};
use lanyard_sdk::UnixMillis;
use lanyard_token::integration::Injection;

use super::{CannotInject, Credential, Outgoing};

/// What is known of a body when a call is signed.
#[derive(Clone, Copy)]
pub enum Payload<'b> {
    /// All of it.
    Known(&'b [u8]),
    /// It goes by as a stream: only S3 takes a signature without it.
    Stream,
}

/// Whether a call can only be signed once its whole body is there.
#[must_use]
pub fn payload_is_signed(injection: &Injection) -> bool {
    matches!(injection, Injection::AwsSigv4 { service, .. } if service != "s3")
}

pub(super) fn sign(
    call: &mut Outgoing<'_>,
    (region, service): (&str, &str),
    credential: Credential<'_>,
    payload: Payload<'_>,
    now: UnixMillis,
) -> Result<(), CannotInject> {
    let key_id = credential.reference.ok_or(CannotInject::NoReference)?;
    if let Some(query) = call.query.take() {
        // A call that was signed by somebody else beforehand.
        let rest = super::query_without(&query, |name| {
            name.to_ascii_lowercase().starts_with("x-amz-")
        });
        call.query = (!rest.is_empty()).then_some(rest);
    }
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = Credentials::new(key_id, credential.value, None, None, "lanyard").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now.0))
        .settings(settings)
        .build()
        .map_err(|_| CannotInject::Signature)?
        .into();
    let body = match payload {
        Payload::Known(bytes) => SignableBody::Bytes(bytes),
        Payload::Stream => SignableBody::UnsignedPayload,
    };
    let authority = call.upstream.authority();
    let url = call.url();
    // What proxies on the way may change is not signed.
    let signed = call.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        let is_signed = name == "content-type" || name.starts_with("x-amz-");
        is_signed
            .then_some(())
            .and(value.to_str().ok())
            .map(|value| (name, value))
    });
    let headers = std::iter::once(("host", authority.as_str())).chain(signed);
    let request = SignableRequest::new(call.method.as_str(), &url, headers, body)
        .map_err(|_| CannotInject::Signature)?;
    let (instructions, _) = sign_request(request, &parameters)
        .map_err(|_| CannotInject::Signature)?
        .into_parts();
    let (set, _) = instructions.into_parts();
    for header in set {
        let name: HeaderName = header.name().parse().map_err(|_| CannotInject::Signature)?;
        let mut value =
            HeaderValue::try_from(header.value()).map_err(|_| CannotInject::Signature)?;
        value.set_sensitive(true);
        call.headers.insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    /// `get-vanilla` of AWS's published test suite for Signature Version 4.
    #[test]
    fn a_call_is_signed_as_the_published_example_is() {
        let upstream = "https://example.amazonaws.com".parse().unwrap();
        let mut call = Outgoing {
            method: Method::GET,
            upstream: &upstream,
            path: "/".to_owned(),
            query: Some("X-Amz-Signature=older".to_owned()),
            headers: HeaderMap::new(),
        };
        let credential = Credential {
            value: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            reference: Some("AKIDEXAMPLE"),
        };
        // 2015-08-30T12:36:00Z
        let now = UnixMillis(1_440_938_160_000);
        let place = ("us-east-1", "service");
        sign(&mut call, place, credential, Payload::Known(b""), now).unwrap();
        assert_eq!(call.headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(
            call.headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(call.query, None);
    }
}
