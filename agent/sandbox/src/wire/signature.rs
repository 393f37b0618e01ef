//! The credential scope of a signed request. The signature itself is not verified.

use axum::http::HeaderMap;

/// Access key and region of the request; no key if it is not signed.
pub(crate) fn scope(headers: &HeaderMap) -> (Option<String>, String) {
    let fallback = || (None, "us-east-1".to_owned());
    let Some(text) = headers.get("authorization").and_then(|value| value.to_str().ok()) else {
        return fallback();
    };
    let Some((_, rest)) = text.split_once("Credential=") else {
        return fallback();
    };
    let credential = rest.split(',').next().unwrap_or_default().trim();
    // The key stands before the date, the region, the service and a constant.
    let mut parts = credential.rsplitn(5, '/');
    let (_, _, region, _, key) = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    match (key, region) {
        (Some(key), Some(region)) if text.starts_with("AWS4-") => (Some(key.to_owned()), region.to_owned()),
        _ => fallback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_names_key_and_region() {
        let mut headers = HeaderMap::new();
        assert_eq!(scope(&headers).0, None);
        let text = "AWS4-HMAC-SHA256 Credential=222222222222/20261121/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=00";
        headers.insert("authorization", text.parse().unwrap());
        assert_eq!(scope(&headers), (Some("222222222222".to_owned()), "eu-west-1".to_owned()));
    }
}
