//! Target groups, listeners, rules and the health of targets.

use lockstep_sandbox::{Effect, Fault, Options, TargetState};
use serde_json::json;

use crate::rig::{ACCOUNT, REGION, Rig, elements};

async fn read(rig: &Rig, operation: &str, members: &[(&str, &str)]) -> (u16, String) {
    let form = [&[("Action", operation), ("Version", "2015-12-01")], members].concat();
    rig.form("elasticloadbalancing", &form).await
}

async fn refused(rig: &Rig, operation: &str, members: &[(&str, &str)]) -> String {
    let (status, xml) = read(rig, operation, members).await;
    assert_eq!(status, 400, "{xml}");
    elements(&xml, "Code")[0].to_owned()
}

#[tokio::test]
async fn a_target_group_is_found_by_arn_and_name() {
    let rig = Rig::start().await;
    let arn = rig.control.create_target_group(ACCOUNT, REGION, "blue");
    assert_eq!(arn, rig.control.create_target_group(ACCOUNT, REGION, "blue"));
    assert!(arn.starts_with(&format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/blue/")));
    let known = rig.control.create_target_group(ACCOUNT, REGION, "green/50dc6c495c0c9188");
    assert_eq!(known, format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/green/50dc6c495c0c9188"));
    let (status, xml) = read(&rig, "DescribeTargetGroups", &[("TargetGroupArns.member.1", &arn)]).await;
    let group = format!(
        "<TargetGroups><member><TargetGroupArn>{arn}</TargetGroupArn><TargetGroupName>blue</TargetGroupName>\
         <Protocol>HTTP</Protocol><Port>80</Port><VpcId>vpc-0123456789abcdef0</VpcId>\
         <HealthCheckProtocol>HTTP</HealthCheckProtocol><HealthCheckPort>traffic-port</HealthCheckPort>\
         <HealthCheckEnabled>true</HealthCheckEnabled><HealthCheckIntervalSeconds>30</HealthCheckIntervalSeconds>\
         <HealthCheckTimeoutSeconds>5</HealthCheckTimeoutSeconds><HealthyThresholdCount>5</HealthyThresholdCount>\
         <UnhealthyThresholdCount>2</UnhealthyThresholdCount><HealthCheckPath>/</HealthCheckPath>\
         <Matcher><HttpCode>200</HttpCode></Matcher><LoadBalancerArns></LoadBalancerArns><TargetType>ip</TargetType>\
         <IpAddressType>ipv4</IpAddressType><ProtocolVersion>HTTP1</ProtocolVersion></member></TargetGroups>"
    );
    assert_eq!((status, elements(&xml, "DescribeTargetGroupsResult")), (200, vec![group.as_str()]));
    assert!(xml.contains("xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\""));
    let (_, xml) = read(&rig, "DescribeTargetGroups", &[("Names.member.1", "blue")]).await;
    assert_eq!(elements(&xml, "TargetGroupArn"), [arn.as_str()]);
    let both = [("Names.member.1", "blue"), ("TargetGroupArns.member.1", arn.as_str())];
    assert_eq!(refused(&rig, "DescribeTargetGroups", &both).await, "ValidationError");
    assert_eq!(refused(&rig, "DescribeTargetGroups", &[("Names.member.1", "none")]).await, "TargetGroupNotFound");
    assert_eq!(refused(&rig, "DescribeTargetGroups", &[("LoadBalancerArn", "x")]).await, "LoadBalancerNotFound");
    assert_eq!(refused(&rig, "DescribeTargetGroups", &[("PageSize", "401")]).await, "ValidationError");
    assert_eq!(refused(&rig, "DescribeTargetGroups", &[("Marker", "x")]).await, "ValidationError");
    assert_eq!(refused(&rig, "DescribeLoadBalancers", &[]).await, "InvalidAction");
    rig.control.delete_target_group(ACCOUNT, REGION, &arn);
    let gone = [("TargetGroupArns.member.1", arn.as_str())];
    assert_eq!(refused(&rig, "DescribeTargetGroups", &gone).await, "TargetGroupNotFound");
    assert_eq!(refused(&rig, "DescribeTargetHealth", &[("TargetGroupArn", &arn)]).await, "TargetGroupNotFound");
    rig.control.add_fault(Fault::new("elasticloadbalancing:*", Effect::Throttle));
    assert_eq!(refused(&rig, "DescribeTargetGroups", &[]).await, "Throttling");
}

#[tokio::test]
async fn target_groups_are_paged() {
    let rig = Rig::with(Options { short_pages: true, ..Options::default() }).await;
    for name in ["a", "b", "c"] {
        rig.control.create_target_group(ACCOUNT, REGION, name);
    }
    let (_, xml) = read(&rig, "DescribeTargetGroups", &[("PageSize", "3")]).await;
    assert_eq!(elements(&xml, "TargetGroupName"), ["a", "b"]);
    let marker = elements(&xml, "NextMarker")[0];
    let (_, xml) = read(&rig, "DescribeTargetGroups", &[("PageSize", "3"), ("Marker", marker)]).await;
    assert_eq!((elements(&xml, "TargetGroupName"), elements(&xml, "NextMarker")), (vec!["c"], vec![]));
}

#[tokio::test]
async fn rules_forward_by_weight() {
    let rig = Rig::start().await;
    let control = &rig.control;
    let blue = control.create_target_group(ACCOUNT, REGION, "blue");
    let green = control.create_target_group(ACCOUNT, REGION, "green");
    let listener = control.create_listener(ACCOUNT, REGION, "web", 443, &[(&blue, 1)]);
    let rule = control.create_rule(ACCOUNT, REGION, &listener, &[(&blue, 100), (&green, 0)]).unwrap();
    let second = control.create_rule(ACCOUNT, REGION, &listener, &[(&green, 1)]).unwrap();
    let (_, xml) = read(&rig, "DescribeListeners", &[("ListenerArns.member.1", &listener)]).await;
    let balancer = elements(&xml, "LoadBalancerArn")[0].to_owned();
    let action = format!(
        "<member><Type>forward</Type><TargetGroupArn>{blue}</TargetGroupArn><ForwardConfig><TargetGroups><member>\
         <TargetGroupArn>{blue}</TargetGroupArn><Weight>1</Weight></member></TargetGroups>\
         <TargetGroupStickinessConfig><Enabled>false</Enabled></TargetGroupStickinessConfig></ForwardConfig></member>"
    );
    let expected = format!(
        "<Listeners><member><ListenerArn>{listener}</ListenerArn><LoadBalancerArn>{balancer}</LoadBalancerArn>\
         <Port>443</Port><Protocol>HTTPS</Protocol><DefaultActions>{action}</DefaultActions></member></Listeners>"
    );
    assert_eq!(elements(&xml, "DescribeListenersResult"), [expected.as_str()]);
    assert!(balancer.contains(":loadbalancer/app/web/"));
    assert!(listener.contains(":listener/app/web/") && rule.contains(":listener-rule/app/web/"));
    let (_, xml) = read(&rig, "DescribeListeners", &[("LoadBalancerArn", &balancer)]).await;
    assert_eq!(elements(&xml, "ListenerArn"), [listener.as_str()]);
    let (_, xml) = read(&rig, "DescribeTargetGroups", &[("LoadBalancerArn", &balancer)]).await;
    assert_eq!(elements(&xml, "TargetGroupName"), ["blue", "green"]);
    // All rules of a listener, in the order of evaluation.
    let (_, xml) = read(&rig, "DescribeRules", &[("ListenerArn", &listener)]).await;
    assert_eq!(elements(&xml, "Priority"), ["1", "2", "default"]);
    assert_eq!(elements(&xml, "IsDefault"), ["false", "false", "true"]);
    assert_eq!(elements(&xml, "RuleArn")[..2], [rule.as_str(), second.as_str()]);
    let (_, xml) = read(&rig, "DescribeRules", &[("ListenerArn", &listener), ("PageSize", "2")]).await;
    assert_eq!(elements(&xml, "Priority"), ["1", "2"]);
    let marker = elements(&xml, "NextMarker")[0];
    let (_, xml) =
        read(&rig, "DescribeRules", &[("ListenerArn", &listener), ("PageSize", "2"), ("Marker", marker)]).await;
    assert_eq!(elements(&xml, "Priority"), ["default"]);
    // A shift of the rule, then of the listener's default action.
    assert!(control.set_rule_weights(ACCOUNT, REGION, &rule, &[(&blue, 0), (&green, 100)]));
    let (_, xml) = read(&rig, "DescribeRules", &[("RuleArns.member.1", &rule)]).await;
    assert_eq!(elements(&xml, "Weight"), ["0", "100"]);
    assert_eq!(control.rule_weights(ACCOUNT, REGION, &rule), Some(vec![(blue.clone(), 0), (green.clone(), 100)]));
    let shift = json!({ "rule": listener, "groups": [{ "arn": green, "weight": 1 }] });
    assert_eq!(rig.by_hand("POST", "/rules/weights", shift).await.0, 200);
    let (_, xml) = read(&rig, "DescribeListeners", &[("ListenerArns.member.1", &listener)]).await;
    assert_eq!(elements(&xml, "TargetGroupArn")[0], green);
    assert!(!control.set_rule_weights(ACCOUNT, REGION, "none", &[]));
    assert_eq!(control.create_rule(ACCOUNT, REGION, "none", &[]), None);
    assert_eq!(refused(&rig, "DescribeRules", &[("RuleArns.member.1", "x")]).await, "RuleNotFound");
    assert_eq!(refused(&rig, "DescribeRules", &[("ListenerArn", "x")]).await, "ListenerNotFound");
    assert_eq!(refused(&rig, "DescribeRules", &[]).await, "ValidationError");
    assert_eq!(refused(&rig, "DescribeListeners", &[("ListenerArns.member.1", "x")]).await, "ListenerNotFound");
    assert_eq!(refused(&rig, "DescribeListeners", &[("LoadBalancerArn", "x")]).await, "LoadBalancerNotFound");
    assert_eq!(refused(&rig, "DescribeListeners", &[]).await, "ValidationError");
}

#[tokio::test]
async fn targets_have_a_health() {
    let rig = Rig::start().await;
    let group = rig.control.create_target_group(ACCOUNT, REGION, "blue");
    for (ip, state) in [
        ("10.0.0.1", TargetState::Healthy),
        ("10.0.0.2", TargetState::Initial),
        ("10.0.0.3", TargetState::Unhealthy),
        ("10.0.0.4", TargetState::Draining),
        ("10.0.0.5", TargetState::Healthy),
    ] {
        assert!(rig.control.set_target(ACCOUNT, REGION, &group, ip, 80, state));
    }
    rig.control.remove_target(ACCOUNT, REGION, &group, "10.0.0.5", 80);
    assert!(!rig.control.set_target(ACCOUNT, REGION, "none", "10.0.0.1", 80, TargetState::Healthy));
    let (_, xml) = read(&rig, "DescribeTargetHealth", &[("TargetGroupArn", &group)]).await;
    assert_eq!(elements(&xml, "Id"), ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    let first = "<member><Target><Id>10.0.0.1</Id><Port>80</Port></Target><HealthCheckPort>80</HealthCheckPort><TargetHealth><State>healthy</State></TargetHealth></member>";
    assert!(elements(&xml, "TargetHealthDescriptions")[0].starts_with(first), "{xml}");
    assert_eq!(elements(&xml, "State"), ["healthy", "initial", "unhealthy", "draining"]);
    assert_eq!(
        elements(&xml, "Reason"),
        ["Elb.RegistrationInProgress", "Target.FailedHealthChecks", "Target.DeregistrationInProgress"]
    );
    let chosen = [
        ("TargetGroupArn", group.as_str()),
        ("Targets.member.1.Id", "10.0.0.9"),
        ("Targets.member.1.Port", "80"),
        ("Targets.member.2.Id", "10.0.0.3"),
    ];
    let (_, xml) = read(&rig, "DescribeTargetHealth", &chosen).await;
    assert_eq!(elements(&xml, "State"), ["unused", "unhealthy"]);
    assert_eq!(elements(&xml, "Reason")[0], "Target.NotRegistered");
    assert_eq!(refused(&rig, "DescribeTargetHealth", &[]).await, "ValidationError");
}

#[tokio::test]
async fn load_balancers_are_made_over_http_too() {
    let rig = Rig::start().await;
    let arn = |(status, answer): (u16, serde_json::Value)| {
        assert_eq!(status, 200, "{answer}");
        answer["arn"].as_str().unwrap().to_owned()
    };
    let group = arn(rig.by_hand("POST", "/target-groups", json!({ "name": "blue" })).await);
    let groups = json!([{ "arn": group, "weight": 1 }]);
    let listener = arn(rig
        .by_hand("POST", "/listeners", json!({ "loadBalancer": "net/tcp", "port": 9000, "groups": groups }))
        .await);
    arn(rig.by_hand("POST", "/rules", json!({ "listener": listener, "groups": groups })).await);
    assert_eq!(rig.by_hand("POST", "/rules", json!({ "listener": "x", "groups": [] })).await.0, 404);
    assert_eq!(rig.by_hand("POST", "/rules/weights", json!({ "rule": "x", "groups": [] })).await.0, 404);
    let target = json!({ "group": group, "ip": "10.0.0.1", "port": 80, "state": "healthy" });
    assert_eq!(rig.by_hand("POST", "/targets", target).await.0, 200);
    let lost = json!({ "group": "x", "ip": "10.0.0.1", "port": 80, "state": "healthy" });
    assert_eq!(rig.by_hand("POST", "/targets", lost).await.0, 404);
    let (_, xml) = read(&rig, "DescribeListeners", &[("ListenerArns.member.1", &listener)]).await;
    assert_eq!(elements(&xml, "Protocol"), ["TCP"]);
    let (_, xml) = read(&rig, "DescribeTargetHealth", &[("TargetGroupArn", &group)]).await;
    assert_eq!(elements(&xml, "State"), ["healthy"]);
    let gone = json!({ "group": group, "ip": "10.0.0.1", "port": 80 });
    assert_eq!(rig.by_hand("DELETE", "/targets", gone).await.0, 200);
    let (_, xml) = read(&rig, "DescribeTargetHealth", &[("TargetGroupArn", &group)]).await;
    assert!(elements(&xml, "State").is_empty());
    assert_eq!(rig.by_hand("DELETE", "/target-groups", json!({ "arn": group })).await.0, 200);
    let (_, xml) = read(&rig, "DescribeTargetGroups", &[]).await;
    assert!(elements(&xml, "TargetGroupArn").is_empty());
}

#[tokio::test]
async fn a_blue_green_deployment_moves_the_weights_of_its_rules() {
    let rig = Rig::start().await;
    let control = &rig.control;
    let blue = control.create_target_group(ACCOUNT, REGION, "blue");
    let green = control.create_target_group(ACCOUNT, REGION, "green");
    let groups = [(blue.as_str(), 1), (green.as_str(), 0)];
    let listener = control.create_listener(ACCOUNT, REGION, "web", 443, &groups);
    let rule = control.create_rule(ACCOUNT, REGION, &listener, &groups).unwrap();
    let balancers = json!([{
        "targetGroupArn": blue, "containerName": "web", "containerPort": 80,
        "advancedConfiguration": {
            "alternateTargetGroupArn": green, "productionListenerRule": rule, "roleArn": "arn:aws:iam::111111111111:role/ecs",
        },
    }]);
    let first = rig.register("web", "nginx:1").await;
    let configuration = json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1 });
    rig.create(&first, json!({ "loadBalancers": balancers, "deploymentConfiguration": configuration })).await;
    rig.advance(3600.0);
    let serving = || {
        let weights = control.rule_weights(ACCOUNT, REGION, &rule).unwrap();
        weights.into_iter().filter(|(_, weight)| *weight > 0).map(|(group, _)| group).collect::<Vec<_>>()
    };
    assert_eq!((rig.rollout().await["status"].as_str(), serving()), (Some("SUCCESSFUL"), vec![blue.clone()]));
    let second = rig.register("web", "nginx:2").await;
    rig.update(json!({ "taskDefinition": second })).await;
    rig.advance(3600.0);
    assert_eq!((rig.rollout().await["status"].as_str(), serving()), (Some("SUCCESSFUL"), vec![green.clone()]));
    // A rule that someone else points elsewhere is found out.
    let stranger = control.create_target_group(ACCOUNT, REGION, "stranger");
    assert!(control.set_rule_weights(ACCOUNT, REGION, &rule, &[(&stranger, 1)]));
    rig.update(json!({ "taskDefinition": first })).await;
    rig.advance(3600.0);
    let reason = rig.rollout().await["statusReason"].as_str().unwrap().to_owned();
    assert!(reason.contains(&format!("unexpected target group {stranger}")), "{reason}");
}
