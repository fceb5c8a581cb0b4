"""WHO takes part in a run: what every scenario that takes arrivals may say."""

from typing import Annotated

from pydantic import Field

from plans.durations import Duration
from plans.strict import Frozen

Share = Annotated[float, Field(gt=0, le=1000, description="weight of this scenario in the arrivals")]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Arriving(Frozen):
    """A scenario that takes a share of the arrivals."""

    share: Share = 1.0
    timeout: Duration = 30.0
