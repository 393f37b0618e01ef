//! A FAIL is certain: what AWS tends to allow one day withholds nothing, and what rests on AWS's words names them.

use super::{desired, ec2, fargate, found, set};
use lockstep_core::verify::{CheckOutcome, failure, offline};
use serde_json::{Value, json};

/// Changes to the definition for Fargate, and what is found then.
fn after(changes: &[(bool, &str, Value)]) -> Vec<(CheckOutcome, &'static str, String)> {
    let (mut task_definition, mut service) = fargate();
    for (in_definition, pointer, new) in changes {
        set(if *in_definition { &mut task_definition } else { &mut service }, pointer, new.clone());
    }
    found(&task_definition, &service)
}

// C5: Fargate takes tmpfs since January 2026.
#[test]
fn tmpfs_is_no_finding_on_fargate() {
    let tmpfs = json!({"tmpfs": [{"containerPath": "/t", "size": 64}], "initProcessEnabled": true});
    assert_eq!(after(&[(true, "/containerDefinitions/0/linuxParameters", tmpfs)]), vec![]);
}

// C5: what only a list of our own says is a warning, so nothing is withheld.
#[test]
fn what_the_reference_does_not_refuse_withholds_nothing() {
    let (mut task_definition, service) = fargate();
    let containers: Vec<Value> = (0..11)
        .map(|at| {
            json!({"name": format!("c{at}"), "image": "a:1", "dnsServers": ["10.0.0.2"], "disableNetworking": true,
            "resourceRequirements": [{"type": "GPU", "value": "1"}]})
        })
        .collect();
    task_definition["containerDefinitions"] = json!(containers);
    task_definition["inferenceAccelerators"] = json!([{"deviceName": "d", "deviceType": "eia1.medium"}]);
    task_definition["volumes"] = json!([]);
    let mut desired = desired(task_definition, service);
    desired.ownership = lockstep_manifests::layer::Ownership::TaskDefinition;
    let checks = offline(&desired);
    assert_eq!(failure(&checks), None);
    assert_eq!(checks.iter().filter(|check| check.outcome == CheckOutcome::Warn).count(), 35);
}

// I2: VPC Lattice shifts the traffic of BLUE_GREEN, with and without advancedConfiguration.
#[test]
fn blue_green_goes_with_vpc_lattice() {
    let strategy = |strategy: &str| json!({"strategy": strategy, "bakeTimeInMinutes": 5});
    let lattice = json!([{"roleArn": "lattice", "targetGroupArn": "arn:tg", "portName": "http"}]);
    let of = |name: &str| {
        after(&[
            (false, "/deploymentConfiguration", strategy(name)),
            (false, "/vpcLatticeConfigurations", lattice.clone()),
            (false, "/loadBalancers", Value::Null),
            (false, "/serviceConnectConfiguration", Value::Null),
        ])
    };
    let place = "service.deploymentConfiguration.strategy".to_owned();
    assert_eq!(of("BLUE_GREEN"), vec![]);
    assert_eq!(of("LINEAR"), vec![(CheckOutcome::Warn, "LS0511", place)]);
    // A load balancer beside it needs its own.
    let both = after(&[
        (false, "/deploymentConfiguration", strategy("BLUE_GREEN")),
        (false, "/vpcLatticeConfigurations", lattice.clone()),
    ]);
    let advanced = "service.loadBalancers[web,80,arn:tg].advancedConfiguration".to_owned();
    assert_eq!(both, vec![(CheckOutcome::Fail, "LS0511", advanced)]);
}

// F: tags of AWS's limit with ours.
#[test]
fn tags_are_counted_with_ours() {
    let (task_definition, service) = fargate();
    let mut desired = desired(task_definition, service);
    let tags = |count: usize| (0..count).map(|at| (format!("t{at}"), json!("x"))).collect();
    (desired.task_definition_tags, desired.service_tags) = (tags(45), tags(47));
    assert_eq!(failure(&offline(&desired)), None);
    (desired.task_definition_tags, desired.service_tags) = (tags(46), tags(48));
    let said: Vec<String> = offline(&desired)
        .into_iter()
        .filter(|check| check.outcome == CheckOutcome::Fail)
        .map(|check| format!("{} {}", check.path, check.text))
        .collect();
    assert_eq!(
        said,
        [
            "taskDefinition.tags 46 tags and the 5 of Lockstep are more than the 50 that AWS takes",
            "service.tags 48 tags and the 3 of Lockstep are more than the 50 that AWS takes",
        ]
    );
}

// F: both sides of the contradiction are named.
#[test]
fn a_variable_that_is_set_twice_names_both_places() {
    let (mut task_definition, service) = fargate();
    set(&mut task_definition, "/containerDefinitions/0/environment", json!([{"name": "KEY", "value": "x"}]));
    let checks = offline(&desired(task_definition, service));
    let check = checks.iter().find(|check| check.outcome == CheckOutcome::Fail).unwrap();
    assert_eq!(check.path.to_string(), "taskDefinition.containerDefinitions[web].secrets[KEY]");
    let also: Vec<String> = check.also.iter().map(ToString::to_string).collect();
    assert_eq!(also, ["taskDefinition.containerDefinitions[web].environment[KEY]"]);
}

#[test]
fn sizes_with_units_and_free_texts_are_fine_on_instances() {
    let (mut task_definition, service) = ec2();
    for (pointer, value) in [
        ("/cpu", json!("1 vCPU")),
        ("/memory", json!("2GB")),
        ("/containerDefinitions/0/command", json!(["sh", "-c", "echo ${HOME} <in >out"])),
        ("/containerDefinitions/0/environment", json!([{"name": "X", "value": "${A} {{b}}"}])),
        ("/containerDefinitions/0/stopTimeout", json!(600)),
    ] {
        set(&mut task_definition, pointer, value);
    }
    assert_eq!(found(&task_definition, &service), vec![]);
}
