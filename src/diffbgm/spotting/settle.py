"""A plan whose sections were edited by hand: the curves that composing follows are moved along."""

from __future__ import annotations

from typing import Final

import numpy as np

from diffbgm.spotting.cuesheet import Plan
from diffbgm.spotting.curves import density_curve, shift_mean
from diffbgm.timing import BEATS_PER_BAR

# Beats and sections are each written with three digits.
_ROUNDING: Final = 0.002


def settled(plan: Plan) -> Plan:
    """The plan with the energy of each section as the mean of its beats; itself where that is so.

    The course within a section stays. Density keeps its proportion to what would follow from the energy, so
    that what was changed in it by hand, or for speech, stays as well.
    """
    energy, density = np.array(plan.energy), np.array(plan.density)
    for section in plan.sections:
        beats = slice(section.start_bar * BEATS_PER_BAR, section.end_bar * BEATS_PER_BAR)
        if abs(float(energy[beats].mean()) - section.energy) > _ROUNDING:
            energy[beats] = np.round(shift_mean(energy[beats], section.energy), 3)
    if np.array_equal(energy, plan.energy):
        return plan
    spoken = plan.spoken_beats
    density *= density_curve(energy, spoken) / density_curve(np.array(plan.energy), spoken)
    density = np.round(np.clip(density, 0.0, 1.0), 3)
    return plan.model_copy(update={"energy": tuple(energy.tolist()), "density": tuple(density.tolist())})
