//! `lockstep verify` against moto: what a definition names is looked up, and what may not be asked is skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_tests::{
    files::{directory, write},
    lockstep,
    moto::{ACCOUNT, Moto, REGION},
    outcome,
};
use serde_json::{Value, json};

const VERIFIED: &str = r#"
taskDefinition:
  networkMode: awsvpc
  requiresCompatibilities: [FARGATE]
  cpu: "256"
  memory: "512"
  executionRoleArn: "arn:aws:iam::${{ account }}:role/execution"
  taskRoleArn: "arn:aws:iam::${{ account }}:role/task"
  containerDefinitions:
    web:
      image: "${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/web:1"
      portMappings: { 80: {} }
      secrets: { KEY: /shop/key, STRIPE: "${{ secret:shop/stripe }}" }
      logConfiguration: { logDriver: awslogs, options: { awslogs-group: /shop/web, awslogs-region: "${{ region }}", awslogs-stream-prefix: web } }
    side: { image: "nginx:1.27" }
service:
  desiredCount: 1
  launchType: FARGATE
  loadBalancers: [{ targetGroupArn: "${{ vars.target }}", containerName: web, containerPort: 80 }]
  networkConfiguration: { awsvpcConfiguration: { subnets: "${{ vars.subnets }}", securityGroups: ["${{ vars.group }}"] } }
"#;

