"""Checkpoints: whole and of ours, or refused."""

from __future__ import annotations

import hashlib
import io
import os
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import TrainingError
from pipeline_lib.train.checkpoint import KEEP, MAGIC, CheckpointFolder, read_checkpoint, write_checkpoint
from tests.train.tiny_problem import run

STATE = {"network": {"a": torch.arange(6.0).reshape(2, 3)}, "epoch": 3, "history": [{"loss": 0.5}], "none": None}


def test_round_trip(tmp_path):
    write_checkpoint(tmp_path / "x.ckpt", STATE)
    state = read_checkpoint(tmp_path / "x.ckpt")
    assert torch.equal(state["network"]["a"], STATE["network"]["a"])
    assert {k: v for k, v in state.items() if k != "network"} == {k: v for k, v in STATE.items() if k != "network"}


@given(st.data())
@settings(max_examples=60)
def test_every_truncation_and_every_flipped_bit_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("c") / "x.ckpt"
    write_checkpoint(path, STATE)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    with pytest.raises(TrainingError, match=r"SHA-256|not a whole checkpoint"):
        read_checkpoint(path)


def test_foreign_checkpoint_is_refused(tmp_path):
    torch.save(STATE, tmp_path / "x.ckpt")
    with pytest.raises(TrainingError, match="not a whole checkpoint of this program"):
        read_checkpoint(tmp_path / "x.ckpt")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("writer", ["torch", "pickle", "instantiator"])
def test_malicious_pickle_with_a_right_hash_never_runs(writer, tmp_path):
    sprung = tmp_path / "sprung"
    buffer = io.BytesIO()
    if writer == "torch":
        torch.save({"x": Trap(sprung)}, buffer)
    elif writer == "pickle":
        buffer.write(pickle.dumps({"x": Trap(sprung)}))
    else:  # plain values that name code to call must stay plain values
        torch.save({"hyper_parameters": {"_instantiator": "os.mkdir", "path": str(sprung)}}, buffer)
    payload = buffer.getvalue()
    path = tmp_path / "x.ckpt"
    path.write_bytes(MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
    if writer == "instantiator":
        assert read_checkpoint(path)["hyper_parameters"]["_instantiator"] == "os.mkdir"
    else:
        with pytest.raises(TrainingError, match="something else than plain values"):
            read_checkpoint(path)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))  # the trap itself works
    assert sprung.exists()


def test_bytes_do_not_tell_which_texts_are_one_object(tmp_path):
    """After a resume, the texts of earlier epochs come from the file and those of later ones from the code."""
    rows = [{"epoch": epoch, "train_loss": 0.5} for epoch in range(3)]
    apart = [{"".join(list(key)): value for key, value in row.items()} for row in rows]
    for name, history in {"one": rows, "apart": apart}.items():
        write_checkpoint(tmp_path / name, {**STATE, "record": {"history": history}})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "apart").read_bytes()


def test_last_two_are_kept_and_the_newest_whole_one_is_found(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path)
    for epoch in range(1, 6):
        folder.save(epoch, {**STATE, "epoch": epoch})
    assert sorted(f.name for f in tmp_path.iterdir()) == [f"epoch-{e:06d}.ckpt" for e in range(6 - KEEP, 6)]
    assert folder.latest()[1]["epoch"] == 5
    folder.path(5).write_bytes(b"")
    assert folder.latest()[1]["epoch"] == 4
    assert "epoch-000005" in caplog.text
    folder.path(4).write_bytes(folder.path(4).read_bytes()[:-1])
    assert folder.latest() is None


def test_state_that_is_not_plain_cannot_be_read_back(tmp_path):
    write_checkpoint(tmp_path / "x.ckpt", {"path": tmp_path})
    with pytest.raises(TrainingError, match="plain values"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_folder_that_cannot_be_written_fails_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="checkpoint is lost"):
        write_checkpoint(tmp_path / "file" / "x.ckpt", STATE)
    with pytest.raises(TrainingError, match="checkpoint is lost"):
        run(tmp_path / "file" / "run", max_epochs=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_fails_the_training(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(TrainingError, match="checkpoint is lost"):
            run(tmp_path, max_epochs=1)
    finally:
        tmp_path.chmod(0o700)


def test_newest_is_the_one_furthest_on_be_it_within_an_epoch(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path)
    for epoch, batch in [(2, 0), (2, 7), (2, 11)]:
        folder.save(epoch, {"epoch": epoch, "batch": batch}, batch=batch)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["batch-000002-000007.ckpt", "batch-000002-000011.ckpt"]
    folder.path(2, 11).write_bytes(b"damaged")
    assert folder.latest() == (folder.path(2, 7), {"epoch": 2, "batch": 7})
    folder.save(3, {"epoch": 3})
    assert folder.latest() == (folder.path(3), {"epoch": 3})
    assert folder.saved
