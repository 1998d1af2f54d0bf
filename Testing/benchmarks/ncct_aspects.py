"""ASPECTS of a 512×512×32 head beside its two bare networks on the same slices, in one run.

    python Testing/benchmarks/ncct_aspects.py [--model BUNDLE] [--slices 32] [--repeats 5] [--json FILE]

Prints medians, their ratio and where the time goes. Both sides use as many threads as torch takes by default; the scan
is a synthetic patient, of whom nothing is computed beforehand.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from StrokeSegLib import methods, models
from StrokeSegLib.imaging import Study
from StrokeSegLib.networks import probabilities
from StrokeSegLib.phantom import acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.preparation.slices import Preparation, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ncct-aspects-synthetic", metavar="BUNDLE")
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    bundle = models.find_bundle(options.model)
    geometry = axial_geometry((options.slices, 512, 512), (160 / options.slices, 0.45, 0.45))
    study = acquire(draw_patient(7), geometry, draw_scanner(7)).study
    network = bundle.load_networks()[0].to(memory_format=torch.channels_last)
    slices = prepare(study, Preparation(**bundle.preparation))
    inputs = torch.from_numpy(np.stack([slices[index] for index in range(len(slices))]))

    _method(study, bundle)
    _bare(network, inputs[:4])
    pairs = [(_method(study, bundle), _bare(network, inputs)) for _ in range(options.repeats)]
    method_s, bare_s = [seconds for (seconds, _), _ in pairs], [bare for _, bare in pairs]
    figures = {
        "slices": options.slices,
        "threads": torch.get_num_threads(),
        "method_median_s": round(statistics.median(method_s), 2),
        "bare_networks_median_s": round(statistics.median(bare_s), 2),
        "ratio_median": round(statistics.median(whole / bare for (whole, _), bare in pairs), 3),
    }
    figures |= {
        f"{stage}_median_s": round(statistics.median(stages[stage] for (_, stages), _ in pairs), 2)
        for stage in pairs[0][0][1]
    }
    for name, value in figures.items():
        sys.stdout.write(f"{name:<28} {value}\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def _method(study: Study, bundle: models.ModelBundle) -> tuple[float, dict[str, float]]:
    """Seconds of the whole method and of its stages on a study of which nothing is known yet."""
    fresh = replace(study)
    started = time.perf_counter()
    findings = methods.run(fresh, bundle.method, bundle, device="cpu")
    return time.perf_counter() - started, dict(findings.timings_s)


def _bare(network: torch.nn.Module, inputs: torch.Tensor) -> float:
    """Seconds of the two networks alone, a slice at a time."""
    started = time.perf_counter()
    with torch.inference_mode():
        for batch in inputs.split(1):
            np.asarray(probabilities(network, batch.to(memory_format=torch.channels_last)))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
