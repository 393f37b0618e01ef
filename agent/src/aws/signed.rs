//! Single reads without an SDK crate: of the APIs that speak AWS's Query protocol (form in, XML out), and whether an
//! object of S3 or a function of Lambda is there. Their crates cost minutes of building for one call each; see
//! `docs/decisions/0004-query-reads-without-an-sdk.md`.

use super::{AwsError, Clients, address::Address, error, error::Remedy};
use aws_config::SdkConfig;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use lockstep_core::partition::Partition;
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
pub(super) struct Request<'a> {
    pub(super) operation: &'static str,
    pub(super) method: reqwest::Method,
    pub(super) address: Address,
    /// The service and region that the signature names.
    pub(super) service: &'static str,
    pub(super) region: &'a str,
    pub(super) body: &'a str,
    pub(super) headers: Vec<(&'a str, &'a str)>,
    /// The longest that the answer may take, where it is another than usual.
    pub(super) patience: Option<Duration>,
}

/// The header of a form.
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

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
        let configured = self.config.endpoint_url();
        let (address, region) = if api.global {
            (Address::of_iam(&self.region, configured), Partition::of(&self.region).home)
        } else {
            (Address::of(api.name, &self.region, configured, &[]), self.region.as_str())
        };
        let address = address.map_err(|reason| AwsError::forbidden(operation, &reason))?;
        let request = Request {
            operation,
            method: reqwest::Method::POST,
            address,
            service: api.name,
            region,
            body,
            headers: vec![FORM],
            patience: None,
        };
        let (status, text) = self.send(request).await?;
        if (200..300).contains(&status) { Ok(text) } else { Err(refusal(operation, status, &text)) }
    }

    /// Whether an object of S3 is there.
    ///
    /// # Errors
    /// As the call fails.
    pub(crate) async fn object_there(&self, bucket: &str, key: &str) -> Result<bool, AwsError> {
        const OPERATION: &str = "s3:GetObject";
        let address = Address::of_object(bucket, key, &self.region, self.config.endpoint_url())
            .map_err(|reason| AwsError::forbidden(OPERATION, &reason))?;
        let method = reqwest::Method::HEAD;
        let request = Request {
            operation: OPERATION,
            method,
            address,
            service: "s3",
            region: &self.region,
            body: "",
            headers: Vec::new(),
            patience: None,
        };
        let (status, text) = self.send(request).await?;
        there(OPERATION, status, &text, "the bucket may be of another region")
    }

    /// Whether a function of Lambda is there.
    ///
    /// # Errors
    /// As the call fails.
    pub(crate) async fn function_there(&self, arn: &str) -> Result<bool, AwsError> {
        self.resource_there("lambda:GetFunction", "lambda", &["2015-03-31", "functions", arn]).await
    }

    /// Whether a target group of VPC Lattice is there.
    ///
    /// # Errors
    /// As the call fails.
    pub(crate) async fn lattice_target_there(&self, arn: &str) -> Result<bool, AwsError> {
        self.resource_there("vpc-lattice:GetTargetGroup", "vpc-lattice", &["targetgroups", arn]).await
    }

    /// Whether a resource of a REST API is there, by its ARN.
    async fn resource_there(
        &self,
        operation: &'static str,
        service: &'static str,
        path: &[&str],
    ) -> Result<bool, AwsError> {
        let address = Address::of(service, &self.region, self.config.endpoint_url(), path)
            .map_err(|reason| AwsError::forbidden(operation, &reason))?;
        let method = reqwest::Method::GET;
        let request = Request {
            operation,
            method,
            address,
            service,
            region: &self.region,
            body: "",
            headers: Vec::new(),
            patience: None,
        };
        let (status, text) = self.send(request).await?;
        there(operation, status, &text, "it could not be asked for")
    }

    async fn send(&self, request: Request<'_>) -> Result<(u16, String), AwsError> {
        exchange(&self.config, &self.http, request).await
    }
}

/// Signs and sends. Answers the status and the body.
///
/// # Errors
/// Without credentials, and when there is no answer, or one that is too long.
pub(super) async fn exchange(
    config: &SdkConfig,
    http: &reqwest::Client,
    request: Request<'_>,
) -> Result<(u16, String), AwsError> {
    let operation = request.operation;
    let no_credentials = || AwsError {
        operation,
        remedy: Remedy::Credentials,
        code: String::new(),
        text: "no usable AWS credentials in the environment, the profiles, or from a task or instance role".to_owned(),
    };
    let provider = config.credentials_provider().ok_or_else(no_credentials)?;
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
    let body = SignableBody::Bytes(request.body.as_bytes());
    let url = request.address.url();
    let signable = SignableRequest::new(request.method.as_str(), url.as_str(), request.headers.iter().copied(), body)
        .map_err(|error| build(&error))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|error| build(&error))?.into_parts();
    let mut sent = http.request(request.method, url.clone()).body(request.body.to_owned());
    if let Some(patience) = request.patience {
        sent = sent.timeout(patience);
    }
    for (name, value) in request.headers.iter().copied().chain(instructions.headers()) {
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
            return Err(error::too_long(operation, LONGEST));
        }
    }
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
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
            let (code, text) = (error::words(&code), error::words(&format!("{code}: {message}")));
            AwsError { operation, remedy: error::by_code(&code, status), code, text }
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
