//! Values of `${{ ssm:… }}` and ARNs of `${{ secret:… }}`. Parameters are read without decryption; of a secret only its
//! ARN is asked for.

use super::{AwsError, Clients, Remedy, json, pace::Group};
use lockstep_manifests::substitute::{Parameters, Reference, Resolved};

/// Names that GetParameters takes in one call.
const BATCH: usize = 10;

impl Clients {
    /// Reads references. What cannot be used is in the result with its reason; a call that failed is an error.
    ///
    /// # Errors
    /// Throttling, network, credentials: nothing is concluded from those.
    pub async fn parameters(&self, references: &[Reference]) -> Result<Parameters, AwsError> {
        let mut result = Parameters::new();
        let ssm: Vec<&Reference> =
            references.iter().filter(|reference| matches!(reference, Reference::Ssm { .. })).collect();
        for batch in ssm.chunks(BATCH) {
            self.read_batch(batch, &mut result).await?;
        }
        for reference in references {
            if let Reference::Secret { name } = reference {
                result.insert(reference.clone(), self.secret(name).await?);
            }
        }
        Ok(result)
    }

    async fn read_batch(&self, batch: &[&Reference], result: &mut Parameters) -> Result<(), AwsError> {
        const OPERATION: &str = "ssm:GetParameters";
        self.pace.acquire(Group::Parameters).await;
        let names = batch.iter().map(|reference| selector(reference)).collect();
        let answer = match self.ssm.get_parameters().set_names(Some(names)).with_decryption(false).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = AwsError::from_sdk(OPERATION, &error);
                if matches!(error.remedy, Remedy::Denied | Remedy::Refused) {
                    for reference in batch {
                        result.insert((*reference).clone(), Resolved::Refused(error.text.clone()));
                    }
                    return Ok(());
                }
                return Err(error);
            }
        };
        for reference in batch {
            let Reference::Ssm { name, version } = reference else {
                continue;
            };
            let found = answer.parameters().iter().find(|parameter| {
                let is_name = parameter.name() == Some(name) || parameter.arn() == Some(name);
                is_name && version.is_none_or(|version| i64::try_from(version).is_ok_and(|v| v == parameter.version()))
            });
            let resolved = match found {
                None => Resolved::Refused(format!("there is no such parameter in {}", self.place())),
                Some(parameter) => {
                    let value = parameter.value().unwrap_or_default();
                    let version = u64::try_from(parameter.version()).ok();
                    match parameter.r#type().map(|kind| kind.as_str()) {
                        Some("String") => Resolved::Text(value.to_owned(), version),
                        Some("StringList") => {
                            Resolved::List(value.split(',').map(|item| item.trim().to_owned()).collect(), version)
                        }
                        _ => Resolved::Refused(
                            "it is a SecureString; name it in `secrets` of the container, where ECS decrypts it"
                                .to_owned(),
                        ),
                    }
                }
            };
            result.insert((*reference).clone(), resolved);
        }
        Ok(())
    }

    async fn secret(&self, name: &str) -> Result<Resolved, AwsError> {
        const OPERATION: &str = "secretsmanager:DescribeSecret";
        self.pace.acquire(Group::Parameters).await;
        match self.json(json::SECRETS, OPERATION, &serde_json::json!({ "SecretId": name })).await {
            Ok(answer) if answer["DeletedDate"].is_null() => {
                Ok(Resolved::Text(json::text(OPERATION, &answer, "ARN")?.to_owned(), None))
            }
            Ok(_) => Ok(Resolved::Refused("it is scheduled for deletion".to_owned())),
            Err(error) => match error.remedy {
                Remedy::NotFound => Ok(Resolved::Refused(format!("there is no such secret in {}", self.place()))),
                Remedy::Denied | Remedy::Refused => Ok(Resolved::Refused(error.text)),
                _ => Err(error),
            },
        }
    }
}

fn selector(reference: &Reference) -> String {
    match reference {
        Reference::Ssm { name, version: Some(version) } => format!("{name}:{version}"),
        Reference::Ssm { name, version: None } | Reference::Secret { name } => name.clone(),
    }
}
