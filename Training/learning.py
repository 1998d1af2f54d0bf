"""How a two-dimensional network learns: loss, optimiser, schedule, what is logged."""

import math
from collections.abc import Iterator
from functools import partial

import lightning
import segmentation_models_pytorch as smp
import torch
from lightning.pytorch.callbacks import Timer
from torch.nn import functional

from StrokeSegLib import models, networks
from Training.losses import boundary, focal, generalised_dice, soft_dice
from Training.recipe import Recipe
from Training.trainable import TRAINABLE, Output

WARM_UP = 0.15
"""Part of the one-cycle schedule over which the rate rises."""

ADADELTA_RHO = 0.95
"""Of the published CT perfusion network; torch's default is 0.9."""


class Learning(lightning.LightningModule):
    """A network of slices or patches; the classes of its outputs are those that its method learns, and background.

    Args:
        recipe: all settings.
    """

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        memory = torch.channels_last if recipe.optimisation.channels_last else torch.contiguous_format
        architecture = networks.Architecture(recipe.network.name, recipe.network.arguments)
        self.network = networks.build(architecture).train().to(memory_format=memory)
        if recipe.network.initial:
            self.network.load_state_dict(models.open_bundle(recipe.network.initial).load_networks()[0].state_dict())
        if recipe.network.initial_encoder:
            state = models.open_bundle(recipe.network.initial_encoder).load_networks()[0].encoder.state_dict()
            for name, module in self.network.named_modules():
                if name.rpartition(".")[2] == "encoder":
                    module.load_state_dict(state)
        if recipe.optimisation.batch_norm_momentum is not None:
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = recipe.optimisation.batch_norm_momentum
        self._outputs = TRAINABLE[recipe.method].outputs
        self._classes = [name for output in self._outputs for name in output.classes]
        self._dice = [
            smp.losses.DiceLoss("multiclass", classes=list(output.labels), from_logits=True) for output in self._outputs
        ]
        self.register_buffer("_overlap", torch.zeros(len(self._classes), 2, dtype=torch.float64), persistent=False)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of logits ``(batch, channel, row, column)`` against labels, summed over the network's outputs.

        Args:
            logits: of all outputs, one after another.
            labels: ``(batch, row, column)``, or ``(batch, output, row, column)`` of a network with several outputs.
        """
        parts = zip(self._split(logits, labels), self._dice, strict=True)
        return sum(self._output_loss(*part, dice) for (_, *part), dice in parts)

    def _output_loss(self, logits: torch.Tensor, labels: torch.Tensor, dice: torch.nn.Module) -> torch.Tensor:
        """Loss of one output's logits ``(batch, class, row, column)`` against labels ``(batch, row, column)``."""
        weights = self.recipe.loss
        value = weights.dice * dice(logits, labels) if weights.dice else logits.new_zeros(())
        if weights.cross_entropy:
            value = value + weights.cross_entropy * functional.cross_entropy(logits, labels)
        if weights.focal:
            value = value + weights.focal * focal(logits, labels, weights.focal_gamma, weights.focal_alpha)
        if not (weights.affected_dice or weights.generalised_dice or weights.boundary):
            return value
        probabilities = logits.softmax(dim=1)
        if weights.affected_dice:
            affected = probabilities[:, 1:].sum(dim=1)
            value = value + weights.affected_dice * (1 - soft_dice(affected, (labels > 0).float()))
        if weights.generalised_dice:
            overlap = generalised_dice(probabilities, labels, weights.generalised_dice_power)
            value = value + weights.generalised_dice * (1 - overlap)
        if weights.boundary:
            value = value + weights.boundary * boundary(probabilities, labels)
        return value

    def _split(self, logits: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[Output, torch.Tensor, torch.Tensor]]:
        """Each output with its logits ``(batch, class, row, column)``, background first, and its labels."""
        maps = labels.unbind(dim=1) if labels.ndim == 4 else (labels,)
        parts = logits.split([output.channels for output in self._outputs], dim=1)
        for output, part, reference in zip(self._outputs, parts, maps, strict=True):
            # A lone logit is that of its class against a background of 0.
            yield output, part if output.channels > 1 else functional.pad(part, (0, 0, 0, 0, 1, 0)), reference

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        images, labels = batch
        loss = self.loss(self._logits(images), labels)
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

    def on_validation_epoch_start(self) -> None:
        self._overlap.zero_()

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        images, labels = batch
        logits = self._logits(images)
        self.log("val_loss", self.loss(logits, labels), prog_bar=True, sync_dist=True, batch_size=len(images))
        row = 0
        for output, part, reference in self._split(logits, labels):
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
        if self.recipe.optimisation.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.network(images).float()


def one_cycle(fraction: float) -> float:
    """Learning rate relative to its peak: a cosine up from 1/25, then a cosine down to 0 (Smith 2018)."""
    if fraction < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * fraction / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2
