"""What an encoder can be taught, and the loss of sentence-transformers that teaches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from semsearch.errors import DataError

if TYPE_CHECKING:
    from semsearch.training.examples import Shape

ObjectiveName = Literal[
    "classification",
    "regression",
    "cosent",
    "angle",
    "triplet",
    "simcse",
    "supervised-simcse",
    "contrastive",
    "distil",
]
OBJECTIVES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)

CONCATENATIONS = (
    "u,v,|u-v|",
    "u,v",
    "|u-v|",
    "u*v",
    "|u-v|,u*v",
    "u,v,u*v",
    "u,v,|u-v|,u*v",
)
"""What the softmax classifier sees of two embeddings: the rows of Sentence-BERT's Table 6."""

Distance = Literal["mse", "cosine"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)


@dataclass(frozen=True, slots=True)
class Objective:
    """What is learnt, from what, and how its paper trains it.

    Attributes:
        shapes: the shapes of examples it learns from, the usual one first.
        batch_size: examples a step.
        learning_rate: of AdamW, at its highest.
        warmup: share of the steps in which the learning rate rises; it falls linearly then.
        in_batch: the other examples of a batch are negatives, so they must say something else.
    """

    summary: str
    source: str
    shapes: tuple[Shape, ...]
    batch_size: int
    learning_rate: float
    epochs: int
    warmup: float
    in_batch: bool = False

    def batch_of(self, most: int | None) -> int:
        """Examples of a step, where a batch can have `most` of them; None for any number."""
        return self.batch_size if most is None else max(2, min(self.batch_size, most))


RECORDS: Mapping[ObjectiveName, Objective] = {
    "classification": Objective(
        "softmax over (u, v, |u-v|), for pairs with a label such as entailment",
        "Reimers and Gurevych 2019, arXiv:1908.10084, section 3",
        ("labelled",),
        batch_size=16,
        learning_rate=2e-5,
        epochs=1,
        warmup=0.1,
    ),
    "regression": Objective(
        "mean squared error of the cosine, for pairs with a score",
        "Reimers and Gurevych 2019, arXiv:1908.10084, section 3",
        ("scored",),
        batch_size=16,
        learning_rate=2e-5,
        epochs=4,
        warmup=0.1,
    ),
    "cosent": Objective(
        "pairs with a higher score get a higher cosine, whatever the values",
        "Su 2022, kexue.fm/archives/8847",
        ("scored",),
        batch_size=32,
        learning_rate=2e-5,
        epochs=4,
        warmup=0.1,
    ),
    "angle": Objective(
        "as cosent, by the angle in complex space, which does not go flat near a cosine of 1",
        "Li and Li 2023, arXiv:2309.12871",
        ("scored",),
        batch_size=32,
        learning_rate=2e-5,
        epochs=4,
        warmup=0.1,
    ),
    "triplet": Objective(
        "an anchor nearer to its positive than to its negative, by a margin of 1 (Euclidean)",
        "Reimers and Gurevych 2019, arXiv:1908.10084, section 3",
        ("triplets",),
        batch_size=16,
        learning_rate=2e-5,
        epochs=1,
        warmup=0.1,
    ),
    "simcse": Objective(
        "a sentence finds itself under another dropout mask among those of its batch",
        "Gao et al. 2021, arXiv:2104.08821, eq. 4",
        ("sentences",),
        batch_size=64,
        learning_rate=3e-5,
        epochs=1,
        warmup=0.0,
        in_batch=True,
    ),
    "supervised-simcse": Objective(
        "a sentence finds what it entails, not what contradicts it nor those of its batch",
        "Gao et al. 2021, arXiv:2104.08821, eq. 5",
        ("triplets",),
        batch_size=512,
        learning_rate=5e-5,
        epochs=3,
        warmup=0.0,
        in_batch=True,
    ),
    "contrastive": Objective(
        "a phrasing finds another of its standard question among those of its batch",
        "van den Oord et al. 2018, arXiv:1807.03748; Henderson et al. 2017, arXiv:1705.00652",
        ("pairs", "triplets"),
        batch_size=64,
        learning_rate=5e-5,
        epochs=3,
        warmup=0.1,
        in_batch=True,
    ),
    "distil": Objective(
        "the vectors of a teacher, for a smaller encoder or another language",
        "Reimers and Gurevych 2020, arXiv:2004.09813, eq. 1",
        ("sentences", "pairs"),
        batch_size=64,
        learning_rate=2e-5,
        epochs=1,
        warmup=0.1,
    ),
}


