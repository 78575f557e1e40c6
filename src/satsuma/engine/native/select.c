/* Which kernels this processor runs, best first. */
#include "program.h"

/* For a test of the mirrors in library.py. */
EXPORT const int64_t struct_sizes[] = {sizeof(struct step), sizeof(struct batch),
                                       sizeof(struct kernels)};

static int always(void) { return 1; }

#if defined(__x86_64__)
#include <cpuid.h>

struct leaf {
  unsigned eax, ebx, ecx, edx;
};

static struct leaf ask(unsigned number, unsigned part) {
  struct leaf leaf = {0};
  __get_cpuid_count(number, part, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx);
  return leaf;
}

/* Which registers the system saves when it switches threads. */
static unsigned saved_registers(void) {
  unsigned low = 0, high = 0;
  if (ask(1, 0).ecx & bit_OSXSAVE) __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static int runs_avx2(void) {
  const unsigned needed = bit_FMA | bit_AVX;
  return (saved_registers() & 0x6) == 0x6 && (ask(1, 0).ecx & needed) == needed &&
         (ask(7, 0).ebx & bit_AVX2);
}

static int runs_avxvnni(void) { return runs_avx2() && (ask(7, 1).eax & bit_AVXVNNI); }

static int runs_avx512(void) {
  const unsigned needed = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  return runs_avx2() && (saved_registers() & 0xe6) == 0xe6 &&
         (ask(7, 0).ebx & needed) == needed;
}

static int runs_avx512vnni(void) { return runs_avx512() && (ask(7, 0).ecx & bit_AVX512VNNI); }

#define CANDIDATES(of) of(avx512vnni) of(avx512) of(avxvnni) of(avx2)
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static int runs_dotprod(void) { return (getauxval(AT_HWCAP) >> 20) & 1; } /* HWCAP_ASIMDDP */

#define CANDIDATES(of) of(dotprod)
#elif defined(__aarch64__) && defined(__APPLE__)
#define runs_dotprod always /* every such processor has it */
#define CANDIDATES(of) of(dotprod)
#else
#define CANDIDATES(of)
#endif
#define runs_generic always

#define DECLARE(name) extern const struct kernels kernels_##name;
CANDIDATES(DECLARE) DECLARE(generic)

#define CANDIDATE(name) {&kernels_##name, runs_##name},
static const struct {
  const struct kernels *kernels;
  int (*runs)(void);
} candidates[] = {CANDIDATES(CANDIDATE) CANDIDATE(generic)};

int64_t list_kernels(const struct kernels **list, int64_t room) {
  int64_t count = 0;
  for (unsigned i = 0; i < sizeof candidates / sizeof *candidates && count < room; i++)
    if (candidates[i].runs()) list[count++] = candidates[i].kernels;
  return count;
}
