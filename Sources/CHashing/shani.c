// SHA-256 with the x86 SHA extensions (Intel's instruction reference: SHA256RNDS2, SHA256MSG1, SHA256MSG2).
//
// The instructions keep the state in two registers, named after what their lanes hold from high to low:
// ABEF and CDGH. Several independent hashes ("lanes" below) run side by side to hide the latency.
#include "internal.h"

#ifdef HASHING_HAS_NI
#include <immintrin.h>

#define NI __attribute__((target("sha,sse4.1,ssse3")))
#define NI_INLINE static inline __attribute__((always_inline, target("sha,sse4.1,ssse3")))

typedef struct {
    __m128i abef, cdgh;
} halves;

NI_INLINE halves pack(const uint32_t s[8]) {
    halves h;
    h.abef = _mm_set_epi32((int)s[0], (int)s[1], (int)s[4], (int)s[5]);
    h.cdgh = _mm_set_epi32((int)s[2], (int)s[3], (int)s[6], (int)s[7]);
    return h;
}

/// Words 0-3 (a b c d) and 4-7 (e f g h), the first in the lowest lane.
NI_INLINE void unpack(halves h, __m128i *low, __m128i *high) {
    __m128i abef = _mm_shuffle_epi32(h.abef, 0x1b);
    __m128i cdgh = _mm_shuffle_epi32(h.cdgh, 0x1b);
    *low = _mm_unpacklo_epi64(abef, cdgh);
    *high = _mm_unpackhi_epi64(abef, cdgh);
}

/// Folds one block into each of `lanes` states; `m[j]` holds lane j's 16 words and is used up.
NI_INLINE void compress_lanes(halves *state, __m128i (*m)[4], const int lanes) {
    halves s[2];
    for (int j = 0; j < lanes; j++) s[j] = state[j];
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        __m128i k = _mm_load_si128((const __m128i *)(hashing_constants + 4 * i));
#pragma clang loop unroll(full)
        for (int j = 0; j < lanes; j++) {
            __m128i *w = m[j];
            __m128i wk = _mm_add_epi32(w[i & 3], k);
            s[j].cdgh = _mm_sha256rnds2_epu32(s[j].cdgh, s[j].abef, wk);
            s[j].abef = _mm_sha256rnds2_epu32(s[j].abef, s[j].cdgh, _mm_shuffle_epi32(wk, 0x0e));
            if (i < 12) {
                __m128i last = w[(i + 3) & 3];
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
                                            _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(sum, last);
            }
        }
    }
    for (int j = 0; j < lanes; j++) {
        state[j].abef = _mm_add_epi32(state[j].abef, s[j].abef);
        state[j].cdgh = _mm_add_epi32(state[j].cdgh, s[j].cdgh);
    }
}

NI void hashing_compress_ni(uint32_t state[8], const uint8_t *bytes, size_t blocks) {
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    halves h = pack(state);
    for (; blocks > 0; blocks--, bytes += 64) {
        __m128i m[1][4];
        for (int i = 0; i < 4; i++)
            m[0][i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(bytes + 16 * i)), swap);
        compress_lanes(&h, m, 1);
    }
    __m128i low, high;
    unpack(h, &low, &high);
    _mm_storeu_si128((__m128i *)state, low);
    _mm_storeu_si128((__m128i *)(state + 4), high);
}

/// The block that pads a message of 64 bytes: its schedule is known beforehand.
NI_INLINE void compress_padding(halves *state) {
    halves s = *state;
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        __m128i wk = _mm_load_si128((const __m128i *)(hashing_padding + 4 * i));
        s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, wk);
        s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, _mm_shuffle_epi32(wk, 0x0e));
    }
    state->abef = _mm_add_epi32(state->abef, s.abef);
    state->cdgh = _mm_add_epi32(state->cdgh, s.cdgh);
}

NI void hashing_climb_ni(uint8_t node[32], const uint8_t *branches, size_t count) {
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    const __m128i stop = _mm_set_epi32(0, 0, 0, (int)0x80000000u), bits256 = _mm_set_epi32(256, 0, 0, 0);
    const halves initial = pack(hashing_initial);
    __m128i low = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)node), swap);
    __m128i high = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(node + 16)), swap);
    for (; count > 0; count--, branches += 32) {
        halves s = initial;
        __m128i m[1][4] = {{low, high}};
        m[0][2] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)branches), swap);
        m[0][3] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(branches + 16)), swap);
        compress_lanes(&s, m, 1);
        compress_padding(&s);
        unpack(s, &m[0][0], &m[0][1]);
        m[0][2] = stop;
        m[0][3] = bits256;
        s = initial;
        compress_lanes(&s, m, 1);
        unpack(s, &low, &high);
    }
    _mm_storeu_si128((__m128i *)node, _mm_shuffle_epi8(low, swap));
    _mm_storeu_si128((__m128i *)(node + 16), _mm_shuffle_epi8(high, swap));
}

NI size_t hashing_scan_ni(const uint32_t midstate[8], const uint8_t tail[12], uint32_t start, uint64_t count,
                          uint64_t high, uint32_t *found, size_t capacity, uint64_t *tried) {
    const halves mid = pack(midstate), initial = pack(hashing_initial);
    const int w0 = (int)hashing_load_big(tail), w1 = (int)hashing_load_big(tail + 4);
    const int w2 = (int)hashing_load_big(tail + 8);
    const __m128i zero = _mm_setzero_si128(), stop = _mm_set_epi32(0, 0, 0, (int)0x80000000u);
    const __m128i bits640 = _mm_set_epi32(640, 0, 0, 0), bits256 = _mm_set_epi32(256, 0, 0, 0);
    size_t hits = 0;
    uint64_t i = 0;
    while (i < count && hits < capacity) {
        halves s[2] = {mid, mid};
        __m128i m[2][4];
        for (int j = 0; j < 2; j++) {
            uint32_t nonce = start + (uint32_t)i + (uint32_t)j;
            m[j][0] = _mm_set_epi32((int)__builtin_bswap32(nonce), w2, w1, w0);
            m[j][1] = stop;
            m[j][2] = zero;
            m[j][3] = bits640;
        }
        compress_lanes(s, m, 2);
        for (int j = 0; j < 2; j++) {
            unpack(s[j], &m[j][0], &m[j][1]);
            m[j][2] = stop;
            m[j][3] = bits256;
            s[j] = initial;
        }
        compress_lanes(s, m, 2);
        for (int j = 0; j < 2 && i < count && hits < capacity; j++, i++) {
            uint64_t top = __builtin_bswap64((uint64_t)_mm_cvtsi128_si64(s[j].cdgh));
            if (top <= high) found[hits++] = start + (uint32_t)i;
        }
    }
    *tried = i;
    return hits;
}
#endif
