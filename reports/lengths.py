"""Were prompts and answers as long as the plan or the recording wants them? The server's tokenizer decides."""

import numpy as np

from reports.rows import Rows, equals, numbers
from samples.sample import Outcome, TokenSource

_OFF = 0.1
"""Beyond this share of the wanted length a test is about other prompts than its plan says."""


def length_notes(samples: Rows) -> list[str]:
    """Return the wanted lengths beside those that the server counted, and what to do when they differ."""
    notes = []
    ok = equals(samples, "outcome", Outcome.OK)
    wanted = np.where(ok, numbers(samples, "wanted_prompt_tokens"), np.nan)
    if np.isfinite(wanted).any():
        counted = np.where(np.isfinite(wanted), numbers(samples, "prompt_tokens"), np.nan)
        both = np.isfinite(counted)
        if not both.any():
            notes.append("Nobody knows how long the prompts were: the server reported no prompt_tokens.")
        else:
            means = float(counted[both].mean()), float(wanted[both].mean())
            advice = "Set chars_per_token of the prompts to {:.3g} times its value, or give the model's tokenizer."
            notes.append(_compared("Prompts", *means, advice.format(means[1] / max(means[0], 1e-9))))
    wanted = np.where(
        ok & equals(samples, "token_source", TokenSource.USAGE), numbers(samples, "wanted_output_tokens"), np.nan
    )
    counted = numbers(samples, "output_tokens")
    both = np.isfinite(wanted) & np.isfinite(counted)
    if both.any():
        advice = "Answers end where the model ends them; ignore_eos of the prompts asks servers that know it to go on."
        notes.append(_compared("Answers", float(counted[both].mean()), float(wanted[both].mean()), advice))
    return notes


def _compared(what: str, counted: float, wanted: float, advice: str) -> str:
    text = f"{what} had {counted:.1f} tokens by the server's count where {wanted:.1f} were wanted, on average"
    off = abs(counted - wanted) > _OFF * wanted
    return f"{text}: {counted / wanted - 1:+.0%}. {advice}" if off and wanted > 0 else f"{text}."
