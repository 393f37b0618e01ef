//! SDK clients by account and region, with the role to assume, and the check that the credentials are for the account
//! that the environment names.

use super::{AwsError, Pace, bounded, call::ServerClock, error::Remedy, json};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future};
use lockstep_core::stated::identity::caller_name;
use lockstep_manifests::name::is_region;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::Mutex;

/// A role to assume for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountRole {
    /// Its ARN.
    pub role: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
}

/// All clients, made when they are first needed.
pub struct Accounts {
    base: SdkConfig,
    roles: BTreeMap<String, AccountRole>,
    share: f64,
    /// Seconds of AWS's clock in one of ours: not 1 on the sandbox's virtual clock.
    speed: f64,
    http: reqwest::Client,
    made: Mutex<HashMap<(String, String), Arc<Clients>>>,
}

/// The clients of one account and region.
pub struct Clients {
    /// The account that they must be for.
    pub account: String,
    /// The region.
    pub region: String,
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    sts: aws_sdk_sts::Client,
    pub(crate) ecr: aws_sdk_ecr::Client,
    /// For the APIs that are asked without an SDK.
    pub(crate) http: reqwest::Client,
    pub(crate) config: SdkConfig,
    pub(crate) pace: Pace,
    pub(super) clock: ServerClock,
    /// The role that is assumed, where one is.
    role: Option<String>,
    caller: OnceLock<Caller>,
    /// Set once the endpoint turned out to have no deployment history.
    pub(crate) no_history: AtomicBool,
}

impl Accounts {
    /// Reads the SDK's standard chain: environment, profiles, task role, endpoint.
    pub async fn load(roles: BTreeMap<String, AccountRole>, share: f64) -> Self {
        let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(200));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(20))
            .operation_timeout(Duration::from_secs(60))
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(bounded::client())
            .retry_config(retries)
            .timeout_config(timeouts);
        Self { base: loader.load().await, roles, share, speed: 1.0, http: http(), made: Mutex::new(HashMap::new()) }
    }

    /// The same against one endpoint with one pair of keys: for the sandbox.
    pub async fn at_endpoint(
        endpoint: &str,
        access_key: &str,
        region: &str,
        roles: BTreeMap<String, AccountRole>,
        share: f64,
    ) -> Self {
        let credentials = aws_sdk_ecs::config::Credentials::new(access_key, "sandbox", None, None, "sandbox");
        let base = aws_config::defaults(BehaviorVersion::latest())
            .http_client(bounded::client())
            .endpoint_url(endpoint)
            .region(Region::new(region.to_owned()))
            .credentials_provider(credentials)
            .load()
            .await;
        Self { base, roles, share, speed: 1.0, http: http(), made: Mutex::new(HashMap::new()) }
    }

    /// The same for an endpoint whose clock runs faster than ours: rates are by its seconds.
    #[must_use]
    pub fn with_speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// The clients for an account and region.
    pub async fn clients(&self, account: &str, region: &str) -> Arc<Clients> {
        let mut made = self.made.lock().await;
        let key = (account.to_owned(), region.to_owned());
        if let Some(clients) = made.get(&key) {
            return clients.clone();
        }
        let clients = Arc::new(self.make(account, region).await);
        made.insert(key, clients.clone());
        clients
    }

    /// The region of the process's own configuration.
    pub fn region(&self) -> String {
        self.base.region().map(|region| region.as_ref().to_owned()).unwrap_or_default()
    }

    /// The account that the process's own credentials are for.
    ///
    /// # Errors
    /// When STS cannot be asked.
    pub async fn own_account(&self, region: &str) -> Result<String, AwsError> {
        let config = self.base.to_builder().region(Region::new(region.to_owned())).build();
        Ok(caller(&aws_sdk_sts::Client::new(&config)).await?.account)
    }

    /// A parameter's decrypted value, with the process's own credentials: the agent's own secrets only.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn own_parameter(&self, name: &str) -> Result<String, AwsError> {
        const OPERATION: &str = "ssm:GetParameter";
        let answer = aws_sdk_ssm::Client::new(&self.base)
            .get_parameter()
            .name(name)
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(OPERATION, &error))?;
        let value = answer.parameter().and_then(|parameter| parameter.value());
        Ok(value.ok_or_else(|| json::without(OPERATION, "Value"))?.to_owned())
    }

    /// A secret's value, with the process's own credentials: the agent's own secrets only.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn own_secret(&self, name: &str) -> Result<String, AwsError> {
        const OPERATION: &str = "secretsmanager:GetSecretValue";
        let (call, input) = ((json::SECRETS, OPERATION), json!({ "SecretId": name }));
        let answer = json::json(&self.base, &self.http, &self.region(), call, &input).await?;
        Ok(json::text(OPERATION, &answer, "SecretString")?.to_owned())
    }

    async fn make(&self, account: &str, region: &str) -> Clients {
        let mut config = self.base.to_builder().region(Region::new(region.to_owned())).build();
        if !is_region(region) {
            // What is no region leads to another host; for none of them anything is signed.
            let nobody = SharedCredentialsProvider::new(NoRegion(region.to_owned()));
            config = config.to_builder().credentials_provider(nobody).build();
        }
        let role = self.roles.get(account).filter(|_| is_region(region));
        if let Some(role) = role {
            let mut provider = aws_config::sts::AssumeRoleProvider::builder(role.role.clone())
                .session_name("lockstep")
                .region(Region::new(region.to_owned()))
                .configure(&config);
            if let Some(external) = &role.external_id {
                provider = provider.external_id(external.clone());
            }
            let provider = provider.build().await;
            config = config.to_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build();
        }
        let clock = ServerClock::default();
        Clients {
            account: account.to_owned(),
            region: region.to_owned(),
            ecs: aws_sdk_ecs::Client::from_conf(
                aws_sdk_ecs::config::Builder::from(&config)
                    .retry_config(RetryConfig::disabled())
                    .interceptor(clock.clone())
                    .build(),
            ),
            ssm: aws_sdk_ssm::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            ecr: aws_sdk_ecr::Client::from_conf(
                aws_sdk_ecr::config::Builder::from(&config).interceptor(clock.clone()).build(),
            ),
            http: self.http.clone(),
            config,
            pace: Pace::new(self.share, self.speed),
            clock,
            role: role.map(|role| role.role.clone()),
            caller: OnceLock::new(),
            no_history: AtomicBool::new(false),
        }
    }
}

