/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - gives a fuzz target each file of its corpus, as libFuzzer would; must fail without one
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/fuzz/fuzz.h"

#define INPUT_MAXIMUM (1024 * 1024)

static int replay_file(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    uint8_t *large = malloc(INPUT_MAXIMUM);
    size_t size = file && large ? fread(large, 1, INPUT_MAXIMUM, file) : 0;
    /* A copy of the input's own size: a byte read too far is then seen. */
    uint8_t *exact = malloc(size + (size == 0));
    int done = file != NULL && large != NULL && exact != NULL;
    for (size_t i = 0; done && i < size; i++) {
        exact[i] = large[i];
    }
    if (done) {
        LLVMFuzzerTestOneInput(exact, size);
    } else {
        perror(path);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(large);
    free(exact);
    return done;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;
        if (folder == NULL) {
            perror(argv[i]);
            return 1;
        }
        while ((entry = readdir(folder)) != NULL) {
            if (entry->d_name[0] != '.') {
                if (!replay_file(argv[i], entry->d_name)) {
                    return 1;
                }
                count++;
            }
        }
        closedir(folder);
    }
    printf("%u inputs\n", count);
    return count == 0;
}
