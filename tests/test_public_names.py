"""The names that ``import spikec`` offers, in whatever order its modules were loaded."""

import subprocess
import sys

import pytest

import spikec


@pytest.mark.parametrize("name", spikec.__all__)
def test_every_public_name_is_there(name):
    assert getattr(spikec, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = spikec.no_such_name


def test_functions_are_not_hidden_by_modules_of_the_same_name():
    code = "import spikec, spikec.cli, spikec.planning, spikec.compilation; assert callable(spikec.plan)"
    subprocess.run([sys.executable, "-c", f"{code}; assert callable(spikec.compile)"], check=True)
