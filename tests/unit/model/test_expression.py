"""The cluster query language: the documentation's examples, every subject and operator, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.model.container_instance import ContainerInstance
from homeport.model.expression import ExpressionError, Subject, matches, parse
from homeport.model.resources import Resources
from homeport.shapes import ecs as shapes

ATTRIBUTES = {
    "ecs.instance-type": "g2.2xlarge",
    "ecs.availability-zone": "us-east-1a",
    "stack": "prod",
    "rank": "12",
    "empty": None,
    "path/to\\it": "a b",
}


def a_subject(running=1, groups=("service:production",), **members):
    members = {
        "ec2_instance_id": "i-abcd1234",
        "agent_version": "1.14.4",
        "agent_connected": True,
        "registered_at": 1_529_360_908.7,  # 2018-06-18T22:28:28Z and a bit
    } | members
    instance = ContainerInstance(
        arn="arn:aws:ecs:us-east-1:123456789012:container-instance/c/0",
        cluster_arn="arn:aws:ecs:us-east-1:123456789012:cluster/c",
        registered=Resources(),
        attributes=tuple(shapes.Attribute(name=name, value=value) for name, value in ATTRIBUTES.items()),
        **members,
    )
    return Subject(instance, running, groups)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the Developer Guide's examples
        ("attribute:ecs.instance-type == t2.small", False),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", True),
        ("attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d", True),
        ("task:group == service:production", True),
        ("not(task:group == database)", True),
        ("runningTasksCount == 1", True),
        ("agentVersion < 1.14.5", True),
        ("registeredAt < 2018-02-13", False),
        ("ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']", True),
        # attributes
        ("attribute:stack equals prod", True),
        ("attribute:stack not_equals prod", False),
        ("attribute:stack==prod", True),
        ("attribute:stack!=prod", False),
        ('attribute:stack == "prod"', True),
        ("attribute:stack == PROD", False),
        ("attribute:path/to\\it == 'a b'", True),
        ("attribute:stack exists", True),
        ("attribute:empty exists", True),
        ("attribute:none exists", False),
        ("attribute:none !exists", True),
        ("attribute:none not_exists", True),
        ("attribute:stack ! exists", False),
        ("attribute:stack !in [dev, test]", True),
        ("attribute:stack not_in [prod]", False),
        ("attribute:stack in []", False),
        ('attribute:stack in [dev,"prod"]', True),
        ("attribute:stack matches pr.d", True),
        ("attribute:stack =~ pr", False),
        ("attribute:stack !~ pr", True),
        ("attribute:stack not_matches p.*", False),
        ("attribute:none == prod", False),
        ("attribute:none != prod", True),
        ("attribute:none !in [prod]", True),
        ("attribute:none !~ .*", True),
        ("attribute:rank > 9", True),
        ("attribute:rank greater_than_equal 12", True),
        ("attribute:rank < 9", False),
        ("attribute:rank less_than_equal 12", True),
        ("attribute:stack > dev", True),
        ("attribute:none > 1", False),
        # the other subjects
        ("agentConnected == true", True),
        ("agentConnected in [false]", False),
        ("agentConnected =~ t.*", True),
        ("agentVersion == 1.14.4", True),
        ("agentVersion >= 1.9", True),
        ("agentVersion greater_than 1.14.10", False),
        ("agentVersion != 1.14.4.0", False),
        ("registeredAt == 2018-06-18T22:28:28Z", True),
        ("registeredAt == 2018-06-18T22:28:28", True),
        ("registeredAt == 2018-06-19T00:28:28+02:00", True),
        ("registeredAt >= 2018-06-18", True),
        ("registeredAt less_than_equal 2018-06-18T22:28:27+00:00", False),
        ("runningTasksCount > 0", True),
        ("runningTasksCount less_than 1", False),
        ("task:group in [a, service:production]", True),
        ("task:group =~ service:.*", True),
        ("task:group != database", True),
        ("task:group != service:production", False),
        # composition
        ("attribute:stack == dev or attribute:rank == 12 and agentConnected == true", True),
        ("(attribute:stack == dev or attribute:rank == 12) and agentConnected == false", False),
        ("attribute:stack == prod || agentConnected == false && agentConnected == false", True),
        ("!attribute:stack == dev", True),
        ("! (attribute:stack == prod)", False),
        ("not not attribute:stack == prod", True),
        ("NOT attribute:stack == dev AND attribute:rank == 12 Or attribute:none EXISTS", True),
        ("(attribute:stack==prod)&&(attribute:rank==12)", True),
        ("attribute:stack==prod&&attribute:rank==12||attribute:none==1", True),
        ("((((attribute:stack == prod))))", True),
        ("  attribute:stack\n==\tprod  ", True),
        ("(attribute:stack =~ (dev|prod))", True),
    ],
)  # fmt: skip
def test_matches_when_asked_about_an_instance_then_as_documented(text, expected):
    assert matches(parse(text), a_subject()) is expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        (r"t2\..*", "t2.small", True),
        (r"t2\..*", "t2xsmall", False),
        (r"[tm][0-9]\.(small|large)", "m5.large", True),
        (r"(?i)PROD", "prod", True),
        (r"\p{Alpha}+\p{Digit}", "abc1", True),
        (r"[\p{Upper}_]+", "A_B", True),
        (r"\P{Alpha}+", "12", True),
        (r"\Qa.b\E+", "a.b", True),
        (r"\Qa.b\E", "axb", False),
        (r"(?<x>a)\k<x>", "aa", True),
        (r"a++b", "aab", True),
        (r"(?>a|ab)c", "abc", False),
        (r"\w{2,3}\z", "ab", True),
        (r"^a$", "a", True),
        (r"(\d{1,3}\.){3}\d{1,3}", "10.0.0.12", True),
        (r".*-(dev|test)-.*-\w+", "eu-test-web-1", True),
        (r"([ab])*", "abba", True),
        (r"a{2}(?=b).*+", "aabc", True),
        (r"a*a*a*a*b", "a" * 128, False),
    ],
)
def test_pattern_when_in_java_syntax_then_means_the_same(pattern, value, expected):
    subject = a_subject(ec2_instance_id=value)
    assert matches(parse(f"ec2InstanceId =~ '{pattern}'"), subject) is expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "The expression is empty"),
        ("   ", "The expression is empty"),
        ("zone == a", "Expected a subject"),
        ("attribute: == a", "Expected a subject"),
        ("attribute:a", "Expected an operator"),
        ("attribute:a ~ b", "Expected an operator"),
        ("attribute:a ==", "Expected a value (at the end of the expression)"),
        ("attribute:a == b c", "Expected and, or, && or || (at character 18, before 'c')"),
        ("attribute:a == b and", "Expected a subject"),
        ("attribute:a == b)", "Expected and, or, && or ||"),
        ("(attribute:a == b", "Expected )"),
        ("attribute:a in b", "Expected a list"),
        ("attribute:a in [b c]", "Expected , or ]"),
        ("attribute:a in [b", "Expected , or ]"),
        ("attribute:a in [(]", "Expected a value"),
        ("agentVersion in [1.2]", "agentVersion cannot be used with in"),
        ("agentVersion > latest", "'latest' is not a version"),
        ("agentConnected > true", "agentConnected cannot be used with >"),
        ("ec2InstanceId exists", "ec2InstanceId cannot be used with exists"),
        ("registeredAt > yesterday", "'yesterday' is not a date"),
        ("registeredAt > 2018-02-31", "'2018-02-31' is not a date"),
        ("runningTasksCount > few", "'few' is not a number of tasks"),
        ("runningTasksCount > -1", "'-1' is not a number of tasks"),
        ("task:group > a", "task:group cannot be used with >"),
        ("attribute:a =~ '['", "'[' is not a Java regular expression"),
        ("attribute:a =~ '(a+)+'", "could match in too many ways"),
        ("attribute:a =~ '((a*)|b)*'", "could match in too many ways"),
        ("attribute:a =~ '(a|aa)*b'", "could match in too many ways"),
        ("attribute:a =~ '(a?){40}a{40}'", "could match in too many ways"),
        ("attribute:a =~ '(?:(ab?){5}){7}'", "could match in too many ways"),
        ("attribute:a =~ 'a*a*a*a*a*b'", "could match in too many ways"),
        ("attribute:a =~ '(a{0}){99999}'", "could match in too many ways"),
        ("attribute:a =~ '[a[b]]'", "character class inside another is not supported"),
        ("attribute:a =~ '[a&&b]'", "&& inside a character class is not supported"),
        ("attribute:a =~ '\\p{Greek}'", "The character class \\p{Greek} is not supported"),
        ("(" * 60 + "attribute:a == b" + ")" * 60, "Parentheses are nested more than 50 deep"),
        ("attribute:a == " + "b" * 2000, "at most 2000 are allowed"),
    ],
)
def test_parse_when_the_text_is_wrong_then_the_error_says_what_and_where(text, problem):
    with pytest.raises(ExpressionError) as raised:
        parse(text)
    assert problem in str(raised.value)


def test_parse_when_called_twice_then_the_same_object():
    assert parse("attribute:a == b") is parse("attribute:a == b")


@pytest.mark.parametrize(
    ("text", "is_dynamic"),
    [("attribute:a == b", False), ("attribute:a == b or task:group == c", True), ("runningTasksCount < 3", True)],
)
def test_is_dynamic_when_tasks_matter_then_true(text, is_dynamic):
    assert parse(text).is_dynamic is is_dynamic


@pytest.mark.parametrize("version", [None, "", "unknown"])
def test_agent_version_when_none_is_known_then_only_inequality_holds(version):
    subject = a_subject(agent_version=version)
    assert not matches(parse("agentVersion < 99"), subject)
    assert matches(parse("agentVersion != 1.0"), subject)


def test_agent_version_when_it_has_a_suffix_then_its_numbers_count():
    assert matches(parse("agentVersion == 1.89.1"), a_subject(agent_version="v1.89.1-dev"))


words = st.sampled_from(
    [
        "(",
        ")",
        "!",
        "not",
        "and",
        "or",
        "&&",
        "||",
        "==",
        "!=",
        "=~",
        "!~",
        "in",
        "!in",
        "exists",
        ">",
        "<=",
        "[",
        "]",
        ",",
        "'",
        '"',
        "attribute:stack",
        "task:group",
        "agentVersion",
        "registeredAt",
        "runningTasksCount",
        "prod",
        "1.2",
        "2018-01-01",
        ".*",
        "(a|b)+",
        "\\",
        "[^",
        "*",
        "7",
        "x",
    ]
)


@settings(max_examples=300)
@given(st.one_of(st.lists(words, max_size=12).map(" ".join), st.lists(words, max_size=8).map("".join), st.text()))
def test_parse_when_given_anything_then_a_truth_value_or_an_expression_error(text):
    try:
        expression = parse(text)
    except ExpressionError:
        return
    assert matches(expression, a_subject()) in (True, False)


simple = st.sampled_from(["attribute:stack == prod", "attribute:none exists", "runningTasksCount > 0"])
compound = st.recursive(
    simple.map(lambda text: (text, matches(parse(text), a_subject()))),
    lambda inner: st.one_of(
        inner.map(lambda each: (f"not ({each[0]})", not each[1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) and ({two[1][0]})", two[0][1] and two[1][1])),
        st.tuples(inner, inner).map(lambda two: (f"(({two[0][0]}) || {two[1][0]})", two[0][1] or two[1][1])),
    ),
    max_leaves=8,
)


@settings(max_examples=100)
@given(compound)
def test_matches_when_expressions_are_composed_then_as_their_parts(text_and_value):
    text, value = text_and_value
    assert matches(parse(text), a_subject()) is value
