"""The gate in front of a model registry: is an artifact as good as the network that it was made from?"""

from spikec.checking.parallel import World, joined, world_of_environment
from spikec.checking.result import CheckResult
from spikec.checking.running import Request, run_check
from spikec.checking.settings import Settings
from spikec.checking.streams import Scaling, Where
from spikec.checking.thresholds import Thresholds, read_thresholds

__all__ = [
    "CheckResult",
    "Request",
    "Scaling",
    "Settings",
    "Thresholds",
    "Where",
    "World",
    "joined",
    "read_thresholds",
    "run_check",
    "world_of_environment",
]
