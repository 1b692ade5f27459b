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


def test_the_ledger_is_a_module_loaded_when_first_used():
    code = "import sys, spikec; assert 'spikec.ledger' not in sys.modules; assert callable(spikec.ledger.ledger)"
    subprocess.run([sys.executable, "-c", f"{code}; assert spikec.Ledger is spikec.ledger.Ledger"], check=True)
