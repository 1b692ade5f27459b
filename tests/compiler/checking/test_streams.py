"""Samples batch by batch: the same as read at once, and never more than a batch in memory."""

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import spikec
from spikec.calibration import InputSpec
from spikec.checking import Request, Scaling, Where, run_check
from spikec.checking.images import frame_of, read_image
from spikec.checking.streams import Stream, open_stream
from spikec.errors import UsageError
from spikec.frontends import load_model
from tests.compiler.checking.conftest import write_pictures
from tests.models import tiny

F32 = np.dtype(np.float32)
VECTOR, PICTURE = InputSpec("x", F32, (None, 6)), InputSpec("image", F32, (None, 3, 6, 6))
MEBIBYTE = 2**20


def _all(stream: Stream, size: int = 7, parts: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Every sample, read by several in turn."""
    found = [b for rank in range(parts) for b in stream.batches(size, lambda n, rank=rank: n % parts == rank)]
    found.sort(key=lambda batch: batch.start)
    feeds = {name: np.concatenate([batch.feeds[name] for batch in found]) for name in found[0].feeds}
    labels = None if found[0].labels is None else np.concatenate([batch.labels for batch in found])
    return feeds, labels


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1, 40), size=st.integers(1, 50), parts=st.integers(1, 4), packed=st.booleans())
def test_an_npz_arrives_whole(tmp_path_factory: Any, samples: int, size: int, parts: int, packed: bool) -> None:
    path = tmp_path_factory.mktemp("npz") / "d.npz"
    generator = np.random.default_rng(samples)
    arrays = {"x": generator.random((samples, 6), np.float32), "m": generator.integers(0, 9, (samples, 2, 3))}
    labels = generator.integers(0, 9, samples)
    (np.savez_compressed if packed else np.savez)(path, labels=labels, **arrays)
    stream = open_stream(Where(path), [VECTOR, InputSpec("m", np.dtype(np.int64), (None, 2, None))])
    feeds, told = _all(stream, size, parts)
    assert stream.samples == samples
    np.testing.assert_array_equal(told, labels)
    for name, array in arrays.items():
        np.testing.assert_array_equal(feeds[name], array)


def test_batches_that_belong_to_others_are_not_looked_at(tmp_path: Path) -> None:
    x = np.zeros((20, 6), np.float32)
    x[12] = np.nan
    np.savez(tmp_path / "d.npz", x=x)
    stream = open_stream(Where(tmp_path / "d.npz"), [VECTOR])
    assert [batch.start for batch in stream.batches(5, lambda number: number % 2 == 1)] == [5, 15]
    with pytest.raises(UsageError, match="NaN"):
        list(stream.batches(5, lambda number: number % 2 == 0))


def test_an_entry_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", "no array")
    with pytest.raises(UsageError, match="cannot be read"):
        open_stream(Where(tmp_path / "d.npz"), [VECTOR])


def test_an_array_that_is_cut_short(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", x=np.zeros((20, 6), np.float32))
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", whole.read("x.npy")[:-50])
    with pytest.raises(UsageError, match="cut short"):
        _all(open_stream(Where(tmp_path / "d.npz"), [VECTOR]))


def test_labels_may_be_an_input(tmp_path: Path) -> None:
    labels = np.arange(4)
    np.savez(tmp_path / "d.npz", labels=labels)
    stream = open_stream(Where(tmp_path / "d.npz"), [InputSpec("labels", np.dtype(np.int64), (None,))])
    feeds, told = _all(stream)
    np.testing.assert_array_equal(feeds["labels"], labels)
    assert told is None


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    write_pictures(tmp_path, 25, classes=11)  # folders 0 to 10: 10 stands behind 1 in the alphabet, not among numbers
    stream = open_stream(Where(tmp_path), [PICTURE])
    feeds, labels = _all(stream)
    assert feeds["image"].shape == (25, 3, 6, 6) and feeds["image"].dtype == np.float32
    assert labels.tolist() == [int(file.parent.name) for file in stream.files]
    assert set(labels.tolist()) == set(range(11))
    (tmp_path / "10").rename(tmp_path / "zebra")
    names = sorted([*map(str, range(10)), "zebra"])
    stream = open_stream(Where(tmp_path), [PICTURE])
    assert stream.labels.tolist() == [names.index(file.parent.name) for file in stream.files]


def test_a_csv_gives_files_and_labels(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 6)
    rows = ["2/0005.png,40", "0/0000.png,7", "0/0003.png,0"]
    (tmp_path / "l.csv").write_text("file,label,note\n" + "".join(f"{row},\n" for row in rows))
    stream = open_stream(Where(tmp_path / "photos", tmp_path / "l.csv"), [PICTURE])
    assert stream.labels.tolist() == [40, 7, 0]
    assert [str(f.relative_to(tmp_path / "photos")) for f in stream.files] == [row.split(",")[0] for row in rows]
    assert "3 images" in stream.warnings[0] and "left out" in stream.warnings[0]


def test_loose_images_have_no_labels(tmp_path: Path) -> None:
    write_pictures(tmp_path / "all", 4, classes=1)
    assert open_stream(Where(tmp_path / "all" / "0"), [PICTURE]).labels is None
    Image.new("RGB", (6, 6)).save(tmp_path / "all" / "loose.png")
    with pytest.raises(UsageError, match=r"loose.png lies in no sub-folder"):
        open_stream(Where(tmp_path / "all"), [PICTURE])


def test_pixels_are_scaled_as_asked(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    scaling = Scaling(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    expected = (pixels / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    found = read_image(tmp_path / "a.png", frame_of(InputSpec("x", F32, (None, 3, 6, 5)), False), scaling)
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)
    last = read_image(tmp_path / "a.png", frame_of(InputSpec("x", F32, (None, 6, 5, 3)), False), scaling)
    np.testing.assert_array_equal(last.transpose(2, 0, 1), found)
    bytes_ = read_image(
        tmp_path / "a.png", frame_of(InputSpec("x", np.dtype(np.uint8), (None, 3, None, None)), False), Scaling()
    )
    np.testing.assert_array_equal(bytes_, pixels.transpose(2, 0, 1))
    grey = read_image(tmp_path / "a.png", frame_of(InputSpec("x", F32, (None, 1, 6, 5)), False), Scaling())
    np.testing.assert_array_equal(grey[0], np.asarray(Image.fromarray(pixels).convert("L"), np.float32) / 255)


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40))
def test_resizing_keeps_the_middle(tmp_path_factory: Any, width: int, height: int) -> None:
    """A picture that is red in its middle third keeps it, whatever its size, and fits."""
    path = tmp_path_factory.mktemp("resize") / "a.png"
    Image.new("RGB", (width, height), (200, 10, 10)).save(path)
    found = read_image(path, frame_of(InputSpec("x", F32, (None, 3, 9, 12)), True), Scaling(resize=True))
    assert found.shape == (3, 9, 12)
    np.testing.assert_allclose(found[0], 200 / 255, atol=1e-6)


def test_resizing_crops_the_longer_side(tmp_path: Path) -> None:
    pixels = np.zeros((6, 18, 3), np.uint8)
    pixels[:, 6:12] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    frame = frame_of(PICTURE, True)
    assert (read_image(tmp_path / "a.png", frame, Scaling(resize=True)) == 1).all()


def test_pictures_that_models_do_not_take() -> None:
    for spec, words in (
        (InputSpec("x", F32, (None, 2, 6, 7)), "no picture"),
        (InputSpec("x", np.dtype(np.int64), (None, 3, 6, 6)), "which no picture becomes"),
    ):
        with pytest.raises(UsageError, match=words):
            frame_of(spec, False)
    with pytest.raises(UsageError, match="one size"):
        frame_of(InputSpec("x", F32, (None, 3, None, None)), True)


def test_images_of_several_sizes_need_batches_of_one(tmp_path: Path) -> None:
    for name, size in (("a", (4, 4)), ("b", (5, 4))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    stream = open_stream(Where(tmp_path), [InputSpec("x", F32, (None, 3, None, None))])
    with pytest.raises(UsageError, match="differ in size"):
        _all(stream)
    assert [batch.feeds["x"].shape for batch in stream.batches(1, lambda n: True)] == [(1, 3, 4, 4), (1, 3, 4, 5)]


def _peak(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_2000_images_of_an_npz_need_the_memory_of_a_batch(tmp_path: Path) -> None:
    images = np.ones((2000, 3, 64, 64), np.float32)  # 94 MiB, 3 MiB a batch
    np.savez_compressed(tmp_path / "d.npz", image=images)
    stream = open_stream(Where(tmp_path / "d.npz"), [InputSpec("image", F32, (None, 3, 64, 64))])
    del images
    assert _peak(lambda: [batch.start for batch in stream.batches(64, lambda n: True)]) < 16 * MEBIBYTE


WIDE = """wide (float[N, 3, 32, 32] image) => (float[N, 3] scores) {
  [conv] a = Conv<pads = [1, 1, 1, 1]>(image, k1, c1) [act] h = Relu(a)
  [pool] p = GlobalAveragePool(h) [flat] f = Flatten(p) [head] scores = Gemm(f, w3, b3)
}"""


def test_2000_images_of_a_folder_are_checked_in_the_memory_of_few(tmp_path: Path) -> None:
    """As arrays they would be 23 MiB."""
    generator = np.random.default_rng(0)
    extra = {"k1": generator.standard_normal((4, 3, 3, 3)), "w3": generator.standard_normal((4, 3))}
    model = tiny.build(WIDE, extra={name: value.astype(np.float32) for name, value in extra.items()})
    calibration = generator.random((16, 3, 32, 32), np.float32)
    artifact = spikec.compile(model, calibration=calibration, steps=2).model
    for name, count in (("few", 128), ("many", 2000)):
        write_pictures(tmp_path / name, count, size=(32, 32))

    def check(name: str) -> None:
        where = Where(tmp_path / name)
        assert run_check(Request(load_model(model), artifact, where)).data.samples == len(
            list(where.data.rglob("*.png"))
        )

    check("few")  # what is loaded once
    few, many = (_peak(lambda name=name: check(name)) for name in ("few", "many"))
    assert many < few + 4 * MEBIBYTE
