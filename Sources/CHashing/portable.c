// SHA-256 in plain C, after FIPS 180-4 sections 4.1.2, 4.2.2, 5.3.3 and 6.2.2.
#include "internal.h"
#include <string.h>

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
const uint32_t hashing_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// The first 32 bits of the fractional parts of the square roots of the first eight primes.
const uint32_t hashing_initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

// What the 64 rounds add for the block that pads a message of 64 bytes: its schedule (section 6.2.2) plus the constants.
const uint32_t hashing_padding[64] __attribute__((aligned(16))) = {
    0xc28a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf374,
    0x649b69c1, 0xf0fe4786, 0x0fe1edc6, 0x240cf254, 0x4fe9346f, 0x6cc984be, 0x61b9411e, 0x16f988fa,
    0xf2c65152, 0xa88e5a6d, 0xb019fc65, 0xb9d99ec7, 0x9a1231c3, 0xe70eeaa0, 0xfdb1232b, 0xc7353eb0,
    0x3069bad5, 0xcb976d5f, 0x5a0f118f, 0xdc1eeefd, 0x0a35b689, 0xde0b7a04, 0x58f4ca9d, 0xe15d5b16,
    0x007f3e86, 0x37088980, 0xa507ea32, 0x6fab9537, 0x17406110, 0x0d8cd6f1, 0xcdaa3b6d, 0xc0bbbe37,
    0x83613bda, 0xdb48a363, 0x0b02e931, 0x6fd15ca7, 0x521afaca, 0x31338431, 0x6ed41a95, 0x6d437890,
    0xc39c91f2, 0x9eccabbd, 0xb5c9a0e6, 0x532fb63c, 0xd2c741c6, 0x07237ea3, 0xa4954b68, 0x4c191d76,
};

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

// One round without moving the eight variables: the caller names them in their turn. `wk` is schedule plus constant.
#define ROUND(a, b, c, d, e, f, g, h, wk)                                                            \
    do {                                                                                             \
        uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + (wk); \
        d += t1;                                                                                     \
        h = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));         \
    } while (0)

#define EIGHT_ROUNDS(WK, t)                           \
    do {                                              \
        ROUND(a, b, c, d, e, f, g, h, WK((t) + 0));   \
        ROUND(h, a, b, c, d, e, f, g, WK((t) + 1));   \
        ROUND(g, h, a, b, c, d, e, f, WK((t) + 2));   \
        ROUND(f, g, h, a, b, c, d, e, WK((t) + 3));   \
        ROUND(e, f, g, h, a, b, c, d, WK((t) + 4));   \
        ROUND(d, e, f, g, h, a, b, c, WK((t) + 5));   \
        ROUND(c, d, e, f, g, h, a, b, WK((t) + 6));   \
        ROUND(b, c, d, e, f, g, h, a, WK((t) + 7));   \
    } while (0)

#define LOAD_STATE                                                            \
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];          \
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7]

#define ADD_TO_STATE                                                          \
    do {                                                                      \
        state[0] += a; state[1] += b; state[2] += c; state[3] += d;           \
        state[4] += e; state[5] += f; state[6] += g; state[7] += h;           \
    } while (0)

/// The next word of the schedule, in the ring of 16 words.
static inline uint32_t extend(uint32_t w[16], int t) {
    uint32_t x = w[(t + 1) & 15], y = w[(t + 14) & 15];
    uint32_t s0 = rotate(x, 7) ^ rotate(x, 18) ^ x >> 3;
    uint32_t s1 = rotate(y, 17) ^ rotate(y, 19) ^ y >> 10;
    return w[t & 15] += s0 + w[(t + 9) & 15] + s1;
}

/// One block, given as 16 words, which are used up.
static inline void compress_words(uint32_t state[8], uint32_t w[16]) {
    LOAD_STATE;
#define GIVEN(t) w[(t) & 15] + hashing_constants[t]
#define EXTENDED(t) extend(w, t) + hashing_constants[t]
    EIGHT_ROUNDS(GIVEN, 0);
    EIGHT_ROUNDS(GIVEN, 8);
    for (int t = 16; t < 64; t += 16) {
        EIGHT_ROUNDS(EXTENDED, t);
        EIGHT_ROUNDS(EXTENDED, t + 8);
    }
#undef GIVEN
#undef EXTENDED
    ADD_TO_STATE;
}

/// The block that pads a message of 64 bytes.
static inline void compress_padding(uint32_t state[8]) {
    LOAD_STATE;
#define PADDING(t) hashing_padding[t]
    for (int t = 0; t < 64; t += 8) EIGHT_ROUNDS(PADDING, t);
#undef PADDING
    ADD_TO_STATE;
}

void hashing_compress_portable(uint32_t state[8], const uint8_t *bytes, size_t blocks) {
    for (; blocks > 0; blocks--, bytes += 64) {
        uint32_t w[16];
        for (int i = 0; i < 16; i++) w[i] = hashing_load_big(bytes + 4 * i);
        compress_words(state, w);
    }
}

void hashing_climb_portable(uint8_t node[32], const uint8_t *branches, size_t count) {
    uint32_t words[8];
    for (int i = 0; i < 8; i++) words[i] = hashing_load_big(node + 4 * i);
    for (; count > 0; count--, branches += 32) {
        uint32_t once[8], w[16];
        memcpy(once, hashing_initial, 32);
        memcpy(w, words, 32);
        for (int i = 0; i < 8; i++) w[8 + i] = hashing_load_big(branches + 4 * i);
        compress_words(once, w);
        compress_padding(once);
        uint32_t second[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0x80000000u, 0, 0, 0, 0, 0, 0, 256};
        memcpy(second, once, 32);
        memcpy(words, hashing_initial, 32);
        compress_words(words, second);
    }
    for (int i = 0; i < 8; i++) hashing_store_big(node + 4 * i, words[i]);
}

size_t hashing_scan_portable(const uint32_t midstate[8], const uint8_t tail[12], uint32_t start, uint64_t count,
                             uint64_t high, uint32_t *found, size_t capacity, uint64_t *tried) {
    size_t hits = 0;
    uint64_t i = 0;
    for (; i < count && hits < capacity; i++) {
        uint32_t nonce = start + (uint32_t)i;
        uint32_t first[16] = {hashing_load_big(tail), hashing_load_big(tail + 4), hashing_load_big(tail + 8),
                              __builtin_bswap32(nonce), 0x80000000u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640};
        uint32_t second[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0x80000000u, 0, 0, 0, 0, 0, 0, 256};
        uint32_t digest[8];
        memcpy(second, midstate, 32);
        compress_words(second, first);
        memcpy(digest, hashing_initial, 32);
        compress_words(digest, second);
        uint64_t top = __builtin_bswap64((uint64_t)digest[6] << 32 | digest[7]);
        if (top <= high) found[hits++] = nonce;
    }
    *tried = i;
    return hits;
}
