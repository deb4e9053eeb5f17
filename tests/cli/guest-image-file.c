/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-image-file.c - the invented guest's RAM (tests/lib/guest-image.h) to stdout
 */
#include <stdio.h>
#include "tests/lib/guest-image.h"

int main(void)
{
    static uint8_t bytes[IMAGE_SIZE];
    guest_image_fill(bytes, sizeof(bytes));
    return fwrite(bytes, 1, sizeof(bytes), stdout) == sizeof(bytes) ? 0 : 1;
}
