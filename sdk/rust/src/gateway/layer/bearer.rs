//! The one token of a request.
//!
//! A request that carries two is refused: whoever reads the first and whoever reads the last would
//! see different callers. A token in the query is refused too, because queries end up in logs
//! (RFC 6750, section 2.3; RFC 9700, section 4.3.2).

use http::HeaderMap;
use http::header::AUTHORIZATION;
use lanyard_token::Rejection;

pub(super) fn token<'h>(headers: &'h HeaderMap, query: Option<&str>) -> Result<&'h str, Rejection> {
    if query.is_some_and(names_a_token) {
        return Err(Rejection::Ambiguous);
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Rejection::Missing)?;
    if values.next().is_some() {
        return Err(Rejection::Ambiguous);
    }
    // Not `HeaderValue::to_str`, which looks at each byte by itself: for a token that is as much work as its check.
    // What is text and no token is refused with the other junk.
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Rejection::Malformed)?;
    if text.contains(',') {
        return Err(Rejection::Ambiguous);
    }
    let (scheme, token) = text.split_once(' ').ok_or(Rejection::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Rejection::Missing);
    }
    Ok(token)
}

fn names_a_token(query: &str) -> bool {
    // Nothing to decode in the common case, so nothing is allocated.
    query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .any(|key| {
            if key.contains(['%', '+']) {
                url::form_urlencoded::parse(key.as_bytes())
                    .any(|(key, _)| key.eq_ignore_ascii_case("access_token"))
            } else {
                key.eq_ignore_ascii_case("access_token")
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (AUTHORIZATION, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn one_bearer_header_is_the_only_way() {
        assert_eq!(token(&headers(&["Bearer abc"]), None), Ok("abc"));
        assert_eq!(token(&headers(&["bearer abc"]), Some("id=1")), Ok("abc"));
        assert_eq!(token(&headers(&[]), None), Err(Rejection::Missing));
        assert_eq!(
            token(&headers(&["Basic abc"]), None),
            Err(Rejection::Missing)
        );
        assert_eq!(token(&headers(&["Bearer"]), None), Err(Rejection::Missing));
        assert_eq!(token(&headers(&["Bearer "]), None), Err(Rejection::Missing));
    }

    #[test]
    fn two_tokens_are_ambiguous_wherever_they_stand() {
        assert_eq!(
            token(&headers(&["Bearer a", "Bearer a"]), None),
            Err(Rejection::Ambiguous)
        );
        assert_eq!(
            token(&headers(&["Bearer a, Bearer b"]), None),
            Err(Rejection::Ambiguous)
        );
        assert_eq!(
            token(&headers(&["Bearer a,b"]), None),
            Err(Rejection::Ambiguous)
        );
        for query in [
            "access_token=a",
            "x=1&access_token",
            "access%5Ftoken=a",
            "Access_Token=a",
        ] {
            assert_eq!(
                token(&headers(&["Bearer a"]), Some(query)),
                Err(Rejection::Ambiguous),
                "{query}"
            );
        }
    }
}
