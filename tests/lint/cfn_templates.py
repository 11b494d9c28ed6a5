"""Reads the project's templates the way CloudFormation does, without AWS.

`load_project` gives every stack: the root after the SAM transform, and the
nested ones as they stand. Intrinsic functions are in their long form
(`{"Ref": ...}`), so that a check sees one spelling only.
"""

import copy
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from re import _parser as pattern_parser  # the standard library's own reading of a pattern
from unittest import mock

import yaml
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms of intrinsic functions."""


def _intrinsic(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _intrinsic)
# A template's format version and policies' versions look like dates.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str) -> dict:
    """A template's text as a tree."""
    return yaml.load(text, Loader=_Loader)


def expand(template: dict) -> dict:
    """The template after the SAM transform; code locations become S3 URIs first."""
    template = copy.deepcopy(template)
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://code/{logical_id}.zip"
    parameters = {
        name: str(parameter["Default"])
        for name, parameter in template["Parameters"].items()
        if "Default" in parameter
    }
    # The translator asks boto3 for a region, though it calls no service.
    with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": "eu-west-1"}):
        return transform(template, parameters, managed_policy_loader=None)


@dataclass
class Project:
    """The root template, as written and expanded, and its nested templates."""

    root: dict
    expanded: dict
    nested: dict[str, dict] = field(default_factory=dict)
    """By the logical id of the stack resource in the root template."""

    @property
    def stacks(self) -> dict[str, dict]:
        """Every stack by name: `root` after the transform, and the nested ones."""
        return {"root": self.expanded, **self.nested}

    def resources(self, *types: str) -> Iterator[tuple[str, str, dict]]:
        """(stack, logical id, resource) of all stacks, of these types or of any."""
        for stack, template in self.stacks.items():
            for logical_id, resource in template["Resources"].items():
                if not types or resource["Type"] in types:
                    yield stack, logical_id, resource


def load_project(root: Path = ROOT) -> Project:
    """Reads template.yaml and the nested templates that it names."""
    text = (root / "template.yaml").read_text()
    template = parse(text)
    nested = {
        logical_id: parse((root / resource["Properties"]["TemplateURL"]).read_text())
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudFormation::Stack"
    }
    return Project(template, expand(template), nested)


def walk(node, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Every node of a tree with its path, parents first."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, (*path, index))


_SUB_NAME = re.compile(r"\$\{([^!}][^}]*)\}")


def references(node) -> Iterator[tuple[str, str | None]]:
    """(logical id or parameter, attribute or None) that a tree refers to."""
    for _, value in walk(node):
        if not isinstance(value, dict) or len(value) != 1:
            continue
        if isinstance(name := value.get("Ref"), str):
            yield name, None
        elif target := value.get("Fn::GetAtt"):
            name, attribute = target.split(".", 1) if isinstance(target, str) else target
            yield name, attribute
        elif sub := value.get("Fn::Sub"):
            text, own = (sub, {}) if isinstance(sub, str) else sub
            for name in _SUB_NAME.findall(text):
                if name not in own:
                    logical_id, _, attribute = name.partition(".")
                    yield logical_id, attribute or None


Node = tuple[str, str]


def dependencies(project: Project) -> dict[Node, set[Node]]:
    """Who needs whom, through the walls between the stacks.

    Nodes are (stack, logical id). A nested stack's resource that uses a
    parameter needs what the root passes for it, and a reference to a nested
    stack's output needs what that output is made of. CloudFormation itself
    waits for whole stacks, so the stack resources are nodes too.
    """
    graph: dict[Node, set[Node]] = {}
    for stack, template in project.stacks.items():
        for logical_id, resource in template["Resources"].items():
            needs = graph.setdefault((stack, logical_id), set())
            body = {key: value for key, value in resource.items() if key != "Metadata"}
            for target in references(body):
                needs |= _resolve(project, stack, target)
            named = resource.get("DependsOn", [])
            for other in [named] if isinstance(named, str) else named:
                needs.add((stack, other))
            if stack != "root":
                needs.add(("root", f"{stack} (begins)"))
    for stack in project.nested:
        # The stack resource is complete when its resources are; they begin
        # when everything that its parameters name is there.
        complete = graph[("root", stack)]
        graph[("root", f"{stack} (begins)")] = set(complete)
        complete |= {(stack, name) for name in project.nested[stack]["Resources"]}
    return graph


def _resolve(project: Project, stack: str, target: tuple[str, str | None]) -> set[Node]:
    name, attribute = target
    template = project.stacks[stack]
    if name in template["Resources"]:
        if stack == "root" and name in project.nested and (attribute or "").startswith("Outputs."):
            output = project.nested[name]["Outputs"][attribute.removeprefix("Outputs.")]
            return {("root", name)}.union(
                *(_resolve(project, name, inner) for inner in references(output["Value"]))
            )
        return {(stack, name)}
    if stack != "root" and name in template.get("Parameters", {}):
        passed = project.expanded["Resources"][stack]["Properties"].get("Parameters", {}).get(name)
        return set().union(*(_resolve(project, "root", outer) for outer in references(passed)))
    return set()


def find_cycle(graph: dict[Node, set[Node]]) -> list[Node] | None:
    """One cycle of the graph, or None."""
    done: set[Node] = set()
    for start in graph:
        path: list[Node] = []
        on_path: set[Node] = set()
        stack = [(start, iter(sorted(graph.get(start, ()))))]
        if start in done:
            continue
        path.append(start)
        on_path.add(start)
        while stack:
            node, successors = stack[-1]
            for successor in successors:
                if successor in on_path:
                    return [*path[path.index(successor) :], successor]
                if successor not in done:
                    stack.append((successor, iter(sorted(graph.get(successor, ())))))
                    path.append(successor)
                    on_path.add(successor)
                    break
            else:
                stack.pop()
                path.pop()
                on_path.discard(node)
                done.add(node)
    return None


def admits_upper_case(pattern: str) -> bool:
    """Whether a parameter's AllowedPattern lets an upper-case letter through."""
    upper = range(ord("A"), ord("Z") + 1)

    def any_upper(item) -> bool:
        kind, value = str(item[0]), item[1]
        if kind == "LITERAL":
            return value in upper
        if kind == "RANGE":
            return value[0] <= upper[-1] and value[1] >= upper[0]
        if kind == "CATEGORY":
            return str(value) in ("CATEGORY_WORD", "CATEGORY_NOT_DIGIT", "CATEGORY_NOT_SPACE")
        if kind in ("ANY", "NOT_LITERAL"):
            return True
        if kind == "IN":
            return str(value[0][0]) == "NEGATE" or any(any_upper(part) for part in value)
        if kind == "BRANCH":
            return any(any_upper(part) for branch in value[1] for part in branch)
        if kind == "SUBPATTERN":
            return any(any_upper(part) for part in value[-1])
        if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return any(any_upper(part) for part in value[2])
        return kind not in ("AT",)

    # Anchored at both ends, or anything may stand around what it matches.
    anchored = pattern.startswith("^") and pattern.endswith("$")
    return not anchored or any(any_upper(item) for item in pattern_parser.parse(pattern))
