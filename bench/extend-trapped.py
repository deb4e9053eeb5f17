# SPDX-License-Identifier: GPL-2.0-or-later
"""extend-trapped.py: a guest's extend of one register, both banks, against its TPM's."""
from _trapped import figure


def run():
    return figure("extend-trapped", "extend", "TPM2_PCR_Extend, tpm-crb")
