/* Plain ASCII texts -> ids of BERT's word pieces. */
#ifndef SATSUMA_PIECES_H
#define SATSUMA_PIECES_H

#include "program.h"

/* A vocabulary, and what is put around a text. */
struct vocabulary;

/* Copy a vocabulary: `count` pieces one after another in `text`, each up to its end in `ends`, first
 * `num_starting` that begin a word, then those that go on with one. `frame` has `num_before` ids
 * that come before a text's own, then `num_after`. A word of more than `longest_word` letters, 256
 * at most, or of no known pieces, is `unknown`. NULL without memory. */
EXPORT struct vocabulary *make_vocabulary(const uint8_t *text, const int64_t *ends, const int64_t *ids,
                                          int64_t num_starting, int64_t count, int64_t unknown,
                                          int64_t longest_word, int64_t lowers,
                                          const int64_t *frame, int64_t num_before,
                                          int64_t num_after);

EXPORT void free_vocabulary(struct vocabulary *vocabulary);

/* Read `num_texts` texts, laid end to end as the pieces were, into framed ids laid end to end.
 * Each gets two numbers in `told`: how many ids, `max_tokens` at most, and whether some were cut
 * off. A text that is not plain, as one with a sign that cannot be printed, gets -1 ids. There has to be room for `max_tokens` ids of each. */
EXPORT void read_texts(const struct vocabulary *vocabulary, const uint8_t *text,
                       const int64_t *ends, int64_t num_texts, int64_t max_tokens, int64_t *ids,
                       int64_t *told);

#endif
