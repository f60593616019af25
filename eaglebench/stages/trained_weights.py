"""The weights that the finished stages of a run hand on to later ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from eaglebench.weights.misfits import copy_weights


@dataclass
class TrainedWeights:
    """The weights that the stages so far have trained.

    Attributes:
        weights: by full name (`experts.sam.network...`).
        origins: by part (`experts.sam`), the key of the artefact that its weights come from.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def load_into(self, parts: Mapping[str, nn.Module]) -> None:
        """Copy the trained weights into those of the named parts that have some.

        Raises:
            UserError: weights do not fit a part.
        """
        for name, part in parts.items():
            if name in self.origins:
                prefix = f"{name}."
                own = {key.removeprefix(prefix): value for key, value in self.weights.items() if key.startswith(prefix)}
                copy_weights(part, own, f"the finished stage behind {name}")

    def add(self, key: str, parts: Sequence[str], weights: Mapping[str, Tensor]) -> None:
        """Add the weights of an artefact, in place of earlier ones.

        Args:
            key: of the artefact.
            parts: that it has weights of.
            weights: by full name.
        """
        self.weights.update(weights)
        self.origins.update(dict.fromkeys(parts, key))