#[test]
fn what_a_definition_names_is_looked_up_in_aws() {
    let moto = Moto::start();
    let subnets = moto.ec2("DescribeSubnets", "subnetId");
    let vpc = moto.ec2("DescribeVpcs", "vpcId")[0].clone();
    let groups = moto.ec2("DescribeSecurityGroups", "groupId");
    moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
    moto.call("ssm:PutParameter", &json!({"Name": "/shop/key", "Type": "SecureString", "Value": "hush"}));
    moto.call("secretsmanager:CreateSecret", &json!({"Name": "shop/stripe", "SecretString": "hush"}));
    moto.call("logs:CreateLogGroup", &json!({"logGroupName": "/shop/web"}));
    moto.call("ecr:CreateRepository", &json!({"repositoryName": "web"}));
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, "digest": format!("sha256:{}", "a".repeat(64)), "platform": {"os": "linux", "architecture": "amd64"}},
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, "digest": format!("sha256:{}", "b".repeat(64)), "platform": {"os": "unknown", "architecture": "unknown"}}]});
    moto.call("ecr:PutImage", &json!({"repositoryName": "web", "imageTag": "1", "imageManifest": index.to_string(), "imageManifestMediaType": "application/vnd.oci.image.index.v1+json", "imageDigest": format!("sha256:{}", "c".repeat(64))}));
    let role = |name: &str, service: &str| {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
        );
        let encoded: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
        moto.query(
            "iam",
            &format!("Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument={encoded}"),
            "RoleName",
        );
    };
    role("execution", "ecs-tasks.amazonaws.com");
    role("task", "ec2.amazonaws.com");
    let target = moto.query(
        "elasticloadbalancing",
        &format!(
            "Action=CreateTargetGroup&Version=2015-12-01&Name=web&Protocol=HTTP&Port=80&TargetType=instance&VpcId={vpc}"
        ),
        "TargetGroupArn",
    )[0]
    .clone();
    let config = format!(
        "version: 1\nenvironments:\n  prod:\n    account: \"{ACCOUNT}\"\n    region: {REGION}\n    cluster: prod\n    vars: {{ subnets: [{}, {}], group: {}, target: \"{target}\" }}\n",
        subnets[0], subnets[1], groups[0]
    );
    let files = directory(&[("lockstep.yaml", &config), ("services/web/service.yaml", VERIFIED)]);
    let verify = |more: &[&str]| {
        let mut arguments = vec!["verify"];
        arguments.extend(more);
        outcome(lockstep(arguments).current_dir(files.path()).envs(moto.environment()))
    };
    let (exit, stdout, stderr) = verify(&["--output", "json"]);
    let data: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    let checks = |data: &Value| -> Vec<String> {
        let all = data["services"][0]["checks"].as_array().unwrap();
        let asked = all.iter().filter(|check| {
            ("LS0518"..="LS0520").contains(&check["code"].as_str().unwrap())
                || check["path"].as_str().unwrap().ends_with("RoleArn")
                    && ["the role", "no role"].iter().any(|words| check["text"].as_str().unwrap().contains(words))
        });
        asked
            .map(|check| {
                format!(
                    "{} {} {}",
                    check["outcome"].as_str().unwrap(),
                    check["path"].as_str().unwrap(),
                    check["text"].as_str().unwrap()
                )
            })
            .collect()
    };
    let web = "taskDefinition.containerDefinitions[web]";
    assert_eq!(
        checks(&data),
        [
            "OK service.cluster the cluster prod is active and has what the service asks for".to_owned(),
            "OK taskDefinition.executionRoleArn the role execution trusts ecs-tasks.amazonaws.com".to_owned(),
            "FAIL taskDefinition.taskRoleArn the role task does not trust ecs-tasks.amazonaws.com".to_owned(),
            format!("OK {web}.image the image exists, with linux/amd64"),
            format!("OK {web}.secrets[KEY] the parameter /shop/key exists"),
            format!("OK {web}.secrets[STRIPE] the secret shop/stripe exists"),
            format!("OK {web}.logConfiguration.options[awslogs-group] the log group /shop/web exists"),
            "SKIP taskDefinition.containerDefinitions[side].image not checked: only images in ECR are looked up"
                .to_owned(),
            format!("OK service.networkConfiguration.awsvpcConfiguration.subnets they exist, in {vpc}"),
            format!("OK service.networkConfiguration.awsvpcConfiguration.securityGroups they exist, in {vpc}"),
            format!(
                "FAIL service.loadBalancers[web,80,{target}].targetGroupArn with networkMode awsvpc its type must be ip, not instance"
            ),
        ],
        "{stderr}"
    );
    assert_eq!(exit, 3, "{stderr}");
    assert!(!stdout.contains("hush") && !stderr.contains("hush"));
    // What is not there, one by one.
    let missing = VERIFIED
        .replace("role/execution", "role/nobody")
        .replace("web:1\"", "web:2\"")
        .replace("/shop/key", "/shop/no")
        .replace("/shop/web", "/shop/we")
        .replace(
            "requiresCompatibilities: [FARGATE]",
            "requiresCompatibilities: [FARGATE]\n  runtimePlatform: { cpuArchitecture: ARM64 }",
        );
    write(files.path(), "services/web/service.yaml", &missing);
    write(
        files.path(),
        "lockstep.yaml",
        &config.replace(&subnets[1], "subnet-0000aaaa").replace("cluster: prod", "cluster: nope"),
    );
    let (exit, stdout, stderr) = verify(&["--output", "json"]);
    assert_eq!(exit, 3, "{stderr}");
    let data: Value = serde_json::from_str(&stdout).unwrap();
    let failed: Vec<String> = checks(&data).into_iter().filter(|line| line.starts_with("FAIL")).collect();
    for words in [
        "there is no active cluster nope",
        "there is no role nobody",
        "web has no image 2",
        "there is no parameter /shop/no",
        "there is no log group /shop/we in eu-central-1",
        "InvalidSubnetID.NotFound",
    ] {
        assert!(failed.iter().any(|line| line.contains(words)), "{words}: {failed:#?}");
    }
    let arm = missing.replace("web:2\"", "web:1\"");
    write(files.path(), "services/web/service.yaml", &arm);
    let (_, stdout, _) = verify(&["--output", "json"]);
    assert!(stdout.contains("the image has no linux/arm64; it has linux/amd64"), "{stdout}");
    // Offline nothing is asked.
    moto.forget();
    let (exit, stdout, stderr) = verify(&["--offline"]);
    assert_eq!((exit, moto.calls()), (0, vec![]), "{stdout}{stderr}");
    assert!(stdout.starts_with("prod/web\n") && stdout.contains(" OK, 0 WARN, 0 FAIL, 0 SKIP"), "{stdout}");
}