@dataclass(frozen=True, slots=True)
class LossOptions:
    """What can be set of the losses, with the papers' values.

    Attributes:
        temperature: cosines are divided by it, of simcse, contrastive, cosent and angle, and in
            the ranking of distil.
        margin: of triplet.
        concatenation: one of CONCATENATIONS, of classification.
        dims: Matryoshka: the loss is also taken of the first so many dimensions
            (Kusupati et al. 2022, arXiv:2205.13147); at half the weight by `DistillationLoss`, and
            not of classification, whose classifier sees whole vectors.
        mini_batch: examples that go through the encoder at a time while the whole batch gives
            the negatives (GradCache, Gao et al. 2021, arXiv:2101.06983); None for all at once.
        distance: of distil, to the teacher's vector; see `distillation.DistillationLoss`.
        similarities: of distil, the weight of the similarities within a batch.
        ranking: of distil, the weight of finding one's own target among those of the batch.
    """

    temperature: float = 0.05
    margin: float = 1.0
    concatenation: str = CONCATENATIONS[0]
    dims: tuple[int, ...] = ()
    mini_batch: int | None = None
    distance: Distance = "mse"
    similarities: float = 0.0
    ranking: float = 0.0

    def __post_init__(self) -> None:
        if self.concatenation not in CONCATENATIONS:
            names = "; ".join(CONCATENATIONS)
            raise DataError(f"unknown concatenation {self.concatenation!r}. Choose from: {names}.")
        if not self.temperature > 0 or not self.margin > 0:
            raise DataError("temperature and margin must be above 0.")
        if self.distance not in DISTANCES:
            raise DataError(f"unknown distance {self.distance!r}. Choose from: mse, cosine.")
        if not self.similarities >= 0 or not self.ranking >= 0:
            raise DataError("similarities and ranking are weights of at least 0.")

    @property
    def distils_more(self) -> bool:
        """Whether distil is to learn by more, or by something else, than the paper's MSE."""
        return self.distance != "mse" or self.similarities > 0 or self.ranking > 0


def build_loss(
    name: ObjectiveName, model: Any, options: LossOptions | None = None, n_labels: int = 0
) -> Any:
    """The loss of an objective over a SentenceTransformer, a torch.nn.Module.

    Args:
        n_labels: how many classes there are, for classification.
    """
    from sentence_transformers.sentence_transformer import losses

    options = options or LossOptions()
    scale = 1 / options.temperature
    makers: Mapping[ObjectiveName, Callable[[], Any]] = {
        "classification": lambda: losses.SoftmaxLoss(
            model,
            model.get_embedding_dimension(),
            n_labels,
            concatenation_sent_rep="u,v" in options.concatenation,
            concatenation_sent_difference="|u-v|" in options.concatenation,
            concatenation_sent_multiplication="u*v" in options.concatenation,
        ),
        "regression": lambda: losses.CosineSimilarityLoss(model),
        "cosent": lambda: losses.CoSENTLoss(model, scale),
        "angle": lambda: losses.AnglELoss(model, scale),
        "triplet": lambda: losses.TripletLoss(model, triplet_margin=options.margin),
        "distil": lambda: _distil(losses, model, options),
    }
    if RECORDS[name].in_batch:
        loss = _in_batch(losses, model, scale, options.mini_batch)
    else:
        loss = makers[name]()
    if options.dims and name != "classification":
        width = model.get_embedding_dimension()
        if max(options.dims) > width or min(options.dims) < 1:
            raise DataError(f"the encoder has {width} dimensions; {max(options.dims)} do not fit.")
        dims = sorted({width, *options.dims}, reverse=True)
        halved = name == "distil" and options.distils_more
        weights = [0.5 if halved and dim < width else 1.0 for dim in dims]
        loss = losses.MatryoshkaLoss(model, loss, dims, weights)
    return loss


def _distil(losses: Any, model: Any, options: LossOptions) -> Any:
    if not options.distils_more:
        return losses.MSELoss(model)
    from semsearch.training.distillation import DistillationLoss

    return DistillationLoss(
        model,
        options.distance,
        similarities=options.similarities,
        ranking=options.ranking,
        temperature=options.temperature,
    )


def _in_batch(losses: Any, model: Any, scale: float, mini_batch: int | None) -> Any:
    if mini_batch is None:
        return losses.MultipleNegativesRankingLoss(model, scale)
    return losses.CachedMultipleNegativesRankingLoss(model, scale, mini_batch_size=mini_batch)
