/* Hides AVX-512 from a process, which then behaves as on an AVX2 processor.

   cc -O2 -shared -fPIC -o hide_avx512.so hide_avx512.c && LD_PRELOAD=./hide_avx512.so python ...

   Environment variables limit some libraries to AVX2 (Numba, OpenBLAS, oneDNN), but XLA's products
   query the processor with CPUID. Here that instruction faults (Linux on x86, arch_prctl(2), if the
   processor supports it), and the handler answers without the bits of AVX-512 and AMX.
*/
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_CPUID = 0x1012 };

static struct sigaction before;

static long allow(int on) { return syscall(SYS_arch_prctl, ARCH_CPUID, on); }

static void answer(int signal, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)r[REG_RIP];
  int of_memory = info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR;
  if (of_memory || code[0] != 0x0f || code[1] != 0xa2) { /* not CPUID: fails again, unhandled */
    sigaction(signal, &before, NULL);
    return;
  }
  unsigned leaf = r[REG_RAX], sub = r[REG_RCX], a, b, c, d;
  allow(1);
  __cpuid_count(leaf, sub, a, b, c, d);
  allow(0);
  if (leaf == 7 && sub == 0) {
    b &= ~0xdc230000u; /* F, DQ, IFMA, PF, ER, CD, BW, VL */
    c &= ~0x00005842u; /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
    d &= ~0x03c0010cu; /* 4VNNIW, 4FMAPS, VP2INTERSECT, AMX, FP16 */
  }
  if (leaf == 7 && sub == 1) {
    a &= ~0x00000030u; /* AVX-VNNI, BF16 */
    d &= ~0x00080000u; /* AVX10 */
  }
  r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
  r[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void) {
  struct sigaction ours = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  sigaction(SIGSEGV, &ours, &before);
  if (allow(0) != 0) {
    fprintf(stderr, "hide_avx512: this processor or kernel cannot let CPUID fault\n");
    exit(2);
  }
}
