"""CloudFormation templates in YAML, as text and as what they say."""

import yaml


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, and dates left as text.

    Without aliases: a few lines of them can stand for more than any memory holds.
    """

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            place = self.peek_event().start_mark
            raise yaml.composer.ComposerError(
                None, None, "an alias (*) is not read here: write out what it stands for", place
            )
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:timestamp"]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse_template(text):
    """A CloudFormation template in YAML, short forms written out."""
    return yaml.load(text, Loader=_Loader)  # a SafeLoader
