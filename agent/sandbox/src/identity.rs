//! Who calls, and the Security Token Service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Moment;
use crate::error::{Answer, ApiError};
use crate::ids::Ids;
use crate::place::{Caller, is_account};
use crate::request::Request;

/// Access keys, assumed roles, and who is refused.
#[derive(Debug)]
pub(crate) struct Identity {
    default_account: String,
    sessions: BTreeMap<String, Session>,
    pub(crate) invalid_keys: BTreeSet<String>,
    pub(crate) denied_roles: BTreeSet<String>,
    expire: bool,
    ids: Ids,
}

#[derive(Debug)]
struct Session {
    caller: Caller,
    expires_at: Moment,
}

impl Identity {
    pub(crate) fn new(default_account: &str, seed: u64, expire: bool) -> Self {
        Self {
            default_account: default_account.to_owned(),
            sessions: BTreeMap::new(),
            invalid_keys: BTreeSet::new(),
            denied_roles: BTreeSet::new(),
            expire,
            ids: Ids::new(seed, "identity"),
        }
    }

    /// The caller of an access key.
    pub(crate) fn caller(&self, access_key: Option<&str>, query: bool, now: Moment) -> Result<Caller, ApiError> {
        let Some(key) = access_key else {
            let code = if query { "MissingAuthenticationToken" } else { "MissingAuthenticationTokenException" };
            return Err(ApiError::new(code, "Missing Authentication Token").with_status(403));
        };
        if self.invalid_keys.contains(key) {
            let message = "The security token included in the request is invalid.";
            return Err(match query {
                true => ApiError::new("InvalidClientTokenId", message).with_status(403),
                false => ApiError::new("UnrecognizedClientException", message),
            });
        }
        if let Some(session) = self.sessions.get(key) {
            if self.expire && session.expires_at <= now {
                let message = "The security token included in the request is expired";
                return Err(match query {
                    true => ApiError::new("ExpiredToken", message).with_status(403),
                    false => ApiError::new("ExpiredTokenException", message),
                });
            }
            return Ok(session.caller.clone());
        }
        let account = if is_account(key) { key } else { self.default_account.as_str() };
        Ok(Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:user/sandbox"),
            user_id: format!("AIDA{account:0>17}"),
        })
    }

    /// Runs one operation of STS.
    pub(crate) fn run(&mut self, operation: &str, caller: &Caller, request: Request<'_>, now: Moment) -> Answer {
        match operation {
            "GetCallerIdentity" => {
                Ok(json!({ "UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn }))
            }
            "AssumeRole" => self.assume(caller, request, now),
            other => {
                Err(ApiError::new("InvalidAction", format!("Could not find operation {other} for version 2011-06-15")))
            }
        }
    }

    fn assume(&mut self, caller: &Caller, request: Request<'_>, now: Moment) -> Answer {
        let role = request.text("RoleArn").unwrap_or_default();
        let session = request.text("RoleSessionName").unwrap_or_default();
        let mut parts = role.split(':').skip(4);
        let (account, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = path.rsplit('/').next().unwrap_or_default();
        if !is_account(account) || !path.starts_with("role/") || session.is_empty() {
            return Err(ApiError::new("ValidationError", format!("{role} is invalid")));
        }
        if self.denied_roles.contains(role) {
            let message =
                format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role}", caller.arn);
            return Err(ApiError::new("AccessDenied", message).with_status(403));
        }
        let seconds = request.text("DurationSeconds").and_then(|text| text.parse().ok()).unwrap_or(3600);
        let expires_at = now.plus(Duration::from_secs(seconds));
        let key = format!("ASIA{}", self.ids.capitals(16));
        let role_id = format!("AROA{}", self.ids.capitals(17));
        let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
        let user_id = format!("{role_id}:{session}");
        let caller = Caller { account: account.to_owned(), arn: arn.clone(), user_id: user_id.clone() };
        self.sessions.insert(key.clone(), Session { caller, expires_at });
        Ok(json!({
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": self.ids.letters(40),
                "SessionToken": self.ids.letters(120),
                "Expiration": expires_at.iso(),
            },
            "AssumedRoleUser": { "AssumedRoleId": user_id, "Arn": arn },
            "PackedPolicySize": Value::from(0),
        }))
    }
}