// F: a key inside of a secret is not known, and a secret's bare name is told from a parameter.
#[test]
fn secrets_are_told_from_parameters_and_their_keys_from_nothing() {
    let moto = Moto::start();
    moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
    moto.call("secretsmanager:CreateSecret", &json!({"Name": "shop/stripe", "SecretString": "{\"key\": \"hush\"}"}));
    let config =
        format!("version: 1\nenvironments:\n  prod: {{ account: \"{ACCOUNT}\", region: {REGION}, cluster: prod }}\n");
    let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop");
    let web = format!(
        "taskDefinition:\n  executionRoleArn: nobody\n  containerDefinitions:\n    web:\n      image: nginx\n      memory: 64\n      secrets: {{ INSIDE: \"${{{{ secret:shop/stripe }}}}:key::\", BARE: shop/stripe, GONE: \"{arn}/gone-AbCdEf:key::\", NO: shop/no }}\nservice: {{ desiredCount: 1 }}\n"
    );
    let files = directory(&[("lockstep.yaml", &config), ("services/web/service.yaml", &web)]);
    let (exit, stdout, stderr) = outcome(lockstep(["verify", "-v"]).current_dir(files.path()).envs(moto.environment()));
    let said: Vec<&str> = stdout.lines().filter(|line| line.contains("].secrets[")).map(str::trim).collect();
    let web = "taskDefinition.containerDefinitions[web].secrets";
    assert_eq!(
        said,
        [
            format!(
                "SKIP  {web}[INSIDE]: the secret shop/stripe exists; whether it has the key `key` is not known, because its value is not read  LS0519"
            ),
            format!(
                "FAIL  {web}[BARE]: there is no parameter shop/stripe, but a secret of that name: ECS needs its ARN, so write `${{{{ secret:shop/stripe }}}}`  LS0519"
            ),
            format!("FAIL  {web}[GONE]: there is no secret shop/gone  LS0519"),
            format!("FAIL  {web}[NO]: there is no parameter shop/no  LS0519"),
        ],
        "{stdout}{stderr}"
    );
    assert_eq!(exit, 3);
    assert!(!stdout.contains("hush") && !stderr.contains("hush"));
}

// F: the layers that contradict each other are named, by `verify` and by `validate`.
#[test]
fn a_variable_that_two_layers_set_names_both() {
    let config =
        format!("version: 1\nenvironments:\n  prod: {{ account: \"{ACCOUNT}\", region: {REGION}, cluster: prod }}\n");
    let web = "taskDefinition:\n  executionRoleArn: execution\n  containerDefinitions:\n    web:\n      image: nginx\n      memory: 64\n      environment: { STRIPE: plain }\nservice: { desiredCount: 1 }\nenvironments: { prod: }\n";
    let web = web.replace("{ prod: }", "{ prod: {} }");
    let overlay = "taskDefinition:\n  containerDefinitions:\n    web:\n      secrets: { STRIPE: /shop/stripe }\n";
    let files = directory(&[
        ("lockstep.yaml", &config),
        ("services/web/service.yaml", &web),
        ("services/web/prod.yaml", overlay),
    ]);
    let (exit, stdout, stderr) = outcome(lockstep(["verify", "--offline"]).current_dir(files.path()));
    let container = "taskDefinition.containerDefinitions[web]";
    let line = format!(
        "FAIL  {container}.secrets[STRIPE]: `STRIPE` is in `secrets` and in `environment`; take it out of one (in an overlay: `environment: {{ STRIPE: null }}`) ({container}.secrets[STRIPE] at services/web/prod.yaml:4, {container}.environment[STRIPE] at services/web/service.yaml:7)  LS0521"
    );
    assert!(stdout.contains(&line), "{stdout}{stderr}");
    assert_eq!(exit, 3);
    let (exit, _, stderr) = outcome(lockstep(["validate"]).current_dir(files.path()));
    assert_eq!(exit, 3);
    let related = format!("{container}.environment[STRIPE] is set here: services/web/service.yaml:7");
    assert!(stderr.contains(&related), "{stderr}");
}

