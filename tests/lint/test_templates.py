"""The templates are right before AWS sees them.

Each rule is shown to hold for the project, and shown to find the fault that it
is there for: a check that cannot fail proves nothing.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import template_checks as checks
from cfn_templates import ROOT, admits_upper_case, load_project, parse, references

TEMPLATES = [
    "template.yaml",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("cfn/*.yaml")),
]


@pytest.fixture(scope="module")
def loaded():
    return load_project()


@pytest.fixture
def project(loaded):
    """A copy that a test may spoil."""
    return copy.deepcopy(loaded)


def test_a_pipeline_of_ones_own_has_the_events_of_the_shipped_one(loaded):
    """The rule that a pipeline of one's own brings takes events of the same types as the shipped pipeline's."""
    pattern = loaded.nested["EventsStack"]["Resources"]["ExecutionsRule"]["Properties"]["EventPattern"]
    text, _ = pattern["Fn::Sub"]
    sample = ROOT / "samples" / "pipelines" / "train-evaluate-register" / "stack.yaml"
    own = parse(sample.read_text())["Resources"]["EventsRule"]["Properties"]["EventPattern"]
    assert own["detail-type"] == json.loads(text)["detail-type"]


def cfn_lint(*files):
    return subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--format", "parseable", *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_cfn_lint_has_no_finding():
    result = cfn_lint(*TEMPLATES)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_cfn_lint_has_no_finding_after_the_sam_transform(loaded, tmp_path):
    # cfn-lint reads a serverless function loosely; what it becomes is checked in full.
    expanded = copy.deepcopy(loaded.expanded)
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            # As it is after packaging.
            resource["Properties"]["TemplateURL"] = (
                f"https://artifacts.example/{resource['Properties']['TemplateURL']}"
            )
    file = tmp_path / "expanded.json"
    file.write_text(json.dumps(expanded, indent=1))
    result = cfn_lint(file)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_every_nested_template_is_deployed(loaded):
    deployed = {
        loaded.root["Resources"][stack]["Properties"]["TemplateURL"] for stack in loaded.nested
    }
    assert {"template.yaml", *deployed} == set(TEMPLATES)


@pytest.mark.parametrize("check", checks.ALL, ids=lambda check: check.__name__)
def test_the_project_keeps_the_rule(check, loaded):
    assert list(check(loaded)) == []


# Each fault: the rule that must find it, and how to make it.
FAULTS = {}


def fault(rule):
    def register(spoil):
        FAULTS[spoil.__name__] = (rule, spoil)
        return spoil

    return register


@fault(checks.no_cycles)
def a_function_whose_failure_queue_is_in_a_later_stack(project):
    # What cfn-lint does not see: the events stack needs the function, and the
    # function's retries need a queue of the events stack.
    project.nested["EventsStack"]["Outputs"]["Late"] = {
        "Value": {"Fn::GetAtt": ["ExecutionsRule", "Arn"]}
    }
    role = project.expanded["Resources"]["PipelineEventsRole"]["Properties"]
    role["Description"] = {"Fn::GetAtt": ["EventsStack", "Outputs.Late"]}


@fault(checks.no_cycles)
def two_resources_of_a_nested_stack_that_need_each_other(project):
    resources = project.nested["PipelineStack"]["Resources"]
    resources["JobRole"]["DependsOn"] = "Pipeline"


@fault(checks.no_reference_to_a_later_stack)
def storage_that_needs_a_function(project):
    stack = project.expanded["Resources"]["StorageStack"]["Properties"]
    stack["Parameters"]["KmsKeyArn"] = {"Ref": "StartExecutionFunction"}
    project.nested["StorageStack"]["Resources"]["AssetsTable"]["Properties"]["TableName"] = {
        "Ref": "KmsKeyArn"
    }


@fault(checks.nested_templates_are_plain)
def a_transform_in_a_nested_template(project):
    project.nested["EventsStack"]["Transform"] = "AWS::Serverless-2016-10-31"


@fault(checks.nested_templates_are_plain)
def an_export(project):
    project.nested["StorageStack"]["Outputs"]["AssetsTableName"]["Export"] = {"Name": "assets"}


@fault(checks.nested_parameters_agree)
def a_nested_constraint_that_is_looser(project):
    del project.nested["PipelineStack"]["Parameters"]["SubnetIds"]["AllowedPattern"]


@fault(checks.nested_parameters_agree)
def a_parameter_that_is_not_passed(project):
    del project.root["Resources"]["PipelineStack"]["Properties"]["Parameters"]["CodeVersion"]


@fault(checks.outputs_exist)
def an_output_that_is_gone(project):
    del project.nested["StorageStack"]["Outputs"]["ExecutionsTableName"]


@fault(checks.parameters_are_documented)
def a_parameter_in_no_group(project):
    project.root["Parameters"]["New"] = {"Type": "String", "Description": "New.", "MinLength": 1}


@fault(checks.parameters_are_documented)
def a_parameter_that_takes_anything(project):
    del project.root["Parameters"]["ImageTag"]["AllowedPattern"]


@fault(checks.no_literal_partition)
def an_arn_of_one_partition(project):
    role = project.root["Resources"]["StartExecutionRole"]["Properties"]
    role["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"] = "arn:aws:logs:*:*:*"


@fault(checks.no_literal_partition)
def a_registry_host_of_one_partition(project):
    definition = project.nested["PipelineStack"]["Resources"]["PipelineDefinition"]["Properties"]
    definition["Values"]["ProcessingImageUri"] = {
        "Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/x"
    }


@fault(checks.names_are_lower_case)
def a_name_in_camel_case(project):
    table = project.nested["StorageStack"]["Resources"]["AssetsTable"]["Properties"]
    table["TableName"] = {"Fn::Sub": "${Prefix}-Assets"}


@fault(checks.names_are_lower_case)
def a_prefix_that_may_have_upper_case(project):
    project.nested["EventsStack"]["Parameters"]["Prefix"]["AllowedPattern"] = "^[a-zA-Z-]+$"


@fault(checks.names_fit_in_every_region)
def a_bucket_whose_name_is_too_long_somewhere(project):
    bucket = project.nested["StorageStack"]["Resources"]["ModelsBucket"]["Properties"]
    bucket["BucketName"] = {"Fn::Sub": "${Prefix}-trained-models-${AWS::AccountId}-${AWS::Region}"}


@fault(checks.targets_lose_nothing)
def a_rule_without_a_dead_letter_queue(project):
    del project.nested["EventsStack"]["Resources"]["ExecutionsRule"]["Properties"]["Targets"][0][
        "DeadLetterConfig"
    ]


@fault(checks.targets_lose_nothing)
def a_rule_that_does_not_retry(project):
    del project.nested["EventsStack"]["Resources"]["ResourcesRule"]["Properties"]["Targets"][0][
        "RetryPolicy"
    ]


@fault(checks.targets_lose_nothing)
def a_rule_that_may_not_invoke_its_function(project):
    del project.nested["EventsStack"]["Resources"]["ResourcesRulePermission"]


@fault(checks.targets_lose_nothing)
def a_rule_that_may_not_send_to_its_dead_letter_queue(project):
    policy = project.nested["EventsStack"]["Resources"]["UndeliveredEventsQueuePolicy"]
    senders = policy["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"]
    senders["aws:SourceArn"].remove({"Fn::GetAtt": ["ResourcesRule", "Arn"]})


@fault(checks.pipeline_rules_ignore_case)
def a_rule_that_compares_case(project):
    rule = project.nested["EventsStack"]["Resources"]["ExecutionsRule"]["Properties"]
    rule["EventPattern"] = {"detail": {"pipelineArn": [{"Ref": "PipelineArn"}]}}


@fault(checks.pipeline_rules_ignore_case)
def a_rule_whose_text_compares_case(project):
    rule = project.nested["EventsStack"]["Resources"]["ExecutionsRule"]["Properties"]
    text, names = rule["EventPattern"]["Fn::Sub"]
    text = text.replace('{"equals-ignore-case": ":pipeline/${Names}"}', '":pipeline/${Names}"')
    rule["EventPattern"]["Fn::Sub"] = [text, names]


@fault(checks.functions_keep_logs_and_failures)
def a_function_without_a_log_group(project):
    del project.expanded["Resources"]["StartExecutionFunction"]["Properties"]["LoggingConfig"]


@fault(checks.functions_keep_logs_and_failures)
def a_function_that_drops_failures(project):
    del project.expanded["Resources"]["PipelineEventsInvokeConfig"]["Properties"][
        "DestinationConfig"
    ]


@fault(checks.functions_keep_logs_and_failures)
def retries_of_an_unused_alias(project):
    project.expanded["Resources"]["PipelineDefinitionInvokeConfig"]["Properties"]["Qualifier"] = (
        "live"
    )


@fault(checks.functions_keep_logs_and_failures)
def a_reserved_variable(project):
    function = project.expanded["Resources"]["StartExecutionFunction"]["Properties"]
    function["Environment"]["Variables"]["AWS_REGION"] = "eu-west-1"


@fault(checks.retention_is_literal)
def a_table_that_goes_with_its_stack(project):
    project.nested["StorageStack"]["Resources"]["ExecutionsTable"]["DeletionPolicy"] = "Delete"


@fault(checks.retention_is_literal)
def a_retention_by_parameter(project):
    project.nested["StorageStack"]["Resources"]["ModelsBucket"]["UpdateReplacePolicy"] = {
        "Ref": "Retention"
    }


@fault(checks.data_is_protected)
def a_bucket_that_takes_plain_http(project):
    del project.nested["StorageStack"]["Resources"]["ModelsBucketPolicy"]


@fault(checks.data_is_protected)
def a_bucket_that_may_become_public(project):
    bucket = project.nested["StorageStack"]["Resources"]["ModelsBucket"]["Properties"]
    bucket["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


@fault(checks.data_is_protected)
def a_queue_whose_policy_forgot_tls(project):
    policy = project.nested["EventsStack"]["Resources"]["UndeliveredEventsQueuePolicy"][
        "Properties"
    ]
    policy["PolicyDocument"]["Statement"].pop()


@fault(checks.data_is_protected)
def a_table_that_cannot_be_restored(project):
    del project.nested["StorageStack"]["Resources"]["AssetsTable"]["Properties"][
        "PointInTimeRecoverySpecification"
    ]


@fault(checks.rights_are_least)
def a_managed_policy(project):
    project.nested["PipelineStack"]["Resources"]["JobRole"]["Properties"]["ManagedPolicyArns"] = [
        "any"
    ]


@fault(checks.rights_are_least)
def any_resource(project):
    role = project.expanded["Resources"]["PipelineEventsRole"]["Properties"]
    role["Policies"][0]["PolicyDocument"]["Statement"][2]["Resource"] = "*"


@fault(checks.rights_are_least)
def a_wildcard_action_behind_a_condition(project):
    role = project.expanded["Resources"]["PipelineEventsRole"]["Properties"]
    statement = next(s for s in role["Policies"][0]["PolicyDocument"]["Statement"] if "Fn::If" in s)
    statement["Fn::If"][1]["Action"] = "kms:*"


@fault(checks.rights_are_least)
def a_role_for_any_service(project):
    role = project.nested["PipelineStack"]["Resources"]["PipelineRole"]["Properties"]
    for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
        if statement.get("Action") == "iam:PassRole":
            del statement["Condition"]


def statement_of(project, role, sid):
    """A statement of a role in the pipeline's stack, whatever condition it stands behind."""
    role = project.nested["PipelineStack"]["Resources"][role]["Properties"]
    for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
        found = statement.get("Fn::If", [None, statement])[1]
        if found["Sid"] == sid:
            return found
    raise AssertionError(f"{role} has no statement {sid}")


