//! Why a deployment failed: stopped tasks, and the last lines of the log of the container that failed.

use super::{AwsError, Clients, call::Kind, json, pace::Group, pages::Pages};
use aws_sdk_ecs::types as sdk;
use lockstep_core::{
    mask,
    observed::cause::{Cause, Ended, culprit},
};
use serde_json::Value;

/// Lines of a log that are kept.
const LINES: i32 = 10;
/// Stopped tasks that are looked at.
const TASKS: usize = 100;

/// Where a container's log is.
struct Log<'a> {
    group: &'a str,
    region: Option<&'a str>,
    stream: String,
}

impl Clients {
    /// Adds to a cause what the stopped tasks of a task definition revision tell. ECS forgets them after about an hour;
    /// a log that cannot be read is left out.
    ///
    /// # Errors
    /// When the tasks cannot be read.
    pub async fn look_for_cause(
        &self,
        cause: &mut Cause,
        cluster: &str,
        service: &str,
        revision: &str,
        definition: &Value,
    ) -> Result<(), AwsError> {
        let Some(task) = self.first_failed_task(cluster, service, revision).await? else { return Ok(()) };
        describe(cause, &task);
        let log = log_of(definition, &cause.container, task.task_arn().unwrap_or_default());
        if let Some(log) = log
            && log.region.is_none_or(|region| region == self.region)
        {
            let input = serde_json::json!({
                "logGroupName": log.group, "logStreamName": log.stream, "limit": LINES, "startFromHead": false,
            });
            if let Ok(answer) = self.json(json::LOGS, "logs:GetLogEvents", &input).await {
                let events = answer["events"].as_array().into_iter().flatten();
                cause.take_log(events.filter_map(|event| event["message"].as_str()));
            }
        }
        Ok(())
    }

    async fn first_failed_task(
        &self,
        cluster: &str,
        service: &str,
        revision: &str,
    ) -> Result<Option<sdk::Task>, AwsError> {
        const LIST: &str = "ecs:ListTasks";
        let mut arns: Vec<String> = Vec::new();
        let mut pages = Pages::of(LIST);
        let mut token: Option<String> = None;
        loop {
            let request = self
                .ecs
                .list_tasks()
                .cluster(cluster)
                .service_name(service)
                .desired_status(sdk::DesiredStatus::Stopped)
                .set_next_token(token);
            let listed = self.call(LIST, Group::ClusterResourceRead, Kind::Read, || request.clone().send()).await?;
            arns.extend(listed.task_arns().iter().cloned());
            token = pages.next(listed.next_token())?;
            if token.is_none() || arns.len() >= 10 * TASKS {
                break;
            }
        }
        let mut stopped: Vec<sdk::Task> = Vec::new();
        for batch in arns.chunks(TASKS) {
            let request = self.ecs.describe_tasks().cluster(cluster).set_tasks(Some(batch.to_vec()));
            let operation = "ecs:DescribeTasks";
            let answer =
                self.call(operation, Group::ClusterResourceRead, Kind::Read, || request.clone().send()).await?;
            stopped.extend(answer.tasks().iter().filter(|task| has_failed(task, revision)).cloned());
        }
        stopped.sort_by_key(|task| task.created_at().map(|at| at.as_nanos()));
        Ok(stopped.into_iter().next())
    }
}

/// Whether a task of the revision stopped because it failed, rather than to be replaced or scaled in.
fn has_failed(task: &sdk::Task, revision: &str) -> bool {
    let scaled = matches!(task.stop_code(), Some(sdk::TaskStopCode::ServiceSchedulerInitiated))
        && !task.stopped_reason().is_some_and(|reason| reason.contains("health checks"));
    let taken =
        matches!(task.stop_code(), Some(sdk::TaskStopCode::SpotInterruption | sdk::TaskStopCode::UserInitiated));
    task.task_definition_arn() == Some(revision) && !scaled && !taken
}

fn describe(cause: &mut Cause, task: &sdk::Task) {
    let ended = |container: &sdk::Container| Ended {
        exit_code: container.exit_code(),
        has_reason: container.reason().is_some(),
    };
    let ended: Vec<Ended> = task.containers().iter().map(ended).collect();
    let by_itself = matches!(task.stop_code(), Some(sdk::TaskStopCode::EssentialContainerExited));
    if let Some(container) = culprit(&ended, by_itself).and_then(|at| task.containers().get(at)) {
        container.name().unwrap_or_default().clone_into(&mut cause.container);
        cause.exit_code = container.exit_code().map(i64::from);
        // Docker's words may quote the command.
        cause.reason = mask::line(container.reason().unwrap_or_default());
    }
    cause.stop_code = task.stop_code().map(|code| code.as_str().to_owned()).unwrap_or_default();
    cause.stopped_reason = mask::line(task.stopped_reason().unwrap_or_default());
}

/// Where the driver `awslogs` puts the log of a container of a task.
fn log_of<'a>(definition: &'a Value, container: &str, task: &str) -> Option<Log<'a>> {
    let containers = definition.get("containerDefinitions")?.as_array()?;
    let defined = containers.iter().find(|defined| defined["name"] == container)?;
    let options = &defined["logConfiguration"]["options"];
    if defined["logConfiguration"]["logDriver"] != "awslogs" {
        return None;
    }
    let task = task.rsplit('/').next()?;
    let prefix = options["awslogs-stream-prefix"].as_str()?;
    Some(Log {
        group: options["awslogs-group"].as_str()?,
        region: options["awslogs-region"].as_str(),
        stream: format!("{prefix}/{container}/{task}"),
    })
}
