"""Judges answers of the sandbox by botocore's models of the services.

stdin: journals of the sandbox, one entry a line as a JSON object, and after the last one of each a line `null`. stdout: for
each journal one line, `{"findings": [...], "judged": N}`. It ends with its stdin: starting it costs more than most journals. What ParamValidator does not look at (enums, the form of timestamps, upper bounds, patterns, errors) is walked here.

An answer that was rendered in the query protocol may stand beside the entry's value, as `xml`: botocore's own parser must
read the same value from it.
"""

import base64
import datetime
import json
import re
import sys

import botocore
import botocore.parsers
import botocore.session
from botocore.validate import ParamValidator

# Enum values that the sandbox sends on purpose, with the reason.
ENUMS = {
    ("ServiceDeploymentLifecycleStage", "PRE_PRODUCTION_TRAFFIC_SHIFT"): "seen on the real service, not in the model",
}
# Findings of ParamValidator that are wrong of the real service.
WAIVED = {
    # The shape is the request's; GetParameters answers [] where all names are known (the examples in the CLI's reference).
    "Invalid length for parameter InvalidParameters, value: 0, valid min length: 1",
}
# What a test injects to see how an unknown value is taken.
FUTURE = "FUTURE_"
# Statuses of errors that the model says nothing of: an internal error is the service's.
STATUSES = {"InternalServiceException": 500}
# An operation that the sandbox lacks is refused loudly (ecs-control-plane.md, section 1).
LACKING = ("UnsupportedFeatureException", "The sandbox does not ")

# Errors that every operation of a JSON protocol may answer, with their status.
COMMON = {
    "AccessDeniedException": 400,
    "ExpiredTokenException": 400,
    "MissingAuthenticationTokenException": 403,
    "SerializationException": 400,
    "ServerException": 500,
    "ThrottlingException": 400,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 400,
    "ValidationException": 400,
}
# The same for services that speak the Query protocol, or did.
COMMON_QUERY = {
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "InternalFailure": 500,
    "InvalidAction": 400,
    "InvalidClientTokenId": 403,
    "InvalidParameterCombination": 400,
    "InvalidParameterValue": 400,
    "MissingAuthenticationToken": 403,
    "MissingParameter": 400,
    "Throttling": 400,
    "ValidationError": 400,
}
# The names of services that botocore calls otherwise.
SERVICES = {"elasticloadbalancing": "elbv2"}

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def matches(pattern, value):
    """Whether a text has a pattern of Java's. Those that Python cannot read are for free text, and pass."""
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def walk(value, shape, path, query):
    """Findings that ParamValidator does not report. Wrong types are its business."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for name, member in value.items():
            if name in shape.members:
                yield from walk(member, shape.members[name], f"{path}.{name}", query)
    elif kind == "map" and isinstance(value, dict):
        for name, member in value.items():
            yield from walk(name, shape.key, f"{path}[key {name}]", query)
            yield from walk(member, shape.value, f"{path}.{name}", query)
    elif kind == "list" and isinstance(value, list):
        for at, item in enumerate(value):
            yield from walk(item, shape.member, f"{path}[{at}]", query)
    elif kind == "timestamp":
        if query:
            if not isinstance(value, str) or not ISO.fullmatch(value):
                yield f"{path}: {value!r} is not an ISO 8601 time"
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"{path}: {value!r} is not a number of epoch seconds"
        elif round(value, 3) != value:
            yield f"{path}: {value!r} is finer than a millisecond"
    elif kind == "string" and isinstance(value, str):
        deliberate = value.startswith(FUTURE) or (shape.name, value) in ENUMS
        if shape.enum and value not in shape.enum and not deliberate:
            yield f"{path}: {value!r} is not in the enum {shape.name}"
        pattern = shape.metadata.get("pattern")
        if pattern and not matches(pattern, value):
            yield f"{path}: {value!r} does not match {pattern}"
    elif kind == "blob" and isinstance(value, str):
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            yield f"{path}: {value!r} is not base64"
    elif kind in ("integer", "long", "float", "double") and isinstance(value, bool):
        yield f"{path}: {value!r} is not a number"
    size = len(value) if isinstance(value, (str, list)) else value
    if "max" in shape.metadata and isinstance(size, (int, float)) and size > shape.metadata["max"]:
        yield f"{path}: {size} is more than {shape.metadata['max']}"


def validate(value, shape, query):
    """All findings on a value."""
    report = ParamValidator().validate(value, shape).generate_report()
    yield from (line for line in report.split("\n") if line and line not in WAIVED)
    yield from walk(value, shape, "", query)


def code_of(shape):
    return shape.metadata.get("error", {}).get("code", shape.name)


def status_of(shape):
    status = shape.metadata.get("error", {}).get("httpStatusCode")
    # The model marks faults of the service; botocore keeps the mark to itself.
    return status or (500 if shape._shape_model.get("fault") else STATUSES.get(shape.name, 400))


def judge_error(operation, entry, common):
    """Findings on an error: its code, its status, its members."""
    answer, status = entry["answer"], entry["status"]
    code = answer.get("__type")
    if code == LACKING[0] and answer.get("message", "").startswith(LACKING[1]):
        return
    declared = {code_of(shape): shape for shape in operation.error_shapes} if operation else {}
    members = {name: member for name, member in answer.items() if name != "__type"}
    if code in declared:
        expected = status_of(declared[code])
        # Many models leave out the message, which every error has.
        if all(name.lower() != "message" for name in declared[code].members):
            members.pop("message", None)
        yield from validate(members, declared[code], False)
    elif code in common:
        expected = common[code]
        if {name.lower() for name in members} != {"message"}:
            yield f"the members of a common error are {sorted(members)}"
    else:
        yield f"the error {code} is neither the operation's nor a common one"
        return
    if status != expected:
        yield f"the error {code} has the status {status}, not {expected}"


def parsed_form(value, shape):
    """A JSON value as botocore's parser of XML gives it."""
    kind = shape.type_name
    if kind == "structure":
        return {name: parsed_form(member, shape.members[name]) for name, member in value.items()}
    if kind == "map":
        return {name: parsed_form(member, shape.value) for name, member in value.items()}
    if kind == "list":
        return [parsed_form(item, shape.member) for item in value]
    if kind == "timestamp" and isinstance(value, (int, float)):
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return epoch + datetime.timedelta(milliseconds=round(value * 1000))
    if kind == "timestamp":
        return datetime.datetime.fromisoformat(value)
    return value


