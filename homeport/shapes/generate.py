"""Writes the modules beside it from the pinned botocore: `python -m homeport.shapes.generate [--check]`.

One msgspec Struct a structure (snake_case fields, explicit wire names, limits as `Meta`), one `Literal` alias an
enumeration, one `ApiError` subclass an error shape, one table of operations a service. Optional members default to
None and None is never encoded. None of the model's documentation is taken.
"""

import keyword
import re
import sys
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
from botocore import xform_name

#: service -> operations served (None: all of them). Everything else in the model answers with a declared error.
SERVICES: dict[str, tuple[str, ...] | None] = {
    "ecs": None,
    "sts": ("GetCallerIdentity",),
    "logs": (
        "CreateLogGroup", "DeleteLogGroup", "DescribeLogGroups", "PutRetentionPolicy", "DeleteRetentionPolicy",
        "CreateLogStream", "DeleteLogStream", "DescribeLogStreams", "PutLogEvents", "GetLogEvents", "FilterLogEvents",
        "TagResource", "UntagResource", "ListTagsForResource", "TagLogGroup", "UntagLogGroup", "ListTagsLogGroup",
    ),
    "elbv2": (
        "CreateLoadBalancer", "DeleteLoadBalancer", "DescribeLoadBalancers", "ModifyLoadBalancerAttributes",
        "DescribeLoadBalancerAttributes", "SetSecurityGroups", "SetSubnets", "SetIpAddressType", "DescribeCapacityReservation",
        "CreateTargetGroup", "DeleteTargetGroup", "DescribeTargetGroups", "ModifyTargetGroup", "ModifyTargetGroupAttributes",
        "DescribeTargetGroupAttributes", "RegisterTargets", "DeregisterTargets", "DescribeTargetHealth",
        "CreateListener", "DeleteListener", "DescribeListeners", "ModifyListener", "DescribeListenerAttributes",
        "ModifyListenerAttributes", "AddListenerCertificates", "RemoveListenerCertificates", "DescribeListenerCertificates",
        "CreateRule", "DeleteRule", "DescribeRules", "ModifyRule", "SetRulePriorities",
        "AddTags", "RemoveTags", "DescribeTags", "DescribeAccountLimits", "DescribeSSLPolicies",
    ),
    "acm": (
        "ImportCertificate", "DescribeCertificate", "ListCertificates", "GetCertificate", "DeleteCertificate",
        "AddTagsToCertificate", "RemoveTagsFromCertificate", "ListTagsForCertificate",
    ),
    "ec2": (
        "DescribeVpcs", "DescribeSubnets", "DescribeSecurityGroups", "DescribeSecurityGroupRules",
        "DescribeAvailabilityZones", "DescribeAccountAttributes", "DescribeVpcAttribute", "DescribeRouteTables",
        "DescribeNetworkAcls", "DescribeInternetGateways", "DescribeNetworkInterfaces", "DescribeTags", "CreateTags", "DeleteTags",
    ),
}  # fmt: skip

#: String members that agents send and the public model leaves out: structure -> wire names.
UNMODELLED: dict[str, tuple[str, ...]] = {"RegisterContainerInstanceRequest": ("clientToken",)}

READ_ONLY = re.compile(r"^(Describe|List|Get|Filter|Discover)")
SCALARS = {
    "string": "str", "character": "str", "integer": "Int32", "long": "Int64", "boolean": "bool",
    "double": "float", "float": "float", "timestamp": "Timestamp", "blob": "bytes",
}  # fmt: skip
#: The ranges of the model's numbers, which the wire formats would exceed; timestamps end with the year 9999.
LIMITS = {"Int32": {"min": -(2**31), "max": 2**31 - 1}, "Int64": {"min": -(2**63), "max": 2**63 - 1}}
RANGES = [
    *(f"{name} = Annotated[int, Meta(ge={at['min']}, le={at['max']})]" for name, at in LIMITS.items()),
    "Timestamp = Annotated[float, Meta(ge=-62135596800.0, le=253402300799.0)]",
    "",
]


