"""How a two-dimensional network learns: loss, optimiser, schedule, what is logged."""

import math
from functools import partial

import lightning
import segmentation_models_pytorch as smp
import torch
from lightning.pytorch.callbacks import Timer
from torch.nn import functional

from StrokeSegLib import models, networks
from Training.recipe import Recipe
from Training.trainable import TRAINABLE

WARM_UP = 0.15
"""Part of the one-cycle schedule over which the rate rises."""

ADADELTA_RHO = 0.95
"""Of the published CT perfusion network; torch's default is 0.9."""


class Learning(lightning.LightningModule):
    """A network of slices or patches; its classes are background and those of the method's lesions.

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
        if recipe.optimisation.batch_norm_momentum is not None:
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = recipe.optimisation.batch_norm_momentum
        trainable = TRAINABLE[recipe.method]
        self._classes = trainable.classes
        self._dice = smp.losses.DiceLoss("multiclass", classes=list(trainable.labels.values()), from_logits=True)
        self.register_buffer("_overlap", torch.zeros(len(self._classes), 2, dtype=torch.float64), persistent=False)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of logits ``(batch, class, row, column)`` against labels ``(batch, row, column)``."""
        weights = self.recipe.loss
        value = weights.dice * self._dice(logits, labels) if weights.dice else logits.new_zeros(())
        if weights.cross_entropy:
            value = value + weights.cross_entropy * functional.cross_entropy(logits, labels)
        if weights.affected_dice:
            affected = logits.softmax(dim=1)[:, 1:].sum(dim=1)
            value = value + weights.affected_dice * (1 - soft_dice(affected, (labels > 0).float()))
        if weights.generalised_dice:
            overlap = generalised_dice(logits.softmax(dim=1), labels, weights.generalised_dice_power)
            value = value + weights.generalised_dice * (1 - overlap)
        return value

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
        predicted = logits.argmax(dim=1)
        for row, values in enumerate(self._classes.values()):
            ours, theirs = (sum((marks == value) for value in values) > 0 for marks in (predicted, labels))
            self._overlap[row, 0] += (ours & theirs).sum()
            self._overlap[row, 1] += ours.sum() + theirs.sum()

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
        }[settings.optimiser]
        optimiser = kind(self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
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


def soft_dice(probabilities: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Dice of probabilities against 0/1, pooled over the batch; 1 where both are empty."""
    overlap = (probabilities * reference).sum()
    return (2 * overlap + 1) / (probabilities.sum() + reference.sum() + 1)


def generalised_dice(probabilities: torch.Tensor, labels: torch.Tensor, power: float) -> torch.Tensor:
    """Generalised Dice of Sudre et al. 2017, eq. 2, over all classes, pooled over the batch.

    Args:
        probabilities: ``(batch, class, row, column)``.
        labels: ``(batch, row, column)``.
        power: each class weighs its reference volume to the power of −power: 2 in the paper, 1 in the code of Clèrigues
            et al. 2019.
    """
    classes = probabilities.shape[1]
    reference = functional.one_hot(labels, classes).movedim(-1, 1)
    over = (0, 2, 3)
    volume = reference.sum(dim=over)
    weights = volume.clamp(min=1).to(probabilities.dtype) ** -power
    overlap = (weights * (probabilities * reference).sum(dim=over)).sum()
    return 2 * overlap / (weights * (probabilities.sum(dim=over) + volume)).sum()


def one_cycle(fraction: float) -> float:
    """Learning rate relative to its peak: a cosine up from 1/25, then a cosine down to 0 (Smith 2018)."""
    if fraction < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * fraction / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2