impl Clients {
    /// Whether AWS is something on this machine: the sandbox, or an emulator.
    pub(super) fn is_on_loopback(&self) -> bool {
        let endpoint = self.config.endpoint_url().and_then(|endpoint| reqwest::Url::parse(endpoint).ok());
        endpoint.and_then(|url| url.host_str().map(str::to_owned)).is_some_and(|host| {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        })
    }

    /// Compares the account of the credentials with the one that is expected. Asked once; a failure is asked again.
    ///
    /// # Errors
    /// When STS cannot be asked, or answers with another account.
    pub async fn check_account(&self) -> Result<(), AwsError> {
        let caller = &self.caller().await?.account;
        if *caller == self.account {
            return Ok(());
        }
        let hint = if self.role.is_some() {
            "the role under `accounts:` in the agent's file leads to another account"
        } else {
            "name a role for it under `accounts:` in the agent's file"
        };
        Err(AwsError {
            operation: "sts:GetCallerIdentity",
            remedy: Remedy::WrongAccount,
            code: String::new(),
            text: format!("the credentials are for account {caller}, not {}; {hint}", self.account),
        })
    }
}

/// Stands in for credentials where there is no region to use them in.
#[derive(Debug)]
struct NoRegion(String);

impl ProvideCredentials for NoRegion {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let reason = format!("`{}` is not a region", self.0.escape_debug());
        future::ProvideCredentials::ready(Err(CredentialsError::invalid_configuration(reason)))
    }
}

impl Clients {
    /// Whose credentials these are, as people call them: what a tag says of who asked for something.
    ///
    /// # Errors
    /// When STS cannot be asked.
    pub async fn caller_name(&self) -> Result<String, AwsError> {
        Ok(caller_name(&self.caller().await?.arn))
    }

    /// The same where it was asked already; empty where not.
    pub fn known_caller(&self) -> String {
        self.caller.get().map(|caller| caller_name(&caller.arn)).unwrap_or_default()
    }

    async fn caller(&self) -> Result<&Caller, AwsError> {
        match self.caller.get() {
            Some(caller) => Ok(caller),
            None => {
                let found = caller(&self.sts).await.map_err(|error| self.with_role(error))?;
                Ok(self.caller.get_or_init(|| found))
            }
        }
    }

    /// The account and region, for messages.
    pub(super) fn place(&self) -> String {
        format!("account {}, region {}", self.account, self.region)
    }

    /// Credentials that do not come are those of a role, where one is to be assumed: that is what failed, and where it
    /// is named.
    pub(super) fn with_role(&self, error: AwsError) -> AwsError {
        match &self.role {
            Some(role) if error.remedy == Remedy::Credentials => AwsError {
                operation: "sts:AssumeRole",
                text: format!("the role {role} (`accounts:` in the agent's file) cannot be assumed: {}", error.text),
                ..error
            },
            _ => error,
        }
    }
}

/// Whose credentials are used.
#[derive(Debug)]
struct Caller {
    account: String,
    arn: String,
}

/// A client with the system's proxies and certificates, which follows no redirect: AWS's APIs give none.
fn http() -> reqwest::Client {
    let builder = crate::authority::with_system(reqwest::Client::builder())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none());
    builder.build().unwrap_or_default()
}

async fn caller(sts: &aws_sdk_sts::Client) -> Result<Caller, AwsError> {
    const OPERATION: &str = "sts:GetCallerIdentity";
    let answer = sts.get_caller_identity().send().await.map_err(|error| AwsError::from_sdk(OPERATION, &error))?;
    let account = answer.account().map(str::to_owned);
    let account = account.ok_or_else(|| AwsError::build(OPERATION, &"the answer names no account"))?;
    Ok(Caller { account, arn: answer.arn().unwrap_or_default().to_owned() })
}
