"""The contract before `rdserve-model/1`: checkpoints of our own families, binary or one-hot.

Read for good, written no more.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from rdserve.models.card_parts import (
    ONE_HOT,
    Architecture,
    InputSpec,
    LikelihoodSpec,
    Name,
    Part,
    ReferenceScores,
    TrainedObjective,
    Training,
    TrainingData,
    Version,
    Weights,
    list_as_tuple,
)


class BinaryInput(Part):
    """Height and width of an image, and how its grey levels became 0 or 1."""

    shape: Annotated[tuple[int, int], BeforeValidator(list_as_tuple)]
    binarisation: str


class CheckpointCard(Part):
    """`rdserve-checkpoint/1`."""

    format: Literal["rdserve-checkpoint/1"] = "rdserve-checkpoint/1"
    name: Name
    version: Version = "1.0"
    architecture: Architecture
    input: BinaryInput
    likelihood: Literal["bernoulli", "categorical"] = "bernoulli"
    objective: TrainedObjective
    data: TrainingData
    weights: Weights
    code_version: str
    training: Training = Field(default_factory=dict)
    reference: ReferenceScores

    @property
    def x(self) -> InputSpec:
        """The input as cards state it now."""
        kind: Literal["one_hot", "binary"] = "one_hot" if self.input.binarisation == ONE_HOT else "binary"
        return InputSpec(kind=kind, shape=self.input.shape, binarisation=self.input.binarisation)

    @property
    def law(self) -> LikelihoodSpec:
        """The likelihood as cards state it now."""
        return LikelihoodSpec(law=self.likelihood)
