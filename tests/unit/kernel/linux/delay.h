/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux/delay.h - for tests only: what the driver uses of it stands in test-driver-ring.c
 */
