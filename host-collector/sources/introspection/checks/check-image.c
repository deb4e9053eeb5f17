/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-image.c - lays the measured kernel out for the checks, once a boot
 */
#include "host-collector/sources/introspection/checks/check.h"

#include <string.h>
#include "host-collector/sources/introspection/kernel-text/first-look.h"
#include "libmonatt/base/text.h"

const KernelImage *check_image(CheckContext *context, const char **ret_why)
{
    CheckReference *reference = context->reference;

    *ret_why = "";
    if (!reference || !context->inputs->image) {
        return NULL;
    }
    if (!reference->tried) {
        MonattError err = {0};
        reference->tried = true;
        reference->good =
            kernel_image_open(&reference->image, context->inputs->image,
                              context->inputs->image_size, &context->kernel->info, &err);
        reference->other = !reference->good && err.code == MONATT_ERROR_MISSING;
        monatt_text_printable(err.message, strlen(err.message), reference->why,
                              sizeof(reference->why));
    }
    *ret_why = reference->why;
    return reference->good ? &reference->image : NULL;
}

const KernelImage *check_image_or_first_look(CheckContext *context, bool *ret_first,
                                             const char **ret_why)
{
    CheckReference *reference = context->reference;

    const KernelImage *image = check_image(context, ret_why);

    *ret_first = false;
    if (image || (*ret_why)[0]) {
        return image;
    }
    if (!reference || context->inputs->image || reference->tried) {
        *ret_why = "no measured kernel image to compare with";
        return NULL;
    }
    if (!reference->has_first) {
        reference->has_first = first_look_make(context, &reference->first, reference->first_why,
                                               sizeof(reference->first_why));
        *ret_why = reference->first_why;
    }
    *ret_first = reference->has_first;
    return reference->has_first ? &reference->first : NULL;
}
