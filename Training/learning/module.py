"""How a network learns: loss, optimiser, schedule, what is logged."""

import math
from collections.abc import Iterator, Mapping
from functools import partial

import lightning
import torch
from lightning.pytorch.callbacks import Timer
from torch.nn import functional

from StrokeSegLib import models, networks
from StrokeSegLib.errors import DataError
from Training.learning.losses import (
    boundary,
    dice_loss,
    focal,
    generalised_dice,
    soft_dice,
    squared_dice,
    weighted_mean,
)
from Training.recipes.recipe import Recipe
from Training.tasks.trainable import TRAINABLE, Output

WARM_UP = 0.15
"""Part of the one-cycle schedule over which the rate rises."""

ADADELTA_RHO = 0.95
"""Value for the published CT perfusion network; torch's default is 0.9."""


class Learning(lightning.LightningModule):
    """A network of slices, patches or volumes; its outputs' classes are those that its method learns, and background.

    Arrays of volumes have one axis more than said below: ``(…, slice, row, column)``.

    Args:
        recipe: all settings.
    """

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        in_volumes = TRAINABLE[recipe.method].in_volumes
        channels_last = torch.channels_last_3d if in_volumes else torch.channels_last
        self._memory = channels_last if recipe.optimisation.channels_last else torch.contiguous_format
        architecture = networks.Architecture(recipe.network.name, recipe.network.arguments)
        self.network = networks.build(architecture).train().to(memory_format=self._memory)
        if recipe.network.initial:
            initial = models.open_bundle(recipe.network.initial).load_networks()[0]
            self.network.load_state_dict(widened(initial.state_dict(), self.network.state_dict()))
        if recipe.network.initial_encoder:
            state = models.open_bundle(recipe.network.initial_encoder).load_networks()[0].encoder.state_dict()
            for name, module in self.network.named_modules():
                if name.rpartition(".")[2] == "encoder":
                    module.load_state_dict(state)
        if recipe.optimisation.batch_norm_momentum is not None:
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = recipe.optimisation.batch_norm_momentum
        outputs = enumerate(TRAINABLE[recipe.method].outputs)
        self._part = recipe.network.trained
        self._outputs = {place: output for place, output in outputs if self._part in (None, output.part)}
        if not self._outputs:
            raise DataError(f"The recipe cannot be used: the network has no part “{self._part}”.")
        self._classes = [name for output in self._outputs.values() for name in output.classes]
        self.register_buffer("_overlap", torch.zeros(len(self._classes), 2, dtype=torch.float64), persistent=False)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Loss of logits ``(batch, channel, row, column)`` against labels, summed over the outputs that learn.

        Args:
            logits: channels of these outputs, one after another.
            labels: ``(batch, row, column)``, or ``(batch, output, row, column)`` of a network with several outputs.
            weights: ``(batch, row, column)`` 0…1, how much each pixel counts for the output of lesions, the first one.
        """
        everything = torch.ones_like(weights)
        return sum(
            self._output_loss(part, reference, weights if place == 0 else everything)
            for place, _, part, reference in self._split(logits, labels)
        )

    def _output_loss(self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Loss of one output's logits ``(batch, class, row, column)`` against labels ``(batch, row, column)``."""
        shares, value = self.recipe.loss, logits.new_zeros(())
        if shares.cross_entropy:
            entropy = functional.cross_entropy(logits, labels, reduction="none")
            value = value + shares.cross_entropy * weighted_mean(entropy, weights)
        if shares.focal:
            value = value + shares.focal * focal(logits, labels, weights, shares.focal_gamma, shares.focal_alpha)
        if shares.weighted_cross_entropy:
            of_class = logits.new_full((logits.shape[1],), shares.lesion_weight)
            of_class[0] = 1 - shares.lesion_weight
            entropy = functional.cross_entropy(logits, labels, of_class, reduction="none")
            value = value + shares.weighted_cross_entropy * weighted_mean(entropy, weights)
        probabilities = logits.softmax(dim=1)
        if shares.dice:
            value = value + shares.dice * dice_loss(probabilities, labels, weights)
        if shares.squared_dice:
            overlaps = [
                squared_dice(probabilities[:, label], (labels == label).float(), weights)
                for label in range(1, logits.shape[1])
            ]
            value = value + shares.squared_dice * (1 - sum(overlaps) / len(overlaps))
        if shares.affected_dice:
            affected = probabilities[:, 1:].sum(dim=1)
            value = value + shares.affected_dice * (1 - soft_dice(affected, (labels > 0).float(), weights))
        if shares.generalised_dice:
            overlap = generalised_dice(probabilities, labels, weights, shares.generalised_dice_power)
            value = value + shares.generalised_dice * (1 - overlap)
        if shares.boundary:
            value = value + shares.boundary * boundary(probabilities, labels, weights)
        return value

    def _split(
        self, logits: torch.Tensor, labels: torch.Tensor
    ) -> Iterator[tuple[int, Output, torch.Tensor, torch.Tensor]]:
        """Each output's place, itself, its logits ``(batch, class, row, column)``, background first, and its labels."""
        maps = labels.unbind(dim=1) if labels.ndim == logits.ndim else (labels,)
        parts = logits.split([output.channels for output in self._outputs.values()], dim=1)
        for (place, output), part in zip(self._outputs.items(), parts, strict=True):
            # A lone logit is that of its class against a background of 0.
            of_classes = part if output.channels > 1 else torch.cat([torch.zeros_like(part), part], dim=1)
            yield place, output, of_classes, maps[place]

    def training_step(self, batch: tuple[torch.Tensor, ...], _: int) -> torch.Tensor:
        images, labels, weights = batch
        loss = self.loss(self._logits(images), labels, weights)
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(images))
        return loss

    def on_train_start(self) -> None:
        self._timer = next((each for each in self.trainer.callbacks if isinstance(each, Timer)), None)

    def on_train_batch_start(self, batch: object, batch_index: int) -> None:
        if self.recipe.optimisation.schedule == "one-cycle":
            elapsed_s = self._timer.time_elapsed("train")
            fraction = min(elapsed_s / (60 * self.recipe.optimisation.max_minutes), 1.0)
            rate = self.recipe.optimisation.learning_rate * one_cycle(fraction)
            for group in self.optimizers().param_groups:
                group["lr"] = rate
            self.log("learning_rate", rate)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.recipe.optimisation.bfloat16:
            # On a CPU, bfloat16 convolutions of a few voxels now and then leave NaN in the gradient of their weights.
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    parameter.grad.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)

    def on_validation_epoch_start(self) -> None:
        self._overlap.zero_()

    def validation_step(self, batch: tuple[torch.Tensor, ...], _: int) -> None:
        images, labels, weights = batch
        logits = self._logits(images)
        self.log("val_loss", self.loss(logits, labels, weights), prog_bar=True, sync_dist=True, batch_size=len(images))
        row = 0
        for _, output, part, reference in self._split(logits, labels):
            predicted = part.argmax(dim=1)
            for values in output.classes.values():
                ours, theirs = (sum((marks == value) for value in values) > 0 for marks in (predicted, reference))
                self._overlap[row, 0] += (ours & theirs).sum()
                self._overlap[row, 1] += ours.sum() + theirs.sum()
                row += 1

    def on_validation_epoch_end(self) -> None:
        overlap = self.all_gather(self._overlap).view(-1, len(self._classes), 2).sum(dim=0)
        for row, name in enumerate(self._classes):
            twice, both = 2 * overlap[row, 0], overlap[row, 1]
            self.log(f"val_dice_{name}", (twice / both if both else torch.ones_like(both)).float(), prog_bar=True)

    def configure_optimizers(self) -> object:
        settings = self.recipe.optimisation
        kind = {
            "adam": torch.optim.Adam,
            "adamw": torch.optim.AdamW,
            "adadelta": partial(torch.optim.Adadelta, rho=ADADELTA_RHO),
            "sgd": partial(torch.optim.SGD, momentum=settings.momentum),
        }[settings.optimiser]
        optimiser = kind(self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        if settings.schedule == "cyclic":
            cycle = torch.optim.lr_scheduler.CyclicLR(
                optimiser,
                settings.cycle_lowest_rate,
                settings.learning_rate,
                settings.cycle_steps,
                cycle_momentum=False,
            )
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
        if settings.schedule == "halving":
            floor = settings.halving_lowest_rate / settings.learning_rate
            halved = torch.optim.lr_scheduler.LambdaLR(
                optimiser, lambda step: max(0.5 ** (step // settings.halving_steps), floor)
            )
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": halved, "interval": "step"}}
        if settings.schedule != "plateau":
            return optimiser
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser,
            factor=settings.plateau_factor,
            patience=settings.plateau_patience,
            threshold=settings.plateau_threshold,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        images = images.contiguous(memory_format=self._memory)
        logits = self.network.logits_of(self._part, images) if self._part else self.network(images)
        return logits.float()


def widened(initial: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Initial weights for a network with more input channels, whose weights begin at 0."""
    state = dict(initial)
    for name, weights in initial.items():
        if weights.ndim == 4 and name in wanted and wanted[name].shape[1] > weights.shape[1]:
            missing = wanted[name].shape[1] - weights.shape[1]
            state[name] = functional.pad(weights, (0, 0, 0, 0, 0, missing))
    return state


def one_cycle(fraction: float) -> float:
    """Learning rate relative to its peak: a cosine up from 1/25, then a cosine down to 0 (Smith 2018)."""
    if fraction < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * fraction / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2