#[test]
fn files_functions_and_alarms_are_looked_up_too() {
    let moto = Moto::start();
    moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
    let place = format!(
        "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    );
    moto.rest(reqwest::Method::PUT, "s3", "shop", &place);
    moto.rest(reqwest::Method::PUT, "s3", "shop/there%20it%20is.env", "A=1");
    let group = moto.rest(reqwest::Method::POST, "vpc-lattice", "targetgroups", r#"{"name": "shop", "type": "IP"}"#);
    let group: Value = serde_json::from_str(&group).unwrap();
    let group = group["arn"].as_str().unwrap();
    moto.query(
        "monitoring",
        "Action=PutMetricAlarm&Version=2010-08-01&AlarmName=there&ComparisonOperator=GreaterThanThreshold&EvaluationPeriods=1&MetricName=m&Namespace=n&Period=60&Threshold=1&Statistic=Sum",
        "RequestId",
    );
    let config =
        format!("version: 1\nenvironments:\n  prod: {{ account: \"{ACCOUNT}\", region: {REGION}, cluster: prod }}\n");
    let web = "taskDefinition:\n  executionRoleArn: nobody\n  containerDefinitions:\n    web: { image: nginx, memory: 64, portMappings: { 80: { name: http }, 81: { name: other } }, environmentFiles: [{ type: s3, value: \"arn:aws:s3:::shop/there it is.env\" }, { type: s3, value: \"arn:aws:s3:::shop/not.env\" }] }\nservice:\n  desiredCount: 2\n  deploymentConfiguration:\n    alarms: { enable: true, rollback: true, alarmNames: [there, gone] }\n    lifecycleHooks: [{ hookTargetArn: \"arn:aws:lambda:eu-central-1:123456789012:function:gone\", roleArn: nobody, lifecycleStages: [POST_SCALE_UP] }]\n";
    let lattice = format!(
        "  vpcLatticeConfigurations:\n    - {{ roleArn: nobody, portName: http, targetGroupArn: \"{group}\" }}\n    - {{ roleArn: nobody, portName: other, targetGroupArn: \"{group}x\" }}\n"
    );
    let web = &format!("{web}{lattice}");
    let files = directory(&[("lockstep.yaml", &config), ("services/web/service.yaml", web)]);
    let (exit, stdout, stderr) = outcome(lockstep(["verify", "-v"]).current_dir(files.path()).envs(moto.environment()));
    assert_eq!(exit, 3, "{stdout}{stderr}");
    for line in [
        "OK    taskDefinition.containerDefinitions[web].environmentFiles[0].value: there it is.env is there",
        "FAIL  taskDefinition.containerDefinitions[web].environmentFiles[1].value: there is no not.env in the bucket shop",
        "FAIL  service.deploymentConfiguration.lifecycleHooks[0].hookTargetArn: there is no such function",
        "FAIL  service.deploymentConfiguration.lifecycleHooks[0].roleArn: there is no role nobody",
        "FAIL  service.deploymentConfiguration.alarms.alarmNames: there is no alarm gone",
        &format!("OK    service.vpcLatticeConfigurations[http,{group}].targetGroupArn: the target group exists"),
        &format!(
            "FAIL  service.vpcLatticeConfigurations[other,{group}x].targetGroupArn: there is no such target group"
        ),
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}{stderr}");
    }
}

#[test]
fn what_may_not_be_asked_is_skipped_with_the_permission_that_is_missing() {
    let moto = Moto::start();
    moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
    // A user who may do nothing but say who he is.
    moto.query("iam", "Action=CreateUser&Version=2010-05-08&UserName=nobody", "UserName");
    let secret = moto.query("iam", "Action=CreateAccessKey&Version=2010-05-08&UserName=nobody", "SecretAccessKey");
    let key = moto.query("iam", "Action=ListAccessKeys&Version=2010-05-08&UserName=nobody", "AccessKeyId");
    moto.require_permissions();
    let config = format!(
        "version: 1\nenvironments:\n  prod:\n    account: \"{ACCOUNT}\"\n    region: {REGION}\n    cluster: prod\n    vars: {{ subnets: [subnet-1], group: sg-1, target: \"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/1\" }}\n"
    );
    let plain = VERIFIED.replace("\"${{ secret:shop/stripe }}\"", "/shop/stripe");
    let files = directory(&[("lockstep.yaml", &config), ("services/web/service.yaml", &plain)]);
    let (exit, stdout, stderr) = outcome(
        lockstep(["verify"])
            .current_dir(files.path())
            .envs(moto.environment())
            .env("AWS_ACCESS_KEY_ID", &key[0])
            .env("AWS_SECRET_ACCESS_KEY", &secret[0]),
    );
    for permission in [
        "iam:GetRole",
        "ec2:DescribeSubnets",
        "ec2:DescribeSecurityGroups",
        "elasticloadbalancing:DescribeTargetGroups",
        "ssm:GetParameters",
        "logs:DescribeLogGroups",
        "ecr:BatchGetImage",
        "ecs:DescribeClusters",
    ] {
        assert!(
            stdout.contains(&format!("not checked: Lockstep has no permission for {permission}")),
            "{permission}: {stdout}{stderr}"
        );
    }
    assert_eq!(exit, 0, "a missing permission is no failure: {stdout}{stderr}");
}