@fault(checks.rights_are_bound_by_conditions)
def a_grant_for_anybody(project):
    del statement_of(project, "PipelineRole", "VolumeKey")["Condition"]


@fault(checks.rights_are_bound_by_conditions)
def an_interface_that_any_account_may_attach(project):
    condition = statement_of(project, "JobRole", "LetSageMakerAttach")["Condition"]
    del condition["StringEquals"]


@fault(checks.rights_are_bound_by_conditions)
def an_interface_in_any_subnet(project):
    del statement_of(project, "ModelRole", "InChosenSubnets")["Condition"]


@fault(checks.jobs_write_their_own_attributes_only)
def a_job_that_replaces_a_record(project):
    statement_of(project, "JobRole", "ReportToExecution")["Action"] = "dynamodb:PutItem"


@fault(checks.jobs_write_their_own_attributes_only)
def a_job_that_writes_any_attribute(project):
    del statement_of(project, "JobRole", "ReportToExecution")["Condition"]


@fault(checks.models_have_a_role_of_their_own)
def models_with_the_role_of_the_jobs(project):
    values = project.nested["PipelineStack"]["Resources"]["PipelineDefinition"]["Properties"]
    values["Values"]["ModelRoleArn"] = values["Values"]["JobRoleArn"]


@fault(checks.policies_name_this_installation_only)
def a_topic_for_the_alarms_of_others(project):
    policy = project.nested["OperationsStack"]["Resources"]["AlarmTopicPolicy"]["Properties"]
    condition = policy["PolicyDocument"]["Statement"][0]["Condition"]
    condition["ArnLike"] = {"aws:SourceArn": {"Fn::Sub": "arn:x:alarm:${Prefix}-*"}}


