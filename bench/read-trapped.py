# SPDX-License-Identifier: GPL-2.0-or-later
"""read-trapped.py: a guest's read of one register, both banks, against its TPM's."""
from _trapped import figure


def run():
    return figure("read-trapped", "read", "TPM2_PCR_Read, tpm-crb")
