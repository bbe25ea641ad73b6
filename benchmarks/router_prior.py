"""Fit the router that comes with the package, on sets whose licences allow it, and write it.

    AGENTPROD_DATA=... python benchmarks/router_prior.py

It is a ridge regression of what the strong model gains on surface features alone. `benchmarks/router.py` measures it
on each set with that set left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from recorded import Recorded, load

import agentprod.routing.learned
from agentprod.routing.encoder import WAVES, Encoder
from agentprod.routing.features import BUCKETS, SURFACE, surface_features, tokens_of
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.policy import Policy

__all__ = ["fit_prior"]

# Left out: how long a prompt is and how it lists options differs between collections of prompts more than it tells
# about them, and hardly any of those it is fitted on are in other scripts.
LEFT_OUT = {
    "log words", "log words squared", "log sentences", "words in a sentence", "three or more sentences", "log lines",
    "share of commas", "two or more options", "five or more options", "share of other scripts", "share of hanzi",
}  # fmt: skip
ABOUT = (
    "Fitted by benchmarks/router_prior.py on recorded correctness: lm-sys/RouteLLM (Apache-2.0) MMLU and GSM8K answers "
    "of Mixtral 8x7B and GPT-4, and ulab-uiuc/LLMRouter (MIT), 14 tasks, the mean of five models of 7 to 9 billion "
    "parameters against that of two of about 50. Thirty weights; no prompt can be read from them."
)


def fit_prior(sources: list[Recorded], about: str) -> LearnedRouter:
    """Fit it; every source has the same weight."""
    surfaces = [
        np.array([surface_features(prompt, tokens_of(prompt)) for prompt in source.prompts]) for source in sources
    ]
    rows = np.vstack(surfaces)
    gain = np.concatenate([(s := source.strong - source.weak) - s.mean() for source in sources])
    weight = np.concatenate([np.full(len(source.prompts), 1 / len(source.prompts)) for source in sources])
    weight /= weight.sum()
    mean = weight @ rows
    scale = np.sqrt(weight @ (rows - mean) ** 2) + 1e-3
    used = np.array([name not in LEFT_OUT for name in SURFACE])
    scaled = np.clip((rows - mean) / scale, -4, 4) * used
    beta = np.linalg.solve((scaled * weight[:, None]).T @ scaled + np.eye(len(SURFACE)), scaled.T @ (weight * gain))
    weak = float(np.mean([source.weak.mean() for source in sources]))
    strong = float(np.mean([source.strong.mean() for source in sources]))
    linear = np.column_stack([np.zeros(len(SURFACE)), beta * used])
    values = scaled @ linear + [weak, strong]
    drawn = np.random.default_rng(0).choice(len(rows), 6000, p=weight)
    scores = np.column_stack([np.concatenate([getattr(s, side) for s in sources]) for side in ("weak", "strong")])
    policy = Policy.measure(values[drawn], scores[drawn], np.full((6000, 2), np.nan), None)
    return LearnedRouter(
        ("weak", "strong"),
        Encoder(mean, scale, np.ones(BUCKETS)),
        means=np.array([weak, strong]),
        linear=linear,
        waves=np.zeros((WAVES, 2)),
        grams=np.zeros((BUCKETS, 2)),
        policy=policy,
        about={"rows": len(rows), "provenance": about},
    )


def main() -> None:
    _, sources = load()
    path = Path(agentprod.routing.learned.__file__).with_name("prior.npz")
    fit_prior(list(sources.values()), ABOUT).save(path)
    print(f"wrote {path.name}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
