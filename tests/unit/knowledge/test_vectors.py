import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from knowledge.embedding import FloatArray
from knowledge.vectors import ExactScan, IndexDamaged, IndexFile, VectorIndex, id_array, pack_vectors, unpack_vectors

DIMENSION = 32


def unit_vectors(count: int, seed: int = 1) -> FloatArray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def filled(count: int = 300) -> VectorIndex:
    index = VectorIndex(DIMENSION)
    index.add_vectors(id_array(range(count)), unit_vectors(count).astype(np.float16))
    return index


def test_the_nearest_come_first_with_their_cosines() -> None:
    vectors, asked = unit_vectors(300), unit_vectors(1, seed=2)[0]
    found = filled().find_nearest(asked, 10)
    exact = vectors @ asked
    assert list(found) == list(np.argsort(-exact)[:10])
    assert list(found.values()) == pytest.approx(sorted(exact, reverse=True)[:10], abs=2e-3)


def test_an_empty_index_finds_nothing() -> None:
    assert VectorIndex(DIMENSION).find_nearest(unit_vectors(1)[0], 10) == {}


def test_ids_that_are_there_are_not_added_twice_and_missing_ones_not_removed() -> None:
    index = filled(10)
    index.add_vectors(id_array([3, 10]), unit_vectors(2, seed=5).astype(np.float16))
    assert len(index) == 11
    assert index.find_nearest(unit_vectors(10)[3], 1) == {3: pytest.approx(1.0, abs=2e-3)}
    index.remove_vectors(id_array([3, 99]))
    assert len(index) == 10
    assert 3 not in index.find_nearest(unit_vectors(10)[3], 10)


def test_the_sum_of_all_vectors_follows_what_is_added_and_removed() -> None:
    index = filled(50)
    index.remove_vectors(id_array(range(20)))
    assert index.vector_sum == pytest.approx(unit_vectors(50)[20:].sum(axis=0), abs=0.02)


def test_what_is_left_after_most_is_removed_is_still_found() -> None:
    index, vectors = filled(300), unit_vectors(300)
    index.remove_vectors(id_array(range(270)))
    assert all(next(iter(index.find_nearest(vectors[key], 1))) == key for key in range(270, 300))


def test_a_saved_index_comes_back_whole_and_private(tmp_path: Path) -> None:
    index = filled()
    record = index.save(tmp_path, "a.usearch", last_seq=7)
    loaded = VectorIndex.load(tmp_path, record, DIMENSION)
    asked = unit_vectors(1, seed=3)[0]
    assert loaded.find_nearest(asked, 10) == index.find_nearest(asked, 10)
    assert loaded.vector_sum == pytest.approx(index.vector_sum)
    assert (record.last_seq, record.count) == (7, 300)
    assert [path.name for path in tmp_path.iterdir()] == ["a.usearch"]
    assert stat.S_IMODE((tmp_path / "a.usearch").stat().st_mode) == 0o600


def test_an_empty_index_can_be_saved_and_loaded(tmp_path: Path) -> None:
    record = VectorIndex(DIMENSION).save(tmp_path, "a.usearch", last_seq=0)
    assert len(VectorIndex.load(tmp_path, record, DIMENSION)) == 0


@pytest.mark.parametrize("place", [0, 40, 0.3, 0.6, 0.9, -1])
def test_a_flipped_byte_anywhere_is_found_before_loading(tmp_path: Path, place: float) -> None:
    record = filled().save(tmp_path, "a.usearch", last_seq=1)
    data = bytearray((tmp_path / "a.usearch").read_bytes())
    data[int(place * len(data)) if 0 < place < 1 else int(place)] ^= 0x40
    (tmp_path / "a.usearch").write_bytes(data)
    with pytest.raises(IndexDamaged, match="not what was saved"):
        VectorIndex.load(tmp_path, record, DIMENSION)


def test_a_cut_or_missing_file_is_damaged(tmp_path: Path) -> None:
    record = filled().save(tmp_path, "a.usearch", last_seq=1)
    os.truncate(tmp_path / "a.usearch", 1000)
    with pytest.raises(IndexDamaged):
        VectorIndex.load(tmp_path, record, DIMENSION)
    (tmp_path / "a.usearch").unlink()
    with pytest.raises(IndexDamaged, match="cannot be read"):
        VectorIndex.load(tmp_path, record, DIMENSION)


def test_an_intact_file_of_other_dimensions_is_refused(tmp_path: Path) -> None:
    record = filled().save(tmp_path, "a.usearch", last_seq=1)
    with pytest.raises(IndexDamaged, match="vectors of 64 numbers"):
        VectorIndex.load(tmp_path, record, 64)


def test_an_intact_file_with_another_count_is_refused(tmp_path: Path) -> None:
    record: IndexFile = replace(filled().save(tmp_path, "a.usearch", last_seq=1), count=299)
    with pytest.raises(IndexDamaged, match="300 vectors instead of 299"):
        VectorIndex.load(tmp_path, record, DIMENSION)


def test_a_disk_that_is_full_leaves_the_old_file_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(5).save(tmp_path, "old.usearch", last_seq=1)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        filled().save(tmp_path, "new.usearch", last_seq=2)
    assert [path.name for path in tmp_path.iterdir()] == ["old.usearch"]


def test_an_exact_scan_over_chunks_finds_what_a_full_scan_finds() -> None:
    vectors, asked = unit_vectors(300), unit_vectors(1, seed=2)[0]
    scan = ExactScan(asked, 10)
    for start in range(0, 300, 70):
        scan.add_vectors(id_array(range(start, min(start + 70, 300))), vectors[start : start + 70].astype(np.float16))
    assert list(scan.nearest) == list(np.argsort(-(vectors @ asked))[:10])
    assert scan.vector_count == 300
    assert scan.vector_sum == pytest.approx(vectors.sum(axis=0), abs=0.1)


def test_stored_vectors_keep_their_values_to_float16() -> None:
    vectors = unit_vectors(5)
    assert unpack_vectors(pack_vectors(vectors), DIMENSION) == pytest.approx(vectors, abs=1e-3)
    assert all(len(blob) == 2 * DIMENSION for blob in pack_vectors(vectors))