@fault(checks.the_custom_resource_has_no_other_caller)
def a_rule_that_invokes_the_custom_resource(project):
    permission = project.nested["EventsStack"]["Resources"]["ExecutionsRulePermission"]["Properties"]
    permission["FunctionName"] = {"Ref": "PipelineDefinitionFunction"}


@fault(checks.dashboards_are_json)
def a_dashboard_with_a_comma_too_many(project):
    dashboard = project.nested["OperationsStack"]["Resources"]["Dashboard"]["Properties"]
    body = dashboard["DashboardBody"]
    body["Fn::Sub"] = body["Fn::Sub"].replace("]", ",]", 1)


@fault(checks.dashboards_are_json)
def an_alarm_that_the_dashboard_does_not_show(project):
    resources = project.nested["OperationsStack"]["Resources"]
    resources["NewAlarm"] = resources["ExecutionFailedAlarm"]


@fault(checks.rules_are_watched)
def a_rule_without_an_alarm(project):
    alarm = project.nested["OperationsStack"]["Resources"]["ResourceEventsLostAlarm"]
    alarm["Properties"]["Dimensions"][0]["Value"] = {"Fn::Sub": "${Prefix}-executions"}


@fault(checks.rules_are_watched)
def a_rule_that_the_dashboard_does_not_show(project):
    dashboard = project.nested["OperationsStack"]["Resources"]["Dashboard"]["Properties"]
    body = dashboard["DashboardBody"]
    body["Fn::Sub"] = body["Fn::Sub"].replace("${Prefix}-resources", "${Prefix}-other")


