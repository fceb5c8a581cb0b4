"""The columns of a batch of samples as numpy arrays, for whoever counts a second's samples at once."""

from collections.abc import Container, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def floats(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    """Return a column of numbers; nulls are NaN."""
    values: NDArray[np.float64] = batch.column(name).to_numpy(zero_copy_only=False)
    return values


def flags(batch: pa.RecordBatch, name: str) -> NDArray[np.bool_]:
    """Return a column of truth values."""
    values: NDArray[np.bool_] = batch.column(name).to_numpy(zero_copy_only=False)
    return values


def present(batch: pa.RecordBatch, name: str) -> NDArray[np.bool_]:
    """Return where a column has a value."""
    column = batch.column(name)
    if column.null_count == len(column):
        return np.zeros(len(column), dtype=np.bool_)
    values: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return values


def texts(batch: pa.RecordBatch, name: str) -> tuple[NDArray[np.int32], list[str]]:
    """Return a column of texts as the place of each in the list of the different ones."""
    encoded = batch.column(name).dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()


def among(batch: pa.RecordBatch, name: str, wanted: Container[str]) -> NDArray[np.bool_]:
    """Return where a column of texts has one of the wanted."""
    places, values = texts(batch, name)
    return np.array([value in wanted for value in values], dtype=np.bool_)[places]


def iterations(batch: pa.RecordBatch) -> Iterator[tuple[str, str, int]]:
    """Yield phase, scenario, and how many samples of them stand for an arrival or an iteration."""
    chosen = flags(batch, "iteration")
    (phases, phase_names), (scenarios, scenario_names) = texts(batch, "phase"), texts(batch, "scenario")
    counts = np.bincount(phases[chosen] * len(scenario_names) + scenarios[chosen])
    for place in np.flatnonzero(counts).tolist():
        phase, scenario = divmod(place, len(scenario_names))
        yield phase_names[phase], scenario_names[scenario], int(counts[place])
