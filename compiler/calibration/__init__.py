"""Calibration: data in, a range for every neuron out."""

from spikec.calibration.amplitudes import NeuronSetting, calibrate
from spikec.calibration.data import Dataset, from_source, load_npz, random_data
from spikec.calibration.observation import Observation, observe
from spikec.calibration.signature import InputSpec, signature

__all__ = [
    "Dataset",
    "InputSpec",
    "NeuronSetting",
    "Observation",
    "calibrate",
    "from_source",
    "load_npz",
    "observe",
    "random_data",
    "signature",
]
