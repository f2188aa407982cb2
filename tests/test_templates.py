import pytest
from jinja2 import UndefinedError

from lidcflow.templates import templates_of


def test_what_is_filled_in_is_escaped():
    templates = templates_of("lidcflow.report")

    assert templates.from_string("{{ name }}").render(name="<script>") == "&lt;script&gt;"


def test_a_name_that_is_not_there_is_an_error():
    template = templates_of("lidcflow.report").from_string("{{ name }}")

    with pytest.raises(UndefinedError, match="'name' is undefined"):
        template.render()


def test_a_line_that_holds_only_a_statement_leaves_nothing():
    template = templates_of("lidcflow.report").from_string("a\n  {% if true %}\nb\n  {% endif %}\n")

    assert template.render() == "a\nb\n"


def test_a_filter_has_the_name_it_is_given():
    templates = templates_of("lidcflow.report", filters={"doubled": lambda text: 2 * text})

    assert templates.from_string("{{ 'ab' | doubled }}").render() == "abab"


def test_a_package_may_use_the_templates_of_another():
    templates = templates_of("lidcflow.drift", "lidcflow.evaluate")

    assert {"drift.html", "evaluation.html"} <= set(templates.list_templates())
