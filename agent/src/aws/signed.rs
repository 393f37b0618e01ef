//! Single reads without an SDK crate: of the APIs that speak AWS's Query protocol (form in, XML out), and whether an
//! object of S3 or a function of Lambda is there. Their crates cost minutes of building for one call each; see
//! `docs/decisions/0004-query-reads-without-an-sdk.md`.

use super::{AwsError, Clients, error::Remedy};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
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

/// CloudWatch's alarms.
pub(crate) const MONITORING: Api = Api { name: "monitoring", version: "2010-08-01", global: false };

/// A request to be signed.
struct Request<'a> {
    operation: &'static str,
    method: reqwest::Method,
    url: String,
    /// The service and region that the signature names.
    service: &'static str,
    region: &'a str,
    body: &'a str,
}

/// Where a call goes, and the region that its signature names.
fn endpoint(api: Api, region: &str, configured: Option<&str>) -> (String, String) {
    let (home, global_host) = if region.starts_with("cn-") {
        ("cn-north-1", "iam.cn-north-1.amazonaws.com.cn")
    } else if region.starts_with("us-gov-") {
        ("us-gov-west-1", "iam.us-gov.amazonaws.com")
    } else {
        ("us-east-1", "iam.amazonaws.com")
    };
    let signing = if api.global { home } else { region };
    let url = match configured {
        Some(url) => format!("{}/", url.trim_end_matches('/')),
        None if api.global => format!("https://{global_host}/"),
        None => format!("https://{}.{region}.{}/", api.name, suffix(region)),
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
        let request =
            Request { operation, method: reqwest::Method::POST, url, service: api.name, region: &region, body };
        let (status, text) = self.send(request).await?;
        if (200..300).contains(&status) { Ok(text) } else { Err(refusal(operation, status, &text)) }
    }

    /// Whether an object of S3 is there.
    ///
    /// # Errors
    /// As the call fails.
    pub(crate) async fn object_there(&self, bucket: &str, key: &str) -> Result<bool, AwsError> {
        const OPERATION: &str = "s3:GetObject";
        let key: Vec<String> = key.split('/').map(encoded).collect();
        let url = match self.config.endpoint_url() {
            Some(endpoint) => format!("{}/{bucket}/{}", endpoint.trim_end_matches('/'), key.join("/")),
            None => format!("https://{bucket}.s3.{}.{}/{}", self.region, suffix(&self.region), key.join("/")),
        };
        let method = reqwest::Method::HEAD;
        let request = Request { operation: OPERATION, method, url, service: "s3", region: &self.region, body: "" };
        let (status, text) = self.send(request).await?;
        there(OPERATION, status, &text, "the bucket may be of another region")
    }

    /// Whether a function of Lambda is there.
    ///
    /// # Errors
    /// As the call fails.
    pub(crate) async fn function_there(&self, arn: &str) -> Result<bool, AwsError> {
        self.resource_there("lambda:GetFunction", "lambda", "2015-03-31/functions", arn).await
    }

    /// Whether a target group of VPC Lattice is there.
    ///
    /// # Errors
    /// As the call fails.
    pub(crate) async fn lattice_target_there(&self, arn: &str) -> Result<bool, AwsError> {
        self.resource_there("vpc-lattice:GetTargetGroup", "vpc-lattice", "targetgroups", arn).await
    }

    /// Whether a resource of a REST API is there, by its ARN.
    async fn resource_there(
        &self,
        operation: &'static str,
        service: &'static str,
        path: &str,
        arn: &str,
    ) -> Result<bool, AwsError> {
        let base = match self.config.endpoint_url() {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{service}.{}.{}", self.region, suffix(&self.region)),
        };
        let url = format!("{base}/{path}/{}", encoded(arn));
        let method = reqwest::Method::GET;
        let request = Request { operation, method, url, service, region: &self.region, body: "" };
        let (status, text) = self.send(request).await?;
        there(operation, status, &text, "it could not be asked for")
    }

    /// Signs and sends. Answers the status and the body.
    async fn send(&self, request: Request<'_>) -> Result<(u16, String), AwsError> {
        let operation = request.operation;
        let no_credentials = || AwsError {
            operation,
            remedy: Remedy::Credentials,
            code: String::new(),
            text: "no usable AWS credentials in the environment, the profiles, or from a task or instance role"
                .to_owned(),
        };
        let provider = self.config.credentials_provider().ok_or_else(no_credentials)?;
        let credentials = aws_credential_types::provider::ProvideCredentials::provide_credentials(&provider)
            .await
            .map_err(|_| no_credentials())?;
        let identity = credentials.into();
        let build = |error: &dyn std::fmt::Display| AwsError::build(operation, &error);
        let mut settings = SigningSettings::default();
        if request.service == "s3" {
            // S3 takes paths as they are written, and wants the body's checksum.
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(request.region)
            .name(request.service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| build(&error))?
            .into();
        const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let headers = (!request.body.is_empty()).then_some(FORM);
        let body = SignableBody::Bytes(request.body.as_bytes());
        let signable = SignableRequest::new(request.method.as_str(), &request.url, headers.into_iter(), body)
            .map_err(|error| build(&error))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| build(&error))?.into_parts();
        let mut sent = self.http.request(request.method, &request.url).body(request.body.to_owned());
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            sent = sent.header(name, value);
        }
        let unreachable = |error: reqwest::Error| AwsError {
            operation,
            remedy: Remedy::Unreachable,
            code: String::new(),
            text: error.without_url().to_string(),
        };
        let mut answer = sent.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LONGEST {
                return Err(AwsError::build(operation, &"the answer is too long"));
            }
        }
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// What a status says of something that is asked for by its address.
fn there(operation: &'static str, status: u16, answer: &str, other: &str) -> Result<bool, AwsError> {
    let remedy = match status {
        200..=299 => return Ok(true),
        404 => return Ok(false),
        400 if answer.contains("ResourceNotFoundException") => return Ok(false),
        403 => Remedy::Denied,
        429 | 503 => Remedy::Throttled,
        500..=599 => Remedy::Unsupported,
        _ => Remedy::Refused,
    };
    Err(AwsError { operation, remedy, code: String::new(), text: format!("HTTP {status}; {other}") })
}

fn suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// A part of a path, percent-encoded.
fn encoded(part: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    part.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
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
            {
                let text = format!("{code}: {message}");
                AwsError { operation, remedy: super::error::by_code(&code, status), code, text }
            }
        }
        None => AwsError {
            operation,
            code: String::new(),
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
