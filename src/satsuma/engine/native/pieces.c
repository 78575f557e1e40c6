/* The longest piece that the vocabulary has, again and again, as BERT's tokenizer reads a word.
 *
 * Pieces are found by a hash of their letters, which grows letter by letter, so all beginnings of a
 * word are hashed in one pass. */
#include "pieces.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_WORD = 256, MOST_FRAME = 8 };
enum { STARTING = 0x811c9dc5, GOING_ON = 0x1b873593 }; /* seeds: a piece has a hash in each place */

struct piece {
  int64_t start, length; /* in the vocabulary's text; no length is a free place */
  uint32_t hash;
  int32_t id;
};

struct vocabulary {
  struct piece *places;
  uint8_t *text;
  uint64_t mask;
  int64_t longest_piece, longest_word, unknown, lowers, num_before, num_after;
  int64_t frame[MOST_FRAME];
};

static inline uint32_t hash_on(uint32_t hash, uint8_t letter) { return (hash ^ letter) * 0x01000193u; }

static inline uint64_t place_of(const struct vocabulary *vocabulary, uint32_t hash) {
  return (hash ^ (hash >> 15)) & vocabulary->mask;
}

static int32_t find(const struct vocabulary *vocabulary, uint32_t hash, const uint8_t *letters,
                    int64_t length) {
  for (uint64_t at = place_of(vocabulary, hash);; at = (at + 1) & vocabulary->mask) {
    const struct piece *piece = &vocabulary->places[at];
    if (!piece->length) return -1;
    if (piece->hash == hash && piece->length == length &&
        !memcmp(vocabulary->text + piece->start, letters, (size_t)length))
      return piece->id;
  }
}

static void add(struct vocabulary *vocabulary, int64_t start, int64_t end, uint32_t seed, int64_t id) {
  uint32_t hash = seed;
  for (int64_t i = start; i < end; i++) hash = hash_on(hash, vocabulary->text[i]);
  uint64_t at = place_of(vocabulary, hash);
  while (vocabulary->places[at].length) at = (at + 1) & vocabulary->mask;
  vocabulary->places[at] = (struct piece){start, end - start, hash, (int32_t)id};
  if (vocabulary->longest_piece < end - start) vocabulary->longest_piece = end - start;
}

struct vocabulary *make_vocabulary(const uint8_t *text, const int64_t *ends, const int64_t *ids,
                                   int64_t num_starting, int64_t count, int64_t unknown,
                                   int64_t longest_word, int64_t lowers, const int64_t *frame,
                                   int64_t num_before, int64_t num_after) {
  uint64_t room = 16;
  while (room < 2 * (uint64_t)count) room *= 2;
  const size_t text_bytes = count ? (size_t)ends[count - 1] : 0;
  struct vocabulary *made = calloc(1, sizeof *made);
  if (!made) return NULL;
  made->places = calloc(room, sizeof *made->places);
  made->text = malloc(text_bytes + 1);
  if (!made->places || !made->text || longest_word > LONGEST_WORD ||
      num_before + num_after > MOST_FRAME) {
    free_vocabulary(made);
    return NULL;
  }
  memcpy(made->text, text, text_bytes);
  memcpy(made->frame, frame, (size_t)(num_before + num_after) * sizeof *frame);
  made->mask = room - 1;
  made->unknown = unknown;
  made->longest_word = longest_word;
  made->lowers = lowers;
  made->num_before = num_before;
  made->num_after = num_after;
  for (int64_t i = 0; i < count; i++)
    add(made, i ? ends[i - 1] : 0, ends[i], i < num_starting ? STARTING : GOING_ON, ids[i]);
  return made;
}

void free_vocabulary(struct vocabulary *vocabulary) {
  free(vocabulary->places);
  free(vocabulary->text);
  free(vocabulary);
}

/* Read a word's ids into an array of LONGEST_WORD; returns how many. */
static int64_t read_word(const struct vocabulary *vocabulary, const uint8_t *word, int64_t length,
                         int64_t *ids) {
  uint32_t hashes[LONGEST_WORD];
  int64_t count = 0;
  if (length > vocabulary->longest_word) length = 0, ids[count++] = vocabulary->unknown;
  for (int64_t start = 0; start < length;) {
    int64_t end = length - start;
    if (end > vocabulary->longest_piece) end = vocabulary->longest_piece;
    uint32_t hash = start ? GOING_ON : STARTING;
    for (int64_t i = 0; i < end; i++) hashes[i] = hash = hash_on(hash, word[start + i]);
    int32_t id = -1;
    while (end && (id = find(vocabulary, hashes[end - 1], word + start, end)) < 0) end--;
    if (!end) {
      ids[0] = vocabulary->unknown;
      return 1;
    }
    ids[count++] = id;
    start += end;
  }
  return count;
}

static inline int is_letter(uint8_t one) { /* or a digit: what a word consists of */
  return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9');
}

static inline int is_space(uint8_t one) {
  return one == ' ' || one == '\t' || one == '\n' || one == '\r';
}

static int is_plain(const uint8_t *text, int64_t length) {
  int wrong = 0;
  for (int64_t i = 0; i < length; i++)
    wrong |= (text[i] < ' ' && !is_space(text[i])) | (text[i] > '~');
  return !wrong;
}

/* Read the next word, or the sign that stands for one, from `*at` on. */
static int64_t read_next(const struct vocabulary *vocabulary, const uint8_t *text, int64_t length,
                         int64_t *at, int64_t *ids) {
  uint8_t word[LONGEST_WORD];
  const int64_t start = *at;
  int64_t end = start + 1;
  if (is_letter(text[start]))
    while (end < length && is_letter(text[end])) end++;
  *at = end;
  for (int64_t i = start; i < end && i - start < LONGEST_WORD; i++)
    word[i - start] =
        vocabulary->lowers && text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i];
  return read_word(vocabulary, word, end - start, ids);
}

/* Read a plain text's own ids, `room` at most; returns how many, and one more if some were cut. */
static int64_t read_text(const struct vocabulary *vocabulary, const uint8_t *text, int64_t length,
                         int64_t room, int64_t *ids) {
  int64_t pieces[LONGEST_WORD], count = 0;
  for (int64_t at = 0; at < length && count <= room;) {
    if (is_space(text[at])) {
      at++;
      continue;
    }
    const int64_t found = read_next(vocabulary, text, length, &at, pieces);
    const int64_t kept = found < room - count ? found : room - count;
    memcpy(ids + count, pieces, (size_t)kept * sizeof *ids);
    count += found;
  }
  return count <= room ? count : room + 1;
}

void read_texts(const struct vocabulary *vocabulary, const uint8_t *text, const int64_t *ends,
                int64_t num_texts, int64_t max_tokens, int64_t *ids, int64_t *told) {
  const int64_t num_before = vocabulary->num_before, num_after = vocabulary->num_after;
  const int64_t room = max_tokens - num_before - num_after;
  for (int64_t i = 0, start = 0; i < num_texts; start = ends[i++]) {
    told[2 * i] = -1;
    told[2 * i + 1] = 0;
    if (!is_plain(text + start, ends[i] - start)) continue;
    memcpy(ids, vocabulary->frame, (size_t)num_before * sizeof *ids);
    int64_t count =
        read_text(vocabulary, text + start, ends[i] - start, room, ids + num_before);
    told[2 * i + 1] = count > room;
    if (count > room) count = room;
    ids += num_before + count;
    memcpy(ids, vocabulary->frame + num_before, (size_t)num_after * sizeof *ids);
    ids += num_after;
    told[2 * i] = num_before + count + num_after;
  }
}
