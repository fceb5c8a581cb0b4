"""Rows of the samples whose columns are fetched when they are asked for.

A selection of ten million samples needs three or four of thirty columns: copying them all, as a data frame does, costs
more time and memory than every figure that is made of them.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.statistics import Floats
from samples.sample import Outcome

Mask = NDArray[np.bool_]
Places = NDArray[np.integer[Any]]
Codes = NDArray[np.signedinteger[Any]]
Stored = NDArray[Any] | pd.Categorical
_FEW = 2**31
"""Rows that numbers of half the size can count."""


class Rows:
    """Some rows of a table of columns, in the table's order: numbers (a null is NaN), flags and categorical texts.

    `rows["column"]` is a pandas Series, numbered from 0.
    """

    def __init__(self, columns: dict[str, Stored], places: "slice | Places | None" = None) -> None:
        self._columns = columns
        self._length = len(next(iter(columns.values()))) if columns else 0
        self._places: slice | Places = slice(0, self._length) if places is None else places
        self._fetched: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self._places.stop - self._places.start if isinstance(self._places, slice) else len(self._places)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    @property
    def places(self) -> Places:
        """Numbers of the rows in the table."""
        return np.arange(self._places.start, self._places.stop) if isinstance(self._places, slice) else self._places

    def array(self, column: str) -> NDArray[Any]:
        """Return a column as it is stored: numbers, flags, or the codes of texts (-1 is null)."""
        if column not in self._fetched:
            stored = self._columns[column]
            whole: NDArray[Any] = stored.codes if isinstance(stored, pd.Categorical) else stored
            self._fetched[column] = whole[self._places]
        return self._fetched[column]

    def categories(self, column: str) -> "pd.Index[Any]":
        """Return the texts of a column by their codes."""
        stored = self._columns[column]
        assert isinstance(stored, pd.Categorical), column
        return stored.categories

    def __getitem__(self, column: str) -> "pd.Series[Any]":
        stored = self._columns[column]
        if isinstance(stored, pd.Categorical):
            return pd.Series(pd.Categorical.from_codes(self.array(column), dtype=stored.dtype), copy=False)
        return pd.Series(self.array(column), copy=False)

    def only(self, mask: Mask) -> "Rows":
        """Return the rows of the mask, without copying when these are all of them or stand together."""
        if mask.all():
            return self
        return self.at(np.flatnonzero(mask).astype(np.int32 if self._length < _FEW else np.int64))

    def between(self, first: int, last: int) -> "Rows":
        """Return the rows from number `first` to before `last`."""
        if isinstance(self._places, slice):
            return Rows(self._columns, slice(self._places.start + first, self._places.start + max(first, last)))
        return Rows(self._columns, self._places[first:last])

    def at(self, chosen: Places) -> "Rows":
        """Return the rows with these numbers, which ascend."""
        if isinstance(self._places, slice):
            first = self._places.start
            if len(chosen) and int(chosen[-1]) - int(chosen[0]) + 1 == len(chosen):
                return Rows(self._columns, slice(first + int(chosen[0]), first + int(chosen[-1]) + 1))
            return Rows(self._columns, chosen + first)
        return Rows(self._columns, self._places[chosen])


Frame = TypeVar("Frame", Rows, pd.DataFrame)


def numbers(frame: Rows | pd.DataFrame, column: str) -> Floats:
    """Return a numeric column; NaN where it is null."""
    if isinstance(frame, Rows):
        return frame.array(column).astype(np.float64, copy=False)
    return frame[column].to_numpy(dtype=np.float64)


def codes(rows: Rows, column: str) -> Codes:
    """Return the codes of a text column, -1 where it is null."""
    return rows.array(column)


def known(rows: Rows, column: str) -> Mask:
    """Return where a text column has a value."""
    mask: Mask = rows.array(column) >= 0
    return mask


def equals(frame: Rows | pd.DataFrame, column: str, value: StrEnum | str) -> Mask:
    """Return where a text column has this value."""
    if isinstance(frame, pd.DataFrame):
        return np.asarray(frame[column] == str(value), dtype=np.bool_)
    found = frame.categories(column)
    if str(value) not in found:
        return np.zeros(len(frame), dtype=np.bool_)
    mask: Mask = frame.array(column) == found.get_loc(str(value))
    return mask


def flags(rows: Rows, column: str) -> Mask:
    """Return a column of yes and no."""
    mask: Mask = rows.array(column)
    return mask


def among(rows: Rows, outcomes: Iterable[Outcome]) -> Mask:
    """Return where the outcome is one of these."""
    wanted = {outcome.value for outcome in outcomes}
    # The last entry is for code -1, which is no outcome.
    chosen = np.array([*(str(text) in wanted for text in rows.categories("outcome")), False], dtype=np.bool_)
    mask: Mask = chosen[rows.array("outcome")]
    return mask


def only(frame: Frame, mask: Mask) -> Frame:
    """Return the rows of the mask, without copying when these are all of them or stand together."""
    if isinstance(frame, Rows):
        return frame.only(mask)
    places = np.flatnonzero(mask)
    if len(places) == len(frame):
        return frame
    if len(places) and int(places[-1]) - int(places[0]) + 1 == len(places):
        return frame.iloc[int(places[0]) : int(places[-1]) + 1]
    return frame.iloc[places]
