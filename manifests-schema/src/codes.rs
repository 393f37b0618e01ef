//! The codes of diagnostics. They are part of the interface: a code never changes its meaning.

/// A stable code with its explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    /// For example `LS0101`.
    pub id: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What it means and what to do, for `lockstep explain`.
    pub page: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $title:literal, $page:literal;)*) => {
        $($(#[$doc])* pub const $name: Code = Code { id: $id, title: $title, page: $page };)*
        /// All codes, in order.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    /// The file cannot be read as text.
    UNREADABLE = "LS0001", "unreadable file", "The file is not UTF-8 text, is larger than 1 MiB, has a name that is not UTF-8 text, is nested more than 64 directories deep, or is a symbolic link or a submodule. Lockstep reads regular text files of the repository and never follows a link. While something below services/ or components/ cannot be read, nothing is pruned.";
    /// YAML or JSON syntax.
    SYNTAX = "LS0002", "syntax error", "The file is not valid YAML or JSON. JSON files are strict: no comments and no trailing commas. Write YAML if you want comments.";
    /// A key is defined twice in one map.
    DUPLICATE_KEY = "LS0003", "duplicate key", "A key is defined twice in the same map, so one of the two values would be lost. Remove one of them.";
    /// A second YAML document.
    SECOND_DOCUMENT = "LS0004", "second document", "A manifest is one YAML document. Put the second one into a file of its own: each file has one purpose, and a document after `---` would silently be ignored by most tools.";
    /// Nesting, size or alias expansion.
    TOO_COMPLEX = "LS0005", "too complex", "What a repository costs is counted before it is built: a file may have 100,000 values (aliases expanded) and 64 levels, a service in one environment 20,000 values and 1 MiB of text, and an environment and the whole repository have limits as well (see the configuration page). The place is where the count went over: an alias, a copy patch, a variable, a component, or an environment.";
    /// More diagnostics than are shown.
    TOO_MANY = "LS0006", "more of the same file", "A file has more errors, warnings or notes than are shown. They are counted. Many of them often have one cause: mend the first ones and look again.";
    /// A template, or a file for another tool.
    TEMPLATE = "LS0007", "template", "The file is written for a template engine or for CloudFormation. Lockstep has no template engine: it reads files as they are, in the ECS API's own form. What differs between environments is said in overlays, or by variables: `${{ vars.NAME }}`.";
    /// A key that the format does not have.
    UNKNOWN_KEY = "LS0101", "unknown key", "The key is not part of the format. Keys are case-sensitive and follow the ECS API. A key that is left in place would be silently ignored by ECS, so Lockstep refuses it.";
    /// A value of the wrong type.
    WRONG_TYPE = "LS0102", "wrong type", "The value has another type than the ECS API (or Lockstep's own format) asks for.";
    /// A required member is absent.
    MISSING = "LS0103", "missing member", "A member that the format requires is absent after all layers were merged.";
    /// A value outside a closed list.
    NOT_ALLOWED = "LS0104", "value not allowed", "The value is not one of the values that the format lists.";
    /// An entry that matches nothing.
    NOTHING_MATCHED = "LS0105", "nothing matched", "A patch, a null, a pin, an ignore entry or a file names something that does not exist. It would have no effect, so it is probably a mistake.";
    /// A reserved name.
    RESERVED = "LS0106", "reserved name", "Environments cannot be named service, servicedef or taskdef, because the files of a service with these names have another meaning.";
    /// A key that is reserved for a later version.
    NOT_YET = "LS0107", "not yet", "The key is part of the format, but this version does not implement it. It is refused because an ignored setting is worse than an absent one.";
    /// A file that is named and cannot be used.
    FILE_REFERENCE = "LS0108", "file reference", "The path must name a regular file inside the repository, relative to the file that names it (or to the root when it starts with /).";
    /// The same content in two places.
    TWO_PLACES = "LS0109", "declared in two places", "The task definition or the service is declared inline and in a file, or an environment has an overlay file and inline content. Keep one of them.";
    /// A name with letters that AWS does not accept.
    BAD_NAME = "LS0110", "bad name", "Names of services, families and environments consist of letters, digits, hyphens and underscores, 255 at most.";
    /// One identity declared twice.
    DUPLICATE_IDENTITY = "LS0111", "declared twice", "Two directories declare the same service (account, region, cluster, serviceName) or the same service name within one source; or something else registers into the family of a task definition without a service.";
    /// A name of an environment or service that does not exist.
    UNKNOWN_NAME = "LS0112", "unknown name", "An environment, service or component of this name is not declared.";
    /// A circle of inherits or after.
    CYCLE = "LS0113", "cycle", "`inherits` and `after` must not lead back to where they started.";
    /// The key of a keyed element disagrees with the element.
    KEY_CONFLICT = "LS0114", "key conflict", "In the keyed form the map's key is the element's name. A name that is repeated inside must be equal to it.";
    /// A member that this build cannot send.
    NOT_IN_SDK = "LS0115", "member not supported by this build", "The AWS SDK of this build does not have the member yet, so it could not be sent. Update Lockstep.";
    /// Wrong place for a member.
    WRONG_PLACE = "LS0116", "wrong place", "The member cannot stand here: `cluster` must equal the environment's cluster, and a service with `scope: taskDefinition` declares no ECS service of its own.";
    /// An order where state is expected.
    NOT_STATE = "LS0117", "an order, not a state", "Members such as forceNewDeployment tell ECS to do something once. A config repository states what should be.";
    /// Where a service is.
    MEMBERSHIP = "LS0118", "membership", "Which environments a service is in is said in one place: `environments` of service.yaml, a list of names or a map from name to overlay. Where it is absent, the service is in every environment. A service in an environment is also in those that inherit from it, unless the map says null for one of them. Overlay and pins files only modify: one for an environment that the service is not in is an error. Repositories with `version: 1` were read otherwise (an overlay file alone put a service into only its environment). Where the two rules differ for a service, `lockstep validate --fix` writes the line that keeps what version 1 did; until then nothing is created or removed for this service. Then write `version: 2`.";
    /// What looks like a manifest and is none.
    STRAY = "LS0119", "not read", "Below services/ and components/ nothing is skipped in silence. A file that looks like a manifest by another case or suffix (Service.yaml, service.yaml.tmpl), overlays or pins in a directory without a service, a service in a hidden directory, or a directory that differs from services/ or components/ by case only is an error: what is not read would count as removed. Rename it, move it elsewhere, or remove it. Until then nothing is pruned; services that can be read go on. A copy beside the file itself (service.yaml.orig beside service.yaml) is ignored.";
    /// Errors in the repository's own file.
    WRITES_STOPPED = "LS0120", "writes are stopped", "lockstep.yaml or a component has errors. Every service depends on them, so nothing is written to any environment until they are corrected. What runs is still read and shown as far as the environments are known.";
    /// Substitution syntax.
    SUBSTITUTION = "LS0201", "substitution", "Substitutions are `${{ name }}`, `environment`, `account`, `region`, `cluster`, `vars.x`, `ssm:/path[:version]` and `secret:name`. Write `$${{` for a literal `${{`.";
    /// A variable that is not set.
    UNKNOWN_VARIABLE = "LS0202", "unknown variable", "The variable is not set in any layer of this service and environment.";
    /// A list or map inside of a text.
    SUBSTITUTION_TYPE = "LS0203", "substitution type", "Inside a longer text a substitution must be a string or a number. A list, map, boolean or null can only be the whole value.";
    /// A parameter that cannot be read.
    PARAMETER = "LS0204", "parameter", "The parameter or secret does not exist, may not be read, or is a SecureString. Secret values belong into `secrets`, where ECS resolves them.";
    /// A patch that cannot be applied.
    PATCH = "LS0301", "patch", "Patches are RFC 6902 operations on {taskDefinition, service} with keyed lists in keyed form. All operations of a list apply, or none.";
    /// A pin that is not a tag or digest.
    PIN = "LS0302", "pin", "A pin is TAG, TAG@sha256:…, @sha256:… or a full image reference.";
    /// An image policy that cannot be used.
    POLICY = "LS0303", "image policy", "An image policy picks by one of semver (a version constraint as Masterminds/semver reads it), newest, numeric, alphabetical (regular expressions with at most one capture group), digest (a tag) and follow (SERVICE/CONTAINER). A policy that cannot be read picks nothing.";
    /// A file that says at which commit a service is.
    AT = "LS0304", "commit of a service", "`ENVIRONMENT.at.yaml` (`commit:` and `reason:`) takes a service's state in that environment from another commit of the branch's first-parent history, which must have the service and render. Account, region, cluster and settings stay the tip's. While the file has an error, nothing is written for the service; remove the file to go back to the tip.";
    /// A read-only member was dropped.
    READ_ONLY = "LS0401", "read-only member dropped", "The member is part of what AWS answers, not of what can be declared. It was dropped.";
    /// A member that Lockstep sets itself was dropped.
    OURS = "LS0402", "member set by Lockstep", "The task definition revision and the client token are chosen by Lockstep at each write. What the file says was dropped.";
    /// A task size that Fargate does not have.
    FARGATE_SIZE = "LS0501", "task size", "On Fargate a task needs cpu and memory, and they must be one of Fargate's sizes: 256 CPU units with 512, 1024 or 2048 MiB; 512 with 1024 to 4096; 1024 with 2048 to 8192; 2048 with 4096 to 16384; 4096 with 8192 to 30720, in steps of 1024; 8192 with 16384 to 61440 in steps of 4096; 16384 with 32768 to 122880 in steps of 8192. AWS adds sizes, so a pair that Lockstep does not know is a warning. Ephemeral storage is 21 to 200 GiB; without it a task has 20. Sources: the API's reference (service model of November 2026).";
    /// Something that Fargate refuses.
    FARGATE_FEATURE = "LS0502", "not on Fargate", "Fargate has no instances to reach into: no privileged containers, devices, swap, shared memory size, host paths, Docker volumes, security options or placement, a stopTimeout of at most 120 seconds, only the capability SYS_PTRACE, only the network mode awsvpc, and only the log drivers awslogs, splunk and awsfirelens. Each of these is a sentence of the API's reference (service model of November 2026), which is compared again when the model is raised. Of GPUs, own DNS servers, disableNetworking and inference accelerators the reference says nothing for Fargate: they are warnings. tmpfs is taken since January 2026 (Linux).";
    /// Ports.
    PORTS = "LS0503", "ports", "In the network modes awsvpc and host a container's port is the host's port, so hostPort is left out or the same, and no two containers share a port. Port names are unique within a task definition. Source: the API's reference (service model of November 2026).";
    /// Dependencies between containers.
    DEPENDS_ON = "LS0504", "container dependencies", "A container waits for others by dependsOn. They must exist, must not lead back in a circle, need a health check to become HEALTHY, and must not be essential where they are to end (COMPLETE, SUCCESS). Source: the API's reference (service model of November 2026).";
    /// A name inside a task definition.
    INSIDE_REFERENCE = "LS0505", "name inside the task definition", "Mount points name volumes, volumesFrom and links name containers, a proxy configuration names its container, and the log driver awsfirelens needs a container with firelensConfiguration. What they name must be in the same task definition. It follows from the definition itself.";
    /// Containers as a whole.
    CONTAINERS = "LS0506", "containers", "A task definition has a container, at least one of them essential, each with an image. Without memory of the task each container needs memory or memoryReservation; what containers ask for and reserve must fit into the task. Sources: the API's reference (service model of November 2026), and ECS's answers to RegisterTaskDefinition. More than 10 containers are above a quota, which AWS may raise: a warning.";
    /// Volumes.
    VOLUMES = "LS0507", "volumes", "A volume with configuredAtLaunch is configured by the service's volumeConfigurations, and these name only such volumes. EFS needs transit encryption for IAM authorization or an access point, and with an access point no root directory but `/`. Source: the API's reference (service model of November 2026).";
    /// Network configuration.
    NETWORK = "LS0508", "network", "The network mode awsvpc needs a networkConfiguration with 1 to 16 subnets and at most 5 security groups, and takes no extraHosts and no hostname; other modes take no networkConfiguration, and only bridge takes links. Tasks on EC2 instances get no public address. Sources: the API's reference (service model of November 2026), and ECS's answers \"Network Configuration must be provided when networkMode 'awsvpc' is specified.\" and \"Assign public IP is not supported for this launch type.\"";
    /// Load balancers and registries.
    LOAD_BALANCERS = "LS0509", "load balancers", "A load balancer or service registry of a service names a container and a port of the task definition, and a load balancer a target group. Sources: ECS's answers to CreateService (November 2026), for example: The container web did not have a container port 80 defined.";
    /// Percentages of a deployment.
    PERCENTAGES = "LS0510", "deployment percentages", "minimumHealthyPercent and maximumPercent are rounded to whole tasks (up and down). Where both come out at the desired count no task can be stopped or started, and a deployment never progresses. Source: ECS's answer: Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments (November 2026).";
    /// The strategy of deployments.
    STRATEGY = "LS0511", "deployment strategy", "With BLUE_GREEN, LINEAR and CANARY each load balancer needs advancedConfiguration (ECS: \"advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy\"), which names an alternate target group, a production listener rule and a role. Service Connect and VPC Lattice need none. LINEAR and CANARY shift the traffic of a load balancer or of Service Connect; without one, and with VPC Lattice alone, it is a warning. linearConfiguration and canaryConfiguration go with their strategy, early success with ROLLING, and BLUE_GREEN needs bakeTimeInMinutes. Sources: the API's reference (service model of November 2026) and the developer guide's validation errors.";
    /// Hooks and alarms.
    HOOKS = "LS0512", "hooks and alarms", "A lifecycle hook that calls a function needs hookTargetArn and a stage, and a role to call it with; deployment alarms that are enabled need names. Source: the API's reference (service model of November 2026); it does not say that the role is required, so its absence is a warning.";
    /// Names of ports.
    PORT_NAMES = "LS0513", "port names", "Service Connect, VPC Lattice and gateway connectors name a port by the `name` of a port mapping in the task definition. Source: the API's reference (service model of November 2026).";
    /// Scheduling.
    SCHEDULING = "LS0514", "scheduling", "A launch type and a capacity provider strategy exclude each other; Fargate's providers go with no others; the task definition must be for where the tasks run; Fargate has no placement and no DAEMON services, and a DAEMON service has no desiredCount. Sources: the API's reference (service model of November 2026), and ECS's answers to CreateService.";
    /// Options of awslogs.
    LOGS = "LS0515", "awslogs", "The log driver awslogs needs the option awslogs-group, and on Fargate awslogs-region and awslogs-stream-prefix as well. awslogs-create-group is `true` or absent: ECS refuses `false` (\"Log driver awslogs option 'awslogs-create-group' should only be set to 'true', else omit option.\"). Sources: the API's reference (service model of November 2026), ECS's answers to RegisterTaskDefinition.";
    /// Health checks.
    HEALTH_CHECK = "LS0516", "health check", "A container's health check has an interval of 5 to 300 seconds, a timeout of 2 to 60, 1 to 10 retries and a startPeriod of 0 to 300 (the API's reference, service model of November 2026). Its command begins with CMD or CMD-SHELL. After CMD-SHELL the whole command is one text: of several, the shell runs the first and gets the others as its arguments.";
    /// Roles.
    ROLES = "LS0517", "roles", "To fetch secrets, and on Fargate to pull from ECR and to write logs, ECS uses the task's executionRoleArn. It must trust ecs-tasks.amazonaws.com, as the task role must. ECS Exec needs a taskRoleArn. Sources: ECS's answers (November 2026): Fargate requires task definition to have execution role ARN to support ECR images; When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.";
    /// An image that is not there.
    IMAGE = "LS0518", "image", "The image's tag or digest must exist in its repository, with the platform that the task definition asks for (linux/amd64 on Fargate where it asks for none).";
    /// A secret or parameter that is not there.
    SECRET = "LS0519", "secret", "What `secrets`, `secretOptions` and repositoryCredentials name must exist: a parameter of Parameter Store, or a secret of Secrets Manager. Lockstep asks for their existence, never for their values.";
    /// Something else in AWS that is named and not there.
    EXISTS = "LS0520", "existence in AWS", "What the definition names in AWS must exist: the cluster and its capacity providers, target groups (of type `ip` with awsvpc), log groups, subnets and security groups of one VPC.";
    /// A variable that is a secret and plain.
    VARIABLE_TWICE = "LS0521", "variable set twice", "A container has a variable of one name in `environment` and in `secrets`. ECS refuses the definition: \"The secret name must be unique and not shared with any new or existing environment variables set on the container\". Often one layer sets it plainly and a later one as a secret; there, `environment: { NAME: null }` takes the plain one away. Source: ECS's answer to RegisterTaskDefinition, November 2026.";
    /// A placeholder, or another text that is no value.
    NO_VALUE = "LS0522", "no value", "The text is no value of its member: a placeholder that a template would have filled (`<ROLE>`, `${CPU}`, `$$REG$$`), an image that is no reference, a size that is no number, a role that is no name or ARN, or a container's name with other letters than A-Z, a-z, 0-9, `-` and `_`. Names of repositories have no capital letters. Lockstep fills `${{ vars.name }}` only. Sources: the API's reference (service model of November 2026) for names and images, IAM's grammar of roles, and the grammar of image references that Docker and containerd share.";
    /// More than ECS takes.
    LIMITS = "LS0523", "limits of ECS", "A task definition has at most 64 KiB, a resource at most 50 tags (Lockstep adds 5 to a task definition and 3 to a service), the name of a tag 128 letters and its value 256. Sources: the API's reference (service model of November 2026) for tags, and the page \"Amazon ECS service quotas\" for the size (November 2026; it cannot be raised).";
}

/// The code of this id.
pub fn find(id: &str) -> Option<Code> {
    ALL.iter().copied().find(|code| code.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(find("ls0101"), Some(UNKNOWN_KEY));
    }
}
