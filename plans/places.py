"""Where plans lie."""

from pathlib import Path


def plans_in(place: Path) -> list[Path]:
    """Return the plans that a path names; in a folder, all but those under base/, which others extend."""
    if not place.is_dir():
        return [place]
    return sorted(plan for plan in place.rglob("*.yaml") if "base" not in plan.relative_to(place).parts)