@fault(checks.alarms_reach_the_topic)
def an_alarm_without_a_topic(project):
    alarm = project.nested["OperationsStack"]["Resources"]["ExecutionFailedAlarm"]
    del alarm["Properties"]["AlarmActions"]


@fault(checks.alarms_reach_the_topic)
def an_alarm_that_the_topic_does_not_let_in(project):
    policy = project.nested["OperationsStack"]["Resources"]["AlarmTopicPolicy"]["Properties"]
    condition = policy["PolicyDocument"]["Statement"][0]["Condition"]
    del condition["ArnEquals"]["aws:SourceArn"][0]


@fault(checks.root_resources_carry_tags)
def a_function_without_tags(project):
    del project.expanded["Resources"]["PipelineEventsFunction"]["Properties"]["Tags"]


@fault(checks.code_is_where_cargo_lambda_puts_it)
def code_of_a_package_that_is_not_there(project):
    project.root["Resources"]["StartExecutionFunction"]["Properties"]["CodeUri"] = (
        "target/lambda/starter/"
    )


@fault(checks.custom_resources_are_bounded)
def a_custom_resource_that_may_hang(project):
    del project.nested["PipelineStack"]["Resources"]["PipelineDefinition"]["Properties"][
        "ServiceTimeout"
    ]


@fault(checks.custom_resources_are_bounded)
def a_custom_resource_of_one_version(project):
    stack = project.root["Resources"]["PipelineStack"]["Properties"]
    stack["Parameters"]["PipelineDefinitionFunctionArn"] = {
        "Ref": "PipelineDefinitionFunction.Version"
    }


@fault(checks.definition_gets_the_values_of_its_template)
def a_value_that_the_definition_lacks(project):
    definition = project.nested["PipelineStack"]["Resources"]["PipelineDefinition"]["Properties"]
    del definition["Values"]["ModelsBucket"]


@fault(checks.definition_gets_the_values_of_its_template)
def a_value_for_nothing(project):
    definition = project.nested["PipelineStack"]["Resources"]["PipelineDefinition"]["Properties"]
    definition["Values"]["Colour"] = "blue"


@fault(checks.functions_get_the_variables_they_read)
def a_variable_that_a_function_lacks(project):
    function = project.root["Resources"]["PipelineEventsFunction"]["Properties"]
    del function["Environment"]["Variables"]["ENDPOINTS_TABLE"]


@pytest.mark.parametrize("name", FAULTS)
def test_the_rule_finds(name, project):
    rule, spoil = FAULTS[name]
    spoil(project)
    assert list(rule(project)) != []


def test_every_rule_has_a_fault_that_it_finds():
    assert {rule for rule, _ in FAULTS.values()} == set(checks.ALL)


@pytest.mark.parametrize(
    ("pattern", "admits"),
    [
        ("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", False),
        (r"^[a-z]{2}-\d{3}$", False),
        ("[a-z]+", True),
        ("^[a-zA-Z]+$", True),
        (r"^\w+$", True),
        ("^a.c$", True),
        ("^(a|B)$", True),
        ("^[^a]$", True),
        ("^$|^[a-z]+$", False),
    ],
)
def test_a_pattern_is_read_as_the_engine_reads_it(pattern, admits):
    assert admits_upper_case(pattern) is admits


def test_references_are_found_in_every_form():
    tree = {
        "a": {"Ref": "One"},
        "b": [{"Fn::GetAtt": ["Two", "Arn"]}, {"Fn::GetAtt": "Three.Outputs.X"}],
        "c": {"Fn::Sub": "${Four}-${Five.Arn}-${!Literal}"},
        "d": {"Fn::Sub": ["${Own}-${Six}", {"Own": {"Ref": "Seven"}}]},
    }
    assert set(references(tree)) == {
        ("One", None),
        ("Two", "Arn"),
        ("Three", "Outputs.X"),
        ("Four", None),
        ("Five", "Arn"),
        ("Six", None),
        ("Seven", None),
    }
