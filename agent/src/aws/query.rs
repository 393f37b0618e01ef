//! Single reads of the APIs that speak AWS's Query protocol (form in, XML out): IAM, EC2, Elastic Load Balancing. Their
//! SDK crates cost minutes of building for one call each; see `docs/decisions/0004-query-reads-without-an-sdk.md`.

use super::{AwsError, Clients, error::Remedy};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use std::time::{Duration, SystemTime};

/// Longest answer that is read, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

/// An API of the Query protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    /// The name that endpoints and signatures use.
    name: &'static str,
    version: &'static str,
    /// One endpoint for all regions of a partition.
    global: bool,
}

/// Identity and Access Management.
pub(crate) const IAM: Api = Api { name: "iam", version: "2010-05-08", global: true };
/// EC2.
pub(crate) const EC2: Api = Api { name: "ec2", version: "2016-11-15", global: false };
/// Elastic Load Balancing, application and network load balancers.
pub(crate) const BALANCING: Api = Api { name: "elasticloadbalancing", version: "2015-12-01", global: false };

/// Where a call goes, and the region that its signature names.
fn endpoint(api: Api, region: &str, configured: Option<&str>) -> (String, String) {
    let (suffix, home, global_host) = if region.starts_with("cn-") {
        ("amazonaws.com.cn", "cn-north-1", "iam.cn-north-1.amazonaws.com.cn")
    } else if region.starts_with("us-gov-") {
        ("amazonaws.com", "us-gov-west-1", "iam.us-gov.amazonaws.com")
    } else {
        ("amazonaws.com", "us-east-1", "iam.amazonaws.com")
    };
    let signing = if api.global { home } else { region };
    let url = match configured {
        Some(url) => format!("{}/", url.trim_end_matches('/')),
        None if api.global => format!("https://{global_host}/"),
        None => format!("https://{}.{region}.{suffix}/", api.name),
    };
    (url, signing.to_owned())
}

impl Clients {
    /// One call. Answers the XML as text.
    ///
    /// # Errors
    /// As the call fails; repeated once where it was throttled or not answered.
    pub(crate) async fn query(
        &self,
        api: Api,
        operation: &'static str,
        parameters: &[(String, String)],
    ) -> Result<String, AwsError> {
        let action = operation.split(':').next_back().unwrap_or(operation);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", api.version);
        for (name, value) in parameters {
            form.append_pair(name, value);
        }
        let body = form.finish();
        match self.query_once(api, operation, &body).await {
            Err(error) if matches!(error.remedy, Remedy::Throttled | Remedy::Unreachable) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                self.query_once(api, operation, &body).await
            }
            result => result,
        }
    }

    async fn query_once(&self, api: Api, operation: &'static str, body: &str) -> Result<String, AwsError> {
        let (url, region) = endpoint(api, &self.region, self.config.endpoint_url());
        let no_credentials = || AwsError {
            operation,
            remedy: Remedy::Credentials,
            text: "no usable AWS credentials in the environment, the profiles, or from a task or instance role"
                .to_owned(),
        };
        let provider = self.config.credentials_provider().ok_or_else(no_credentials)?;
        let credentials = aws_credential_types::provider::ProvideCredentials::provide_credentials(&provider)
            .await
            .map_err(|_| no_credentials())?;
        let identity = credentials.into();
        let build = |error: &dyn std::fmt::Display| AwsError::build(operation, &error);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name(api.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| build(&error))?
            .into();
        const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let request = SignableRequest::new("POST", &url, std::iter::once(FORM), SignableBody::Bytes(body.as_bytes()))
            .map_err(|error| build(&error))?;
        let (instructions, _) = sign(request, &parameters).map_err(|error| build(&error))?.into_parts();
        let mut request = self.http.post(&url).header(FORM.0, FORM.1).body(body.to_owned());
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        let unreachable = |error: reqwest::Error| AwsError {
            operation,
            remedy: Remedy::Unreachable,
            text: error.without_url().to_string(),
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LONGEST {
                return Err(AwsError::build(operation, &"the answer is too long"));
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if (200..300).contains(&status) { Ok(text) } else { Err(refusal(operation, status, &text)) }
    }
}

/// An error answer: `<Error><Code>…</Code><Message>…</Message></Error>` at some depth.
fn refusal(operation: &'static str, status: u16, text: &str) -> AwsError {
    let document = roxmltree::Document::parse(text).ok();
    let find = |name: &str| {
        let mut nodes = document.as_ref()?.descendants();
        nodes.find(|node| node.tag_name().name() == name).and_then(|node| node.text()).map(str::to_owned)
    };
    match find("Code") {
        Some(code) => {
            let message = find("Message").unwrap_or_default();
            AwsError { operation, remedy: super::error::by_code(&code, status), text: format!("{code}: {message}") }
        }
        None => AwsError {
            operation,
            remedy: Remedy::Unsupported,
            text: format!("HTTP {status} with an answer that is not AWS's"),
        },
    }
}

/// The texts of all elements of this name, wherever they stand.
pub(crate) fn texts(document: &str, name: &str) -> Vec<String> {
    let Ok(document) = roxmltree::Document::parse(document) else { return Vec::new() };
    let named = document.descendants().filter(|node| node.tag_name().name() == name);
    named.filter_map(|node| node.text()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_of_the_region_and_its_partition() {
        let url = |api, region| endpoint(api, region, None);
        let pair = |url: &str, region: &str| (url.to_owned(), region.to_owned());
        assert_eq!(url(EC2, "eu-central-1"), pair("https://ec2.eu-central-1.amazonaws.com/", "eu-central-1"));
        assert_eq!(url(IAM, "eu-central-1"), pair("https://iam.amazonaws.com/", "us-east-1"));
        assert_eq!(url(IAM, "cn-north-1"), pair("https://iam.cn-north-1.amazonaws.com.cn/", "cn-north-1"));
        assert_eq!(
            url(BALANCING, "us-gov-west-1"),
            pair("https://elasticloadbalancing.us-gov-west-1.amazonaws.com/", "us-gov-west-1")
        );
        assert_eq!(endpoint(EC2, "x", Some("http://127.0.0.1:1")), pair("http://127.0.0.1:1/", "x"));
    }

    #[test]
    fn errors_are_read_from_their_codes() {
        let of = |code: &str| {
            let text =
                format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>");
            refusal("iam:GetRole", 403, &text).remedy
        };
        assert_eq!(of("AccessDenied"), Remedy::Denied);
        assert_eq!(of("NoSuchEntity"), Remedy::NotFound);
        assert_eq!(of("InvalidSubnetID.NotFound"), Remedy::NotFound);
        assert_eq!(refusal("iam:GetRole", 500, "<html>").remedy, Remedy::Unsupported);
    }
}
