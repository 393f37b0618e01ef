//! The credential scope of a signed request. The signature itself is not verified.

use axum::http::HeaderMap;

/// What a request is signed for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Absent: the request is not signed.
    pub(crate) access_key: Option<String>,
    pub(crate) region: String,
    /// The service's name in signatures.
    pub(crate) service: Option<String>,
}

/// The scope of a request.
pub(crate) fn scope(headers: &HeaderMap) -> Scope {
    signed(headers).unwrap_or_else(|| Scope { access_key: None, region: "us-east-1".to_owned(), service: None })
}

fn signed(headers: &HeaderMap) -> Option<Scope> {
    let text = headers.get("authorization")?.to_str().ok()?;
    let (_, rest) = text.split_once("Credential=")?;
    let credential = rest.split(',').next().unwrap_or_default().trim();
    // The key stands before the date, the region, the service and a constant.
    let mut parts = credential.rsplitn(5, '/').skip(1).map(str::to_owned);
    let (service, region, _, key) = (parts.next(), parts.next()?, parts.next(), parts.next()?);
    text.starts_with("AWS4-").then_some(Scope { access_key: Some(key), region, service })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_names_key_region_and_service() {
        let mut headers = HeaderMap::new();
        assert_eq!(scope(&headers).access_key, None);
        let text = "AWS4-HMAC-SHA256 Credential=222222222222/20261121/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=00";
        headers.insert("authorization", text.parse().unwrap());
        let expected = Scope {
            access_key: Some("222222222222".to_owned()),
            region: "eu-west-1".to_owned(),
            service: Some("ecs".to_owned()),
        };
        assert_eq!(scope(&headers), expected);
    }
}
