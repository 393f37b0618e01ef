#!/usr/bin/env python3
"""Writes src/wire/shapes.json: the input shapes of the operations that the sandbox answers.

Usage: shapes.py BOTOCORE [--check], where BOTOCORE is an unpacked or installed `botocore` package. Nothing of the
models' documentation is read. An operation added to the sandbox is added to OPERATIONS.
"""

import gzip
import json
import sys
from pathlib import Path

OUTPUT = Path(__file__).resolve().parent.parent / "src" / "wire" / "shapes.json"

# By the name that the sandbox gives a service: the directory of its model, whether lengths and ranges are checked
# too (the older services check those few that matter by hand, with the words of the service), and the operations.
OPERATIONS = {
    "ecs": ("ecs", False, """RegisterTaskDefinition DescribeTaskDefinition DeregisterTaskDefinition ListTaskDefinitions
        ListTaskDefinitionFamilies CreateService UpdateService DeleteService DescribeServices ListServices RunTask
        StopTask ListTasks DescribeTasks ListServiceDeployments DescribeServiceDeployments DescribeServiceRevisions
        StopServiceDeployment ContinueServiceDeployment DescribeClusters ListClusters CreateCluster TagResource UntagResource
        ListTagsForResource DescribeCapacityProviders"""),
    "ssm": ("ssm", False, "GetParameters GetParameter PutParameter DescribeParameters DeleteParameter"),
    "secretsmanager": ("secretsmanager", False, "DescribeSecret GetSecretValue CreateSecret PutSecretValue ListSecrets"),
    "ecr": ("ecr", False, """CreateRepository DescribeRepositories PutImage DescribeImages BatchGetImage ListImages
        BatchDeleteImage GetAuthorizationToken GetDownloadUrlForLayer"""),
    "application-autoscaling": ("application-autoscaling", False, """RegisterScalableTarget DescribeScalableTargets
        DeregisterScalableTarget"""),
    "cloudwatch": ("cloudwatch", True, "DescribeAlarms"),
    "logs": ("logs", True, """CreateLogGroup DescribeLogGroups CreateLogStream DescribeLogStreams PutLogEvents
        GetLogEvents FilterLogEvents"""),
    "elasticloadbalancing": ("elbv2", True, """DescribeTargetGroups DescribeListeners DescribeRules
        DescribeTargetHealth"""),
    "sqs": ("sqs", True, """CreateQueue GetQueueUrl GetQueueAttributes SendMessage ReceiveMessage DeleteMessage
        DeleteMessageBatch ChangeMessageVisibility PurgeQueue"""),
}

# Members that take more than their shape says: by shape and member, the shape that fits. The old list of attributes
# of a receive is typed as attributes of queues, and takes those of messages too.
CORRECTIONS = {("ReceiveMessageRequest", "AttributeNames"): "MessageAttributeNameList"}


def model(botocore, directory):
    path = max((botocore / "data" / directory).glob("*/service-2.json*"))
    found = json.loads(gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes())
    for (shape, member), other in CORRECTIONS.items():
        if shape in found["shapes"]:
            found["shapes"][shape]["members"][member] = {"shape": other}
    return found


def reached(shapes, name, into):
    if name in into:
        return
    into.add(name)
    shape = shapes[name]
    inner = [member["shape"] for member in shape.get("members", {}).values()]
    inner += [shape[part]["shape"] for part in ("member", "value") if part in shape]
    for each in inner:
        reached(shapes, each, into)


def entry(shape, bounds):
    kind = "document" if shape.get("document") else shape["type"]
    out = {"type": kind}
    if kind == "structure":
        out["members"] = {name: member["shape"] for name, member in shape["members"].items()}
    if shape.get("required"):
        out["required"] = shape["required"]
    for part in ("member", "value"):
        if part in shape:
            out["of"] = shape[part]["shape"]
    if "enum" in shape:
        out["enum"] = shape["enum"]
    if bounds:
        out.update({bound: shape[bound] for bound in ("min", "max") if bound in shape})
    return json.dumps(out, separators=(",", ":"))


def generate(botocore):
    services = []
    for service, (directory, bounds, names) in OPERATIONS.items():
        described = model(botocore, directory)
        operations = {name: described["operations"][name]["input"]["shape"] for name in names.split()}
        names = set()
        for shape in operations.values():
            reached(described["shapes"], shape, names)
        shapes = [f'   "{name}": {entry(described["shapes"][name], bounds)}' for name in sorted(names)]
        services.append(
            f' "{service}": {{"operations": {json.dumps(operations)},\n  "shapes": {{\n' + ",\n".join(shapes) + "\n  }}"
        )
    return "{\n" + ",\n".join(services) + "\n}\n"


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    text = generate(Path(arguments[0]))
    if "--check" not in sys.argv:
        OUTPUT.write_text(text)
    elif OUTPUT.read_text() != text:
        sys.exit(f"{OUTPUT} differs from what the models say")


if __name__ == "__main__":
    main()
