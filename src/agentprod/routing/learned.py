"""A router learned from recorded calls: how good each model's answer to a prompt is likely to be, in microseconds."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError
from agentprod.routing.encoder import WAVE_HEIGHT, WAVES, Encoder, Example, count_grams, gather, read_example
from agentprod.routing.features import BUCKETS, SURFACE
from agentprod.routing.goal import Goal
from agentprod.routing.policy import Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Choice", "LearnedRouter"]

_FORMAT = 1
_MOST_GOALS = 64
_PRIOR = Path(__file__).with_name("prior.npz")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model to call, and why."""

    model: str
    qualities: Mapping[str, float]
    """Expected quality of each model's answer, on the scale of the scores it was fitted on."""
    gain: float
    """Expected quality of the last model less that of the first: how hard the prompt is."""
    threshold: float
    """The price of quality that the goal sets: how much gain the whole cost of the dearest model has to bring."""


class LearnedRouter:
    """Expected quality of each model's answer to a prompt. Made by `fit`, kept in one file without any pickle.

    Immutable and safe to use from many threads; a decision takes about a tenth of a millisecond.

    Args:
        models: names, the cheapest first.

        encoder: turns prompts into vectors.

        means: mean quality of each model, shape `(models,)`.

        linear: weights of the standardised surface features, shape `(features, models)`.

        waves: weights of their Fourier features, shape `(WAVES, models)`.

        grams: weights of the n-gram buckets, shape `(BUCKETS, models)`.

        policy: what each threshold brings.

        about: where the model comes from, as JSON-able data.
    """

    def __init__(
        self,
        models: Sequence[str],
        encoder: Encoder,
        *,
        means: NDArray[np.float64],
        linear: NDArray[np.float64],
        waves: NDArray[np.float64],
        grams: NDArray[np.float64],
        policy: Policy,
        about: Mapping[str, Any],
    ) -> None:
        self.models = tuple(models)
        self.encoder = encoder
        self.policy = policy
        self.about = dict(about)
        self._means, self._linear, self._waves, self._grams = means, linear, waves, grams
        # What has no weight, as in the router of the package, need not be computed.
        self._has_waves, self._has_grams = bool(waves.any()), bool(grams.any())
        self._heights = (waves * WAVE_HEIGHT).astype("float32")
        self._thresholds: dict[Goal, float] = {}

    def __repr__(self) -> str:
        return f"LearnedRouter(models={self.models!r}, rows={self.about.get('rows')})"

    @classmethod
    def prior(cls) -> LearnedRouter:
        """Return the router that comes with the package, for when nothing is recorded yet.

        It knows two models, `"weak"` and `"strong"`, and looks at the surface of prompts alone: questions with
        negations, conditions and repeated words are harder, whatever the models. It is fitted on recorded answers of
        RouteLLM (Apache-2.0) and LLMRouter (MIT); on models and prompts of yours it is better than a coin and not much
        more. `about` says what it was fitted on.
        """
        return cls.load(_PRIOR)

    def predict(self, prompt: str, *, answer: str | None = None, checks: Mapping[str, float] | None = None) -> Choice:
        """Return the expected quality of every model, and the best of them.

        Args:
            prompt: what is asked: `read_ask(request).text`.

            answer: the first answer, for a model fitted with answers.

            checks: results of checks on it, by the names it was fitted with; missing ones count as 0.
        """
        values = self._values(prompt, answer, checks)
        best = values.index(max(values))
        return self._choice(best, values, 0.0)

    def choose(
        self,
        prompt: str,
        goal: Goal,
        *,
        costs: Mapping[str, float] | None = None,
        among: Sequence[str] | None = None,
        answer: str | None = None,
        checks: Mapping[str, float] | None = None,
    ) -> Choice:
        """Choose the model for a prompt.

        Args:
            prompt: what is asked: `read_ask(request).text`.

            goal: what is to be reached on average.

            costs: expected dollars of this call by model, where known; recorded mean costs otherwise.

            among: the models that may be chosen; all when `None`.

            answer: the first answer, for a model fitted with answers.

            checks: results of checks on it.

        Returns:
            The choice.

        Raises:
            ConfigError: when no model is left, or the goal is in dollars and no costs were recorded.
        """
        allowed = [index for index, model in enumerate(self.models) if among is None or model in among]
        if not allowed:
            raise ConfigError("no model of the router is among those allowed")
        affordable = self.policy.within(goal, self.models, costs)
        allowed = [index for index in allowed if index in affordable] or allowed[:1]
        values = self._values(prompt, answer, checks)
        threshold = self._thresholds.get(goal)
        if threshold is None:
            if len(self._thresholds) >= _MOST_GOALS:
                self._thresholds.clear()
            threshold = self._thresholds[goal] = self.policy.threshold(goal)
        relative = self.policy.relative_costs(self.models, costs)
        worth = [value - threshold * cost for value, cost in zip(values, relative, strict=True)]
        best = max(allowed, key=lambda index: worth[index])
        return self._choice(best, values, threshold)

    def values(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return the expected quality of every model for many examples at once.

        Args:
            examples: at least one.

        Returns:
            Shape `(n, models)`.
        """
        import numpy as np

        surface, grams = gather(examples)
        result = self.encoder.scaled(surface) @ self._linear + self.encoder.waves(surface) @ self._waves + self._means
        weights = self.encoder.weigh(grams)
        for column in range(len(self.models)):
            found = weights * self._grams[grams.buckets, column]
            result[:, column] += np.bincount(grams.rows, found, grams.size)
        return result

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model to a file: arrays and JSON, nothing that runs when it is read.

        Args:
            path: of the file, usually ending in `.npz`.
        """
        import numpy as np

        about = {**self.about, "format": _FORMAT, "models": self.models, "policy": self.policy.as_dict()}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            about=np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8),
            mean=self.encoder.mean,
            scale=self.encoder.scale,
            rarity=self.encoder.rarity.astype(np.float16),
            means=self._means,
            linear=self._linear,
            waves=self._waves.astype(np.float32),
            grams=self._grams.astype(np.float16),
        )
        Path(path).write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> LearnedRouter:
        """Read a model from a file.

        Args:
            path: of a file that `save` wrote.

        Raises:
            ConfigError: when the file is missing or is not such a file.
        """
        from zipfile import BadZipFile

        import numpy as np

        try:
            # Opened here: numpy leaves a file open that turns out to be no archive.
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(arrays["about"].tobytes())
            if about["format"] != _FORMAT:
                raise ConfigError(f"{Path(path).name} was written by another version: fit the router again")
            _check(arrays, about["models"])
            encoder = Encoder(arrays["mean"], arrays["scale"], arrays["rarity"].astype(np.float64))
            return cls(
                about["models"],
                encoder,
                means=arrays["means"],
                linear=arrays["linear"],
                waves=arrays["waves"].astype(np.float64),
                grams=arrays["grams"].astype(np.float64),
                policy=Policy.from_dict(about["policy"]),
                about={name: value for name, value in about.items() if name not in ("format", "models", "policy")},
            )
        except FileNotFoundError as error:
            raise ConfigError(
                f"{Path(path).name}: there is no such file; `python -m agentprod router fit` writes one"
            ) from error
        except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile, zlib.error) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"{Path(path).name}: expected a file written by LearnedRouter.save") from error

    def _values(self, prompt: str, answer: str | None, checks: Mapping[str, float] | None) -> list[float]:
        """Return what `values` does for one example, in fewer steps."""
        import numpy as np

        names = self.about.get("checks", ())
        given = tuple(float((checks or {}).get(name, 0.0)) for name in names) if names else ()
        text = (answer or "") if self.encoder.has_answer else None
        surface, found = read_example(Example(prompt, text, given), grams=self._has_grams)
        scaled = self.encoder.scaled(np.array(surface))
        result: NDArray[np.float64] = scaled @ self._linear
        result += self._means
        if self._has_waves:
            result += self.encoder.turns(scaled) @ self._heights
        if len(found):
            buckets, counts = count_grams(found)
            counts *= self.encoder.rarity[buckets]
            result += (counts @ self._grams[buckets]) / max(float(counts @ counts) ** 0.5, 1e-12)
        return result.tolist()  # type: ignore[no-any-return]

    def _choice(self, best: int, values: list[float], threshold: float) -> Choice:
        qualities = dict(zip(self.models, values, strict=True))
        return Choice(self.models[best], qualities, values[-1] - values[0], threshold)


def _check(arrays: Mapping[str, NDArray[Any]], models: Any) -> None:
    """Refuse arrays that do not belong together: a file may come from anywhere.

    Raises:
        ValueError: what is wrong.
    """
    import numpy as np

    if not isinstance(models, list) or not models or not all(isinstance(name, str) for name in models):
        raise ValueError("models are a list of names")
    width, count = len(arrays["mean"]), len(models)
    shapes = {
        "mean": (width,), "scale": (width,), "rarity": (BUCKETS,), "means": (count,), "linear": (width, count),
        "waves": (WAVES, count), "grams": (BUCKETS, count),
    }  # fmt: skip
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} is not what it should be")
    if width < len(SURFACE) or not (arrays["scale"] > 0).all():
        raise ValueError("features do not fit")
