//! Errors of AWS calls, by what helps.

use aws_sdk_ecs::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
pub use lockstep_core::remedy::Remedy;

/// Longest text of AWS's that is repeated, in characters.
const LONGEST_WORDS: usize = 1_000;

/// An AWS call that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to call {operation}: {text}")]
pub struct AwsError {
    /// `ecs:DescribeServices`, as policies name it.
    pub operation: &'static str,
    /// What helps.
    pub remedy: Remedy,
    /// AWS's name of the error; empty where the call was not answered.
    pub code: String,
    /// AWS's words.
    pub text: String,
}

impl AwsError {
    /// Classifies an SDK error.
    pub(crate) fn from_sdk<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let (remedy, text) = match error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or_default();
                let message = words(service.err().message().unwrap_or_default());
                let message = message.as_str();
                let status = service.raw().status().as_u16();
                let remedy =
                    if status >= 500 && !is_json(service.raw()) { Remedy::Unsupported } else { by_code(code, status) };
                let text = match (code, message) {
                    (code, message) if remedy == Remedy::Denied && denied(message).is_some() => {
                        denied(message).unwrap_or_else(|| code.to_owned())
                    }
                    ("", "") => format!("HTTP {status}"),
                    (code, "") => code.to_owned(),
                    ("", message) => message.to_owned(),
                    (code, message) => format!("{code}: {message}"),
                };
                (remedy, text)
            }
            _ if super::bounded::is_too_long(error) => return too_long(operation, super::bounded::LONGEST),
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                let remedy = match status {
                    403 => Remedy::Denied,
                    _ if is_json(response.raw()) => Remedy::Unreachable,
                    _ => Remedy::Unsupported,
                };
                (remedy, format!("HTTP {status} with an answer that is not AWS's"))
            }
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => (Remedy::Unreachable, causes(error)),
            other => {
                let text = one_line(&DisplayErrorContext(other).to_string());
                let lower = text.to_lowercase();
                let remedy = if lower.contains("credential") { Remedy::Credentials } else { Remedy::Refused };
                (remedy, text)
            }
        };
        if let Some((code, text)) = provider_refusal(error) {
            return Self { operation, remedy: Remedy::Credentials, code, text };
        }
        let is_unusable = text.to_lowercase().contains("credential") && !matches!(error, SdkError::ServiceError(_));
        if is_unusable {
            let text = "no usable AWS credentials in the environment, the profiles, or from a task or instance role";
            return Self { operation, remedy: Remedy::Credentials, code: String::new(), text: text.to_owned() };
        }
        let code = match error {
            SdkError::ServiceError(service) => service.err().code().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        Self { operation, remedy, code, text }
    }

    /// Whether AWS named the error: then the answer is AWS's.
    pub(super) fn is_coded(&self) -> bool {
        !self.code.is_empty()
    }

    /// An answer, or a list, that has no end.
    pub(super) fn endless(operation: &'static str, reason: impl Into<String>) -> Self {
        Self { operation, remedy: Remedy::Refused, code: String::new(), text: reason.into() }
    }

    /// A request that could not be built, or an answer that makes no sense.
    pub(crate) fn build(operation: &'static str, error: &impl std::fmt::Display) -> Self {
        let text = format!("{error}; this is a bug of Lockstep, please report it");
        Self { operation, remedy: Remedy::Ours, code: String::new(), text }
    }

    /// A call that our own rules forbid.
    pub(crate) fn forbidden(operation: &'static str, reason: &impl std::fmt::Display) -> Self {
        Self { operation, remedy: Remedy::Refused, code: String::new(), text: reason.to_string() }
    }
}

/// An answer that is longer than any of AWS's.
pub(super) fn too_long(operation: &'static str, longest: usize) -> AwsError {
    AwsError::endless(operation, format!("the answer is longer than {} MiB, as none of AWS is", longest >> 20))
}

/// A text of AWS's for people: cut where it would fill a log, and in one line.
pub(super) fn words(text: &str) -> String {
    // Masked before it is cut: half a token does not look like one. AWS repeats what it was sent.
    let text = lockstep_core::text::line(text, 4 * LONGEST_WORDS);
    lockstep_core::text::line(&lockstep_core::mask::line(&text), LONGEST_WORDS)
}

