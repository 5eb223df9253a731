// SHA-256 with the instructions of ARMv8 (Arm's architecture reference manual: SHA256H, SHA256H2, SHA256SU0, SHA256SU1).
#include "internal.h"

#ifdef HASHING_HAS_ARM
#include <arm_neon.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

#define ARM __attribute__((target("sha2")))
#define ARM_INLINE static inline __attribute__((always_inline, target("sha2")))

int hashing_detect_arm(void) {
#ifdef __linux__
    // HWCAP_SHA2 of the kernel's interface for 64-bit ARM.
    return (getauxval(AT_HWCAP) & 1ul << 6) != 0;
#else
    // Every 64-bit processor that Apple made has them.
    return 1;
#endif
}

typedef struct {
    uint32x4_t abcd, efgh;
} halves;

ARM_INLINE void four_rounds(halves *s, uint32x4_t wk) {
    uint32x4_t abcd = s->abcd;
    s->abcd = vsha256hq_u32(abcd, s->efgh, wk);
    s->efgh = vsha256h2q_u32(s->efgh, abcd, wk);
}

ARM_INLINE void add(halves *state, halves s) {
    state->abcd = vaddq_u32(state->abcd, s.abcd);
    state->efgh = vaddq_u32(state->efgh, s.efgh);
}

/// One block, given as 16 words, which are used up.
ARM_INLINE void compress_words(halves *state, uint32x4_t w[4]) {
    halves s = *state;
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        four_rounds(&s, vaddq_u32(w[i & 3], vld1q_u32(hashing_constants + 4 * i)));
        if (i < 12)
            w[i & 3] = vsha256su1q_u32(
                vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
    }
    add(state, s);
}

/// The block that pads a message of 64 bytes.
ARM_INLINE void compress_padding(halves *state) {
    halves s = *state;
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) four_rounds(&s, vld1q_u32(hashing_padding + 4 * i));
    add(state, s);
}

ARM_INLINE uint32x4_t load(const uint8_t *bytes) { return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(bytes))); }
ARM_INLINE void store(uint8_t *bytes, uint32x4_t words) { vst1q_u8(bytes, vrev32q_u8(vreinterpretq_u8_u32(words))); }
ARM_INLINE halves initial(void) {
    halves s = {vld1q_u32(hashing_initial), vld1q_u32(hashing_initial + 4)};
    return s;
}

ARM void hashing_compress_arm(uint32_t state[8], const uint8_t *bytes, size_t blocks) {
    halves s = {vld1q_u32(state), vld1q_u32(state + 4)};
    for (; blocks > 0; blocks--, bytes += 64) {
        uint32x4_t w[4] = {load(bytes), load(bytes + 16), load(bytes + 32), load(bytes + 48)};
        compress_words(&s, w);
    }
    vst1q_u32(state, s.abcd);
    vst1q_u32(state + 4, s.efgh);
}

ARM void hashing_climb_arm(uint8_t node[32], const uint8_t *branches, size_t count) {
    static const uint32_t ending[8] = {0x80000000u, 0, 0, 0, 0, 0, 0, 256};
    halves words = {load(node), load(node + 16)};
    for (; count > 0; count--, branches += 32) {
        halves once = initial();
        uint32x4_t w[4] = {words.abcd, words.efgh, load(branches), load(branches + 16)};
        compress_words(&once, w);
        compress_padding(&once);
        uint32x4_t second[4] = {once.abcd, once.efgh, vld1q_u32(ending), vld1q_u32(ending + 4)};
        words = initial();
        compress_words(&words, second);
    }
    store(node, words.abcd);
    store(node + 16, words.efgh);
}
#endif
