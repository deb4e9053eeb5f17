/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cel-replay-many.c - replays logs from stdin with the C library, for test-replay-cel.py
 *
 * In: u32 big-endian size and that many bytes, again and again.  Out, a line each: "refused", or
 * the number of records and the SHA-256 of all values, SHA-256 bank first.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include "libmonatt/base/text.h"
#include "libmonatt/eventlog/cel.h"

#define LOG_MAXIMUM (1024 * 1024) /* the test's logs are a few KiB */

int main(void)
{
    static MonattCelReplay replay;
    uint8_t head[4];
    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        size_t size =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        uint8_t *log = size <= LOG_MAXIMUM ? malloc(size + (size == 0)) : NULL;
        if (log == NULL || fread(log, 1, size, stdin) != size) {
            free(log);
            return 2;
        }
        monatt_cel_replay_init(&replay);
        if (monatt_cel_replay_log(&replay, log, size, UINT64_MAX, NULL)) {
            uint8_t all[sizeof(replay.sha256) + sizeof(replay.sha384)];
            uint8_t digest[MONATT_SHA256_SIZE];
            char text[2 * MONATT_SHA256_SIZE + 1];
            MonattWriter w;
            monatt_writer_init(&w, all, sizeof(all));
            monatt_writer_bytes(&w, replay.sha256, sizeof(replay.sha256));
            monatt_writer_bytes(&w, replay.sha384, sizeof(replay.sha384));
            EVP_Digest(all, w.size, digest, NULL, EVP_sha256(), NULL);
            monatt_text_from_bytes(digest, sizeof(digest), text);
            printf("%llu %s\n", (unsigned long long)replay.records, text);
        } else {
            printf("refused\n");
        }
        free(log);
    }
    return 0;
}