def judge_xml(operation, entry):
    """Findings on an answer as it was rendered: whether it reads as the value that it was rendered from."""
    shape = operation.output_shape if operation else None
    response = {"status_code": entry["status"], "headers": {}, "body": entry["xml"].encode()}
    try:
        read = botocore.parsers.create_parser("query").parse(response, shape)
    except botocore.parsers.ResponseParserError as error:
        yield f"the XML cannot be read: {error}"
        return
    if not read.pop("ResponseMetadata", {}).get("RequestId"):
        yield "the XML has no id of the request"
    if entry["status"] != 200:
        error, answer = read["Error"], entry["answer"]
        expected = {"Code": answer["__type"], "Message": answer["message"]}
        expected["Type"] = "Sender" if entry["status"] < 500 else "Receiver"
        if error != expected:
            yield f"the XML reads as {error!r}, not {expected!r}"
    elif shape is not None and read != parsed_form(entry["answer"], shape):
        yield f"the XML reads as {read!r}, not {entry['answer']!r}"


def judge(model, entry):
    """Findings on one answer."""
    protocols = model.metadata["protocols"]
    # Where a service speaks JSON too, its moments are kept as JSON has them.
    timed = protocols == ["query"]
    common = COMMON_QUERY if timed else COMMON
    if "awsQueryCompatible" in model.metadata:
        common = COMMON | COMMON_QUERY
    known = entry["operation"] in model.operation_names
    operation = model.operation_model(entry["operation"]) if known else None
    if "xml" in entry:
        yield from judge_xml(operation, entry)
    if entry["status"] != 200:
        yield from judge_error(operation, entry, common)
    elif operation is None:
        yield "the model does not have the operation"
    elif operation.output_shape is None:
        if entry["answer"] not in ({}, None):
            yield f"the operation answers nothing, not {entry['answer']!r}"
    else:
        yield from validate(entry["answer"], operation.output_shape, timed)


def told(findings, judged):
    print(json.dumps({"findings": findings, "judged": judged}), flush=True)


def main(version):
    if botocore.__version__ != version:
        told([f"botocore is {botocore.__version__}, not {version}"], 0)
        return
    session = botocore.session.get_session()
    models, judged, findings = {}, 0, []
    for line in sys.stdin:
        entry = json.loads(line)
        if entry is None:
            told(findings, judged)
            judged, findings = 0, []
            continue
        service = entry["service"]
        if service not in models:
            models[service] = session.get_service_model(SERVICES.get(service, service))
        judged += 1
        for finding in judge(models[service], entry):
            findings.append(f"{entry['sequence']} {service}:{entry['operation']} {finding}")


if __name__ == "__main__":
    main(sys.argv[1])
