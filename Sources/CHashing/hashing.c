#include "internal.h"
#include <stdatomic.h>
#include <string.h>

static hashing_implementation detect(void) {
#if defined(HASHING_HAS_NI)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3"))
        return hashing_sha_ni;
#elif defined(HASHING_HAS_ARM)
    if (hashing_detect_arm()) return hashing_sha_arm;
#endif
    return hashing_portable;
}

hashing_implementation hashing_best(void) {
    static atomic_int known = -1;
    int value = atomic_load_explicit(&known, memory_order_relaxed);
    if (value < 0) {
        value = (int)detect();
        atomic_store_explicit(&known, value, memory_order_relaxed);
    }
    return (hashing_implementation)value;
}

/// Whether instructions are asked for that the processor has.
static int use_instructions(hashing_implementation with) {
    return with != hashing_portable && with == hashing_best();
}

static void compress(hashing_implementation with, uint32_t state[8], const uint8_t *bytes, size_t blocks) {
#if defined(HASHING_HAS_NI)
    if (use_instructions(with)) {
        hashing_compress_ni(state, bytes, blocks);
        return;
    }
#elif defined(HASHING_HAS_ARM)
    if (use_instructions(with)) {
        hashing_compress_arm(state, bytes, blocks);
        return;
    }
#endif
    hashing_compress_portable(state, bytes, blocks);
}

static void climb(hashing_implementation with, uint8_t node[32], const uint8_t *branches, size_t count) {
#if defined(HASHING_HAS_NI)
    if (use_instructions(with)) {
        hashing_climb_ni(node, branches, count);
        return;
    }
#elif defined(HASHING_HAS_ARM)
    if (use_instructions(with)) {
        hashing_climb_arm(node, branches, count);
        return;
    }
#endif
    hashing_climb_portable(node, branches, count);
}

void hashing_init(hashing_context *context) {
    memcpy(context->state, hashing_initial, sizeof context->state);
    memset(context->block, 0, sizeof context->block);
    context->length = 0;
}

void hashing_update(hashing_implementation with, hashing_context *context, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    size_t used = context->length % 64;
    if (count == 0) return;
    context->length += count;
    if (used > 0) {
        size_t part = 64 - used < count ? 64 - used : count;
        memcpy(context->block + used, next, part);
        if (used + part < 64) return;
        compress(with, context->state, context->block, 1);
        next += part;
        count -= part;
    }
    compress(with, context->state, next, count / 64);
    memcpy(context->block, next + count / 64 * 64, count % 64);
}

/// Pads as in FIPS 180-4 section 5.1.1 and writes the digest.
static void finish(hashing_implementation with, hashing_context *context, uint8_t digest[32]) {
    uint64_t bits = context->length * 8;
    size_t used = context->length % 64;
    context->block[used++] = 0x80;
    if (used > 56) {
        memset(context->block + used, 0, 64 - used);
        compress(with, context->state, context->block, 1);
        used = 0;
    }
    memset(context->block + used, 0, 56 - used);
    hashing_store_big(context->block + 56, (uint32_t)(bits >> 32));
    hashing_store_big(context->block + 60, (uint32_t)bits);
    compress(with, context->state, context->block, 1);
    for (int i = 0; i < 8; i++) hashing_store_big(digest + 4 * i, context->state[i]);
}

void hashing_finish_double(hashing_implementation with, hashing_context *context, uint8_t digest[32]) {
    uint8_t once[32];
    finish(with, context, once);
    hashing_init(context);
    hashing_update(with, context, once, sizeof once);
    finish(with, context, digest);
}

void hashing_double(hashing_implementation with, const void *bytes, size_t count, uint8_t digest[32]) {
    hashing_context context;
    hashing_init(&context);
    hashing_update(with, &context, bytes, count);
    hashing_finish_double(with, &context, digest);
}

void hashing_root(hashing_implementation with, const hashing_coinbase *coinbase, uint8_t root[32]) {
    hashing_context context = *coinbase->prefix;
    hashing_update(with, &context, coinbase->extranonces, coinbase->extranonces_count);
    hashing_update(with, &context, coinbase->suffix, coinbase->suffix_count);
    hashing_finish_double(with, &context, root);
    climb(with, root, coinbase->branches, coinbase->branch_count);
}

void hashing_share(hashing_implementation with, const hashing_coinbase *coinbase, uint8_t header[80], uint8_t digest[32]) {
    hashing_root(with, coinbase, header + 36);
    hashing_double(with, header, 80, digest);
}

void hashing_midstate(hashing_implementation with, const uint8_t block[64], uint32_t state[8]) {
    memcpy(state, hashing_initial, 32);
    compress(with, state, block, 1);
}

size_t hashing_scan(hashing_implementation with, const uint32_t midstate[8], const uint8_t tail[12],
                    uint32_t start, uint64_t count, uint64_t high,
                    uint32_t *found, size_t capacity, uint64_t *tried) {
#ifdef HASHING_HAS_NI
    if (use_instructions(with)) return hashing_scan_ni(midstate, tail, start, count, high, found, capacity, tried);
#endif
    (void)with;
    return hashing_scan_portable(midstate, tail, start, count, high, found, capacity, tried);
}