/// What STS said when it gave no credentials, where that is why a call was not made: its code, and its words.
fn provider_refusal<E>(error: &SdkError<E, HttpResponse>) -> Option<(String, String)>
where
    E: std::error::Error + 'static,
{
    use aws_sdk_sts::operation::{
        assume_role::AssumeRoleError, assume_role_with_web_identity::AssumeRoleWithWebIdentityError,
    };
    if matches!(error, SdkError::ServiceError(_)) {
        return None;
    }
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        let plain = error.downcast_ref::<AssumeRoleError>().map(ProvideErrorMetadata::meta);
        let web = error.downcast_ref::<AssumeRoleWithWebIdentityError>().map(ProvideErrorMetadata::meta);
        if let Some(meta) = plain.or(web) {
            let (code, message) = (meta.code().unwrap_or_default(), meta.message().unwrap_or_default());
            let said = if message.is_empty() { code } else { message };
            let text = denied(message).unwrap_or_else(|| words(said));
            return Some((code.to_owned(), text)).filter(|(_, text)| !text.is_empty());
        }
        next = error.source();
    }
    None
}

/// Who lacks which action on which resource, out of IAM's sentence.
pub(super) fn denied(message: &str) -> Option<String> {
    let after = |word: &str| message.split_once(word).and_then(|(_, rest)| rest.split_whitespace().next());
    let (who, action) = (after("User: ")?, after("not authorized to perform: ")?);
    // `arn:aws:sts::1:assumed-role/ROLE/SESSION` is a session of the role.
    let who = match who.split(':').next_back().and_then(|name| name.strip_prefix("assumed-role/")) {
        Some(session) => format!("the role {}", session.split('/').next().unwrap_or(session)),
        None => who.to_owned(),
    };
    let resource = after("on resource: ").map(|resource| format!(" on {resource}")).unwrap_or_default();
    let why = message.split_once(" because ").map(|(_, why)| format!(" ({why})")).unwrap_or_default();
    Some(format!("{who} is not allowed to {action}{resource}{why}"))
}

/// An answer that is not JSON comes from something that is not AWS, or from an emulator without the operation.
fn is_json(response: &HttpResponse) -> bool {
    response.body().bytes().is_none_or(|body| matches!(body.first(), Some(b'{') | None))
}

pub(super) fn by_code(code: &str, status: u16) -> Remedy {
    match code {
        _ if code.ends_with(".NotFound") => Remedy::NotFound,
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => Remedy::Throttled,
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => Remedy::Denied,
        "ExpiredTokenException"
        | "ExpiredToken"
        | "RequestExpired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature" => Remedy::Credentials,
        "ClusterNotFoundException"
        | "ServiceNotFoundException"
        | "ServiceNotActiveException"
        | "ParameterNotFound"
        | "ResourceNotFoundException"
        | "RepositoryNotFoundException"
        | "ImageNotFoundException"
        | "NoSuchEntity"
        | "TargetGroupNotFound"
        | "NamespaceNotFoundException" => Remedy::NotFound,
        "UnknownOperationException" | "UnsupportedFeatureException" | "UnsupportedOperation" | "InvalidAction" => {
            Remedy::Unsupported
        }
        // A refusal without a code comes from something before the service: a proxy, an endpoint's policy.
        "" if status == 403 => Remedy::Denied,
        _ if status >= 500 => Remedy::Unreachable,
        _ => Remedy::Refused,
    }
}

/// An error and what caused it, in one line: the innermost says most.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = one_line(&error.to_string());
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

/// The innermost causes without the debug dump that the SDK appends.
fn one_line(text: &str) -> String {
    let text = text.split(" (").next().unwrap_or(text);
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > 400 {
        let mut end = 400;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod words_tests {
    use super::words;

    // H12: AWS repeats what it was sent.
    #[test]
    fn what_looks_secret_in_awss_words_is_masked() {
        assert_eq!(words("Invalid value: DB_PASSWORD=canary1 is wrong"), "Invalid value: DB_PASSWORD=••• is wrong");
        let plain = "The security token included in the request is invalid.";
        assert_eq!(words(plain), plain);
    }
}
