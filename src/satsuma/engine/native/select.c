/* Which kernels this processor runs, best first. */
#include "program.h"

#include <string.h>

/* For a test of the mirrors in library.py. */
const int64_t struct_sizes[] = {sizeof(struct step), sizeof(struct batch), sizeof(struct kernels)};

extern const struct kernels kernels_generic;
#if defined(__x86_64__)
#include <cpuid.h>
extern const struct kernels kernels_avx2, kernels_avx512;

struct leaf {
  unsigned eax, ebx, ecx, edx;
};

static struct leaf ask(unsigned number) {
  struct leaf leaf = {0};
  __get_cpuid_count(number, 0, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx);
  return leaf;
}

/* Which registers the system saves when it switches threads. */
static unsigned saved_registers(void) {
  unsigned low = 0, high = 0;
  if (ask(1).ecx & bit_OSXSAVE) __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static int runs_avx2(void) {
  const unsigned needed = bit_FMA | bit_AVX;
  return (saved_registers() & 0x6) == 0x6 && (ask(1).ecx & needed) == needed &&
         (ask(7).ebx & bit_AVX2);
}

static int runs_avx512(void) {
  const unsigned needed = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  return runs_avx2() && (saved_registers() & 0xe6) == 0xe6 && (ask(7).ebx & needed) == needed;
}

static int runs_vnni(void) { return runs_avx512() && (ask(7).ecx & bit_AVX512VNNI); }
#endif

/* The candidates of this build that the processor runs, best first; returns how many. */
int64_t list_kernels(const struct kernels **list, int64_t room) {
  const struct kernels *found[8];
  int64_t count = 0;
#if defined(__x86_64__)
  if (runs_avx512()) found[count++] = &kernels_avx512;
  if (runs_avx2()) found[count++] = &kernels_avx2;
  (void)runs_vnni;
#endif
  found[count++] = &kernels_generic;
  for (int64_t i = 0; i < count && i < room; i++) list[i] = found[i];
  return count < room ? count : room;
}
