#ifndef HASHSPOT_CHASHING_INTERNAL_H
#define HASHSPOT_CHASHING_INTERNAL_H

#include "CHashing.h"

extern const uint32_t hashing_constants[64];
extern const uint32_t hashing_initial[8];
/// Schedule plus constants of the block that pads a message of 64 bytes.
extern const uint32_t hashing_padding[64];

static inline uint32_t hashing_load_big(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline void hashing_store_big(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/// Folds `blocks` blocks of 64 bytes into the state.
void hashing_compress_portable(uint32_t state[8], const uint8_t *bytes, size_t blocks);
/// Replaces a node of a merkle tree by its parents, one after the other; `branches` are its right siblings, 32 bytes each.
void hashing_climb_portable(uint8_t node[32], const uint8_t *branches, size_t count);
size_t hashing_scan_portable(const uint32_t midstate[8], const uint8_t tail[12], uint32_t start, uint64_t count,
                             uint64_t high, uint32_t *found, size_t capacity, uint64_t *tried);

#if defined(__x86_64__)
#define HASHING_HAS_NI 1
void hashing_compress_ni(uint32_t state[8], const uint8_t *bytes, size_t blocks);
void hashing_climb_ni(uint8_t node[32], const uint8_t *branches, size_t count);
size_t hashing_scan_ni(const uint32_t midstate[8], const uint8_t tail[12], uint32_t start, uint64_t count,
                       uint64_t high, uint32_t *found, size_t capacity, uint64_t *tried);
#endif

#if defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))
#define HASHING_HAS_ARM 1
void hashing_compress_arm(uint32_t state[8], const uint8_t *bytes, size_t blocks);
void hashing_climb_arm(uint8_t node[32], const uint8_t *branches, size_t count);
/// Whether this processor has the instructions.
int hashing_detect_arm(void);
#endif

#endif