def field_name(wire_name: str) -> str:
    name = xform_name(wire_name)
    return f"{name}_" if keyword.iskeyword(name) else name


def class_name(shape_name: str) -> str:
    return shape_name[0].upper() + shape_name[1:]


def is_sound_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return "\\p{" not in pattern


class Generator:
    """Collects the shapes that a service's operations reach, and prints them."""

    def __init__(self, service: str, operations: tuple[str, ...] | None) -> None:
        loader = botocore.loaders.Loader()
        self.service = service
        self.model = botocore.model.ServiceModel(loader.load_service_model(service, "service-2"), service)
        self.paginators: dict[str, Any] = loader.load_service_model(service, "paginators-1")["pagination"]
        self.served = [name for name in self.model.operation_names if operations is None or name in operations]
        self.structures: dict[str, botocore.model.StructureShape] = {}
        self.enums: dict[str, list[str]] = {}
        self.errors: dict[str, botocore.model.StructureShape] = {}

    def type_of(self, shape: botocore.model.Shape) -> str:
        """The Python annotation of a shape, collecting what it needs on the way."""
        if shape.type_name == "structure":
            self.collect(shape)
            return "Any" if getattr(shape, "is_document_type", False) else class_name(shape.name)
        if shape.type_name == "list":
            return self.limited(f"tuple[{self.type_of(shape.member)}, ...]", shape, length=True)
        if shape.type_name == "map":
            return self.limited(f"dict[str, {self.type_of(shape.value)}]", shape, length=True)
        if shape.type_name == "string" and shape.enum:
            self.enums[class_name(shape.name)] = list(shape.enum)
            return class_name(shape.name)
        return self.limited(SCALARS[shape.type_name], shape, length=shape.type_name in ("string", "blob"))

    def limited(self, annotation: str, shape: botocore.model.Shape, *, length: bool) -> str:
        names = ("min_length", "max_length") if length else ("ge", "le")
        bounds = {key: shape.metadata[key] for key in ("min", "max") if key in shape.metadata}
        if bounds and annotation in LIMITS:  # msgspec takes one bound a side: the model's replaces the type's
            bounds = LIMITS[annotation] | bounds
            annotation = "int"
        limits = [f"{name}={bounds[key]}" for name, key in zip(names, ("min", "max"), strict=True) if key in bounds]
        pattern = shape.metadata.get("pattern")
        if pattern and shape.type_name == "string" and is_sound_pattern(pattern):
            limits.append(f"pattern={'^(?:' + pattern + ')$'!r}")
        return f"Annotated[{annotation}, Meta({', '.join(limits)})]" if limits else annotation

    def collect(self, shape: botocore.model.Shape) -> None:
        if shape.name in self.structures or getattr(shape, "is_document_type", False):
            return
        self.structures[shape.name] = shape
        for member in shape.members.values():
            self.type_of(member)

    def struct_lines(self, name: str, shape: botocore.model.StructureShape | None) -> list[str]:
        members = shape.members if shape is not None else {}
        unmodelled = UNMODELLED.get(name, ())
        renames = {field_name(wire): wire for wire in (*members, *unmodelled) if field_name(wire) != wire}
        options = "frozen=True, kw_only=True, omit_defaults=True"
        head = f"class {name}(Struct, {options}{f', rename={renames!r}' if renames else ''}):"
        required = set(shape.required_members) if shape is not None else set()
        body = [f"    {field_name(w)}: {self.type_of(m)}" for w, m in members.items() if w in required]
        body += [
            f"    {field_name(w)}: {self.type_of(m)} | None = None" for w, m in members.items() if w not in required
        ]
        body += [f"    {field_name(wire)}: str | None = None" for wire in unmodelled]
        return [head, *(body or ["    pass"]), "", ""]

    def error_lines(self, shape: botocore.model.StructureShape) -> list[str]:
        error = shape.metadata.get("error", {})
        status = error.get("httpStatusCode", 500 if shape.metadata.get("fault") else 400)
        code = error.get("code", shape.name)
        return [f"class {class_name(shape.name)}(ApiError):", f'    code = "{code}"', f"    status = {status}", "", ""]

    def io_name(self, operation: str, shape: botocore.model.Shape | None, suffix: str) -> str:
        if shape is None:
            return f"{operation}{suffix}"
        self.collect(shape)
        return class_name(shape.name)

    def operation_lines(self, name: str) -> list[str]:
        operation = self.model.operation_model(name)
        pager = self.paginators.get(name)
        paging = "None"
        if pager and isinstance(pager["input_token"], str):
            result = pager["result_key"]
            paging = f"spec.Paginator({pager['input_token']!r}, {pager['output_token']!r}, {pager.get('limit_key')!r}, {(result if isinstance(result, str) else result[0])!r})"
        token = operation.idempotent_members[0] if operation.idempotent_members else None
        errors = tuple(shape.metadata.get("error", {}).get("code", shape.name) for shape in operation.error_shapes)
        return [
            f'    "{name}": spec.Operation(',
            f'        "{name}", {self.io_name(name, operation.input_shape, "Request")}, {self.io_name(name, operation.output_shape, "Response")},',
            f"        {errors!r}, {paging}, {token!r}, {bool(READ_ONLY.match(name))},",
            "    ),",
        ]

    def module(self) -> str:
        """The whole text of the service's module."""
        operations = [line for name in self.served for line in self.operation_lines(name)]
        empties = [f"{name}{suffix}" for name in self.served for suffix, shape in self.io_shapes(name) if shape is None]
        for name in self.served:
            for shape in self.model.operation_model(name).error_shapes:
                self.errors[shape.name] = shape
        structures = {class_name(name): shape for name, shape in self.structures.items()}
        lines = [
            '"""Generated by `python -m homeport.shapes.generate`; do not edit."""',
            "",
            "from __future__ import annotations",
            "",
        ]
        lines += ["from typing import Annotated, Any, Literal", "", "from msgspec import Meta, Struct", ""]
        lines += [
            "from homeport.base.errors import ApiError",
            "from homeport.shapes import spec",
            "",
            '__all__ = ["SERVICE", "Annotated", "Any", "Literal", "Meta"]',
            "",
        ]
        lines += RANGES
        lines += [
            f"{name} = Literal[{', '.join(map(repr, values))}]" for name, values in sorted(self.enums.items())
        ] + ["", ""]
        for name in sorted(structures):
            lines += self.struct_lines(name, structures[name])
        for name in sorted(empties):
            lines += self.struct_lines(name, None)
        for name in sorted(self.errors):
            lines += self.error_lines(self.errors[name])
        return "\n".join(lines + self.service_lines(operations)) + "\n"

    def io_shapes(self, name: str) -> list[tuple[str, botocore.model.Shape | None]]:
        operation = self.model.operation_model(name)
        return [("Request", operation.input_shape), ("Response", operation.output_shape)]

    def service_lines(self, operations: list[str]) -> list[str]:
        meta = self.model.metadata
        protocols = tuple(meta.get("protocols") or [meta["protocol"]])
        unserved = sorted(set(self.model.operation_names) - set(self.served))
        return [
            "OPERATIONS: dict[str, spec.Operation] = {", *operations, "}", "",
            "SERVICE = spec.Service(",
            f'    name="{self.service}", signing_name="{self.model.signing_name}", api_version="{meta["apiVersion"]}",',
            f"    protocols={protocols!r}, target_prefix={meta.get('targetPrefix', '')!r}, xml_namespace={meta.get('xmlNamespace', '')!r},",
            f"    operations=OPERATIONS, unserved=frozenset({unserved!r}),",
            ")",
        ]  # fmt: skip


def main(arguments: list[str]) -> int:
    """Write every module; with `--check`, write nothing and say (exit 1) which would change."""
    stale = []
    for service, operations in SERVICES.items():
        path = Path(__file__).with_name(f"{service.replace('-', '_')}.py")
        text = Generator(service, operations).module()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if "--check" not in arguments:
            path.write_text(text)
    if stale:
        print(("stale: " if "--check" in arguments else "written: ") + ", ".join(stale))  # noqa: T201
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
