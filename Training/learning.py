"""How a slice network learns: loss, optimiser, schedule, what is logged."""

import math

import lightning
import segmentation_models_pytorch as smp
import torch
from lightning.pytorch.callbacks import Timer
from torch.nn import functional

from StrokeSegLib import models, networks
from Training.recipe import Recipe

WARM_UP = 0.15
"""Part of the one-cycle schedule over which the rate rises."""

CLASSES = {"core": (1,), "penumbra": (2,), "affected": (1, 2)}
"""What the validation Dice is logged of, and the labels that make it up."""


class SliceLearning(lightning.LightningModule):
    """A two-dimensional network of three classes: background, core, penumbra.

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
        self._dice = smp.losses.DiceLoss("multiclass", classes=[1, 2], from_logits=True)
        self.register_buffer("_overlap", torch.zeros(len(CLASSES), 2, dtype=torch.float64), persistent=False)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of logits ``(batch, class, row, column)`` against labels ``(batch, row, column)``."""
        weights = self.recipe.loss
        value = weights.dice * self._dice(logits, labels)
        if weights.cross_entropy:
            value = value + weights.cross_entropy * functional.cross_entropy(logits, labels)
        if weights.affected_dice:
            affected = logits.softmax(dim=1)[:, 1:].sum(dim=1)
            value = value + weights.affected_dice * (1 - soft_dice(affected, (labels > 0).float()))
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
        for row, values in enumerate(CLASSES.values()):
            ours, theirs = (sum((marks == value) for value in values) > 0 for marks in (predicted, labels))
            self._overlap[row, 0] += (ours & theirs).sum()
            self._overlap[row, 1] += ours.sum() + theirs.sum()

    def on_validation_epoch_end(self) -> None:
        overlap = self.all_gather(self._overlap).view(-1, len(CLASSES), 2).sum(dim=0)
        for row, name in enumerate(CLASSES):
            twice, both = 2 * overlap[row, 0], overlap[row, 1]
            self.log(f"val_dice_{name}", (twice / both if both else torch.ones_like(both)).float(), prog_bar=True)

    def configure_optimizers(self) -> object:
        settings = self.recipe.optimisation
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
        optimiser = kind(self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        if settings.schedule == "one-cycle":
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


def one_cycle(fraction: float) -> float:
    """Learning rate relative to its peak: a cosine up from 1/25, then a cosine down to 0 (Smith 2018)."""
    if fraction < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * fraction / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2
