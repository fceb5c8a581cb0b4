"""NVIDIA GPUs of this machine, by NVML. `python -m monitoring.gpu` prints one reading, or why there is none."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from monitoring.aside import Seen
from monitoring.pages import Unreadable

_FIGURES: dict[str, Callable[[Any, Any], float]] = {
    "utilisation_share": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    "memory_used_bytes": lambda nvml, gpu: float(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
    "power_w": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    "temperature_c": lambda nvml, gpu: float(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),
}


class GpuWatch:
    """Reads every GPU; a figure that a GPU does not tell is left out."""

    def __init__(self) -> None:
        """Open NVML. Raises Unreadable where there is no GPU, no driver, or no Python package for it."""
        try:
            import pynvml  # noqa: PLC0415 - an optional package
        except ImportError:
            raise Unreadable("no GPU is watched: the package nvidia-ml-py is not installed") from None
        self._nvml: Any = pynvml
        try:
            self._nvml.nvmlInit()
            self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            raise Unreadable(f"no GPU is watched: {error}") from None
        if not self._gpus:
            raise Unreadable("no GPU is watched: this machine has none")

    def __str__(self) -> str:
        return f"NVML ({len(self._gpus)} GPU{'s' if len(self._gpus) > 1 else ''})"

    def read(self) -> list[Seen]:
        """Return utilisation, memory, power and temperature by GPU. Raises Unreadable when there is nothing at all."""
        seen = [one for number, gpu in enumerate(self._gpus) for one in self._of(number, gpu)]
        if not seen:
            raise Unreadable("no GPU answers any more")
        return seen

    def _of(self, number: int, gpu: Any) -> Iterator[Seen]:
        for metric, figure in _FIGURES.items():
            with suppress(self._nvml.NVMLError):
                yield Seen("gpu", metric, figure(self._nvml, gpu), worker=str(number))


if __name__ == "__main__":
    try:
        for seen in GpuWatch().read():
            print(json.dumps({"gpu": seen.worker, "metric": seen.metric, "value": seen.value}))
    except Unreadable as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
