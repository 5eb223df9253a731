// SHA-256 (FIPS 180-4) and its double, as Bitcoin uses it, with a nonce scanner.
//
// Nothing here allocates or keeps state between calls. Every function that takes an implementation
// computes the same values with each; asking for one that the processor lacks falls back to portable.
#ifndef HASHSPOT_CHASHING_H
#define HASHSPOT_CHASHING_H

#include <stddef.h>
#include <stdint.h>

/// How the compression function is computed.
typedef enum {
    hashing_portable = 0,
    /// The x86 SHA extensions.
    hashing_sha_ni = 1,
    /// The SHA-256 instructions of ARMv8.
    hashing_sha_arm = 2,
} hashing_implementation;

/// The fastest implementation that this processor has; asked of the processor once.
hashing_implementation hashing_best(void);

/// A running SHA-256. A plain value: copy it to go on from a shared prefix.
typedef struct {
    uint32_t state[8];
    uint8_t block[64];
    /// Bytes taken so far.
    uint64_t length;
} hashing_context;

void hashing_init(hashing_context *context);
void hashing_update(hashing_implementation with, hashing_context *context, const void *bytes, size_t count);
/// Writes SHA-256(SHA-256(all bytes)).
void hashing_finish_double(hashing_implementation with, hashing_context *context, uint8_t digest[32]);

/// SHA-256(SHA-256(bytes)).
void hashing_double(hashing_implementation with, const void *bytes, size_t count, uint8_t digest[32]);

/// The state after one whole block from the initial state: of a header's first 64 bytes.
void hashing_midstate(hashing_implementation with, const uint8_t block[64], uint32_t state[8]);

/// A coinbase with its way to the merkle root: all of a share's header that depends on the extranonces.
typedef struct {
    /// The coinbase's bytes before the extranonces, already taken in.
    const hashing_context *prefix;
    const uint8_t *extranonces;
    size_t extranonces_count;
    const uint8_t *suffix;
    size_t suffix_count;
    /// The siblings on the way up, in the order in which they are hashed, 32 bytes each.
    const uint8_t *branches;
    size_t branch_count;
} hashing_coinbase;

/// Writes the merkle root above a coinbase; without branches it is the coinbase's own hash.
void hashing_root(hashing_implementation with, const hashing_coinbase *coinbase, uint8_t root[32]);

/// Puts the merkle root into a header at its place (bytes 36 to 67) and writes the header's double hash.
void hashing_share(hashing_implementation with, const hashing_coinbase *coinbase, uint8_t header[80], uint8_t digest[32]);

/// Tries `count` nonces from `start` upwards (modulo 2^32) and reports those whose hash, read as a number,
/// has its most significant 64 bits at or below `high`.
///
/// `tail` is the header's bytes 64 to 75. Stops when `capacity` nonces are found.
/// Returns how many were found; `*tried` is how many nonces were hashed.
size_t hashing_scan(hashing_implementation with, const uint32_t midstate[8], const uint8_t tail[12],
                    uint32_t start, uint64_t count, uint64_t high,
                    uint32_t *found, size_t capacity, uint64_t *tried);

#endif
