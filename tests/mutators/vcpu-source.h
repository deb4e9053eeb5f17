/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu-source.h - a guest's vCPU registers, for a tool that runs without the device
 */
#ifndef MONATT_TESTS_MUTATORS_VCPU_SOURCE_H
#define MONATT_TESTS_MUTATORS_VCPU_SOURCE_H

#include "libmonatt/formats/vcpu-registers.h"

#define VCPU_SOURCE_MAXIMUM 256

/* path: a QMP socket, which is asked, or a file with what "info registers -a" printed. */
bool vcpu_source_read(const char *path, MonattVcpuRegisters ret[VCPU_SOURCE_MAXIMUM],
                      size_t *ret_count, MonattError *err) MONATT_MUST_CHECK;

#endif
