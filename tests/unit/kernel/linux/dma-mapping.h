/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux/dma-mapping.h - for tests only: what the driver uses of it stands in test-driver-ring.c
 */
