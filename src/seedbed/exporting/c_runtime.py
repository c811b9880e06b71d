"""The parts of an exported C file that are the same for every model.

They repeat ``engines.portable``, ``reproducible.total`` and ``tables.columns`` step by step. The
networks compute with numbers of type ``real``.
"""

RUNTIME = """\
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "-ffast-math changes the bits: compile without it"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "numbers are kept in more bits than they have: compile with -msse2 -mfpmath=sse"
#endif
/* sums of products must not become multiply-adds of themselves */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

typedef char double_needs_64_bits[sizeof(double) == 8 && sizeof(int) >= 4 ? 1 : -1];

#define TRUTH(condition) ((real)((condition) ? 1 : 0))
"""

OF_BITS = {
    "two_to": """\
static real two_to(real n) {
    const uword bits = (uword)((word)n + BIAS) << MANTISSA_BITS;
    real y;
    memcpy(&y, &bits, sizeof y);
    return y;
}
""",
    "times_two_to": """\
static real times_two_to(real x, real shifted) {
    uword a, b;
    memcpy(&a, &x, sizeof a);
    memcpy(&b, &shifted, sizeof b);
    a += b << MANTISSA_BITS;
    memcpy(&x, &a, sizeof x);
    return x;
}
""",
    "exponent": """\
static real exponent(real x) {
    uword bits;
    memcpy(&bits, &x, sizeof bits);
    return (real)((word)(bits >> MANTISSA_BITS) - BIAS);
}
""",
    "mantissa": """\
static real mantissa(real x) {
    uword bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits & (((uword)1 << MANTISSA_BITS) - 1)) | ((uword)BIAS << MANTISSA_BITS);
    memcpy(&x, &bits, sizeof x);
    return x;
}
""",
}
"""The operations on a number's bits, as in ``engines.arithmetic``."""

AFFINE = """\
/* y = x W + b, each a chain of fused multiply-adds: W (I, O) */
static void affine(const real *x, const real *W, const real *b, int I, int O, real *y) {
    int i, o;
    for (o = 0; o < O; o++) y[o] = b[o];
    for (i = 0; i < I; i++) {
        const real xi = x[i];
        const real *const row = W + (size_t)i * (size_t)O;
        for (o = 0; o < O; o++) y[o] = FMA(xi, row[o], y[o]);
    }
}
"""

TOTAL = """\
/* the sum of n numbers: one half is added to the other until one is left */
static double total(double *a, int n) {
    while (n > 1) {
        const int half = n / 2, odd = n % 2;
        const double last = a[n - 1];
        int i;
        for (i = 0; i < half; i++) a[i] = a[i] + a[half + i];
        if (odd) a[0] = a[0] + last;
        n = half;
    }
    return a[0];
}
"""

LOG_SOFTMAX = """\
/* y - log sum e^y, in place */
static void log_softmax(real *y, int n) {
    real top = y[0], sum;
    int o;
    for (o = 1; o < n; o++) top = top > y[o] || top != top ? top : y[o];
    for (o = 0; o < n; o++) y[o] = y[o] - top;
    sum = exponential(y[0]);
    for (o = 1; o < n; o++) sum = sum + exponential(y[o]);
    sum = logarithm(sum);
    for (o = 0; o < n; o++) y[o] = y[o] - sum;
}
"""

TEXTS = """\
/* the length of a blank at the beginning of a text of n bytes, as Python has it */
static size_t blank(const unsigned char *s, size_t n) {
    if (n > 0 && ((s[0] >= 9 && s[0] <= 13) || (s[0] >= 28 && s[0] <= 32))) return 1;
    if (n > 1 && s[0] == 0xC2 && (s[1] == 0x85 || s[1] == 0xA0)) return 2;
    if (n < 3) return 0;
    if (s[0] == 0xE1 && s[1] == 0x9A && s[2] == 0x80) return 3;
    if (s[0] == 0xE2 && s[1] == 0x80 && ((s[2] >= 0x80 && s[2] <= 0x8A) || s[2] == 0xA8 ||
                                         s[2] == 0xA9 || s[2] == 0xAF)) return 3;
    if (s[0] == 0xE2 && s[1] == 0x81 && s[2] == 0x9F) return 3;
    return s[0] == 0xE3 && s[1] == 0x80 && s[2] == 0x80 ? 3 : 0;
}

/* takes blanks at both ends away */
static void strip(const unsigned char **s, size_t *n) {
    size_t length;
    while ((length = blank(*s, *n)) > 0) *s += length, *n -= length;
    for (;;) {
        size_t back;
        for (back = 1; back <= 3 && back <= *n; back++)
            if (blank(*s + *n - back, back) == back) break;
        if (back > 3 || back > *n) return;
        *n -= back;
    }
}

static int compare(const unsigned char *s, size_t n, const char *other) {
    const size_t length = strlen(other);
    const int order = memcmp(s, other, n < length ? n : length);
    return order != 0 ? order : n < length ? -1 : n > length;
}

/* the place of a text in a sorted table, or -1 */
static int find(const unsigned char *s, size_t n, const char *const *table, int count) {
    int low = 0, high = count - 1;
    while (low <= high) {
        const int middle = low + (high - low) / 2, order = compare(s, n, table[middle]);
        if (order == 0) return middle;
        if (order < 0) high = middle - 1;
        else low = middle + 1;
    }
    return -1;
}

/* whether a text is a word for a missing value, in capitals or small letters */
static int is_missing(const unsigned char *s, size_t n) {
    unsigned char folded[LONGEST_WORD];
    size_t i = 0, length = 0;
    while (i < n) {
        char expanded[4] = {0};
        size_t used = 1, j;
        expanded[0] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + 32 : s[i]);
        for (j = 0; j < sizeof fold_from / sizeof *fold_from; j++) {
            const size_t k = strlen(fold_from[j]);
            if (k <= n - i && memcmp(s + i, fold_from[j], k) == 0) {
                strcpy(expanded, fold_to[j]);
                used = k;
                break;
            }
        }
        for (j = 0; expanded[j] != 0; j++) {
            if (length == LONGEST_WORD) return 0;
            folded[length++] = (unsigned char)expanded[j];
        }
        i += used;
    }
    return find(folded, length, missing_words, (int)(sizeof missing_words / sizeof *missing_words))
           >= 0;
}

/* a category's number; -1 where missing; -2 if training did not see it */
static int category(const char *text, const char *const *names, const int *codes, int count) {
    const unsigned char *s = (const unsigned char *)text;
    size_t n = text == NULL ? 0 : strlen(text);
    int place;
    if (n > 0) strip(&s, &n);
    if (n == 0) return -1;
    place = find(s, n, names, count);
    if (place >= 0) return codes[place];
    return is_missing(s, n) ? -1 : -2;
}
"""

CIRCLES = """\
/* cos 2 pi v and sin 2 pi v, 0 <= v < 1 */
static void circle(double v, real *cosine, real *sine) {
    const double k = v >= 0.875 ? 4.0 : v > 0.625 ? 3.0 : v >= 0.375 ? 2.0 : v > 0.125 ? 1.0 : 0.0;
    const double x = (v - k / 4) * 6.283185307179586, z = x * x;
    const int quarter = (int)k & 3;
    double c = z * cos_series[0], s = z * sin_series[0], t;
    int i;
    for (i = 1; i < 7; i++) {
        c = c + cos_series[i];
        c = c * z;
        s = s + sin_series[i];
        s = s * z;
    }
    c = 1 + z * (c + cos_series[7]);
    s = x + x * (z * (s + sin_series[7]));
    if (quarter % 2) t = c, c = s, s = t;
    *cosine = (real)(c * (1 - (((int)k + 1) & 2)));
    *sine = (real)(s * (1 - ((int)k & 2)));
}

/* the month, 0 to 11, of a day since 1970-01-01 in the Gregorian calendar */
static int month(double day) {
    const int64_t z = (int64_t)day + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t doe = z - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    return (int)(mp < 10 ? mp + 2 : mp - 10);
}
"""

REALS = {
    "float32": """\
typedef float real;
typedef int32_t word; /* as many bits as a real has */
typedef uint32_t uword;
#define MANTISSA_BITS 23
#define BIAS 127
#if defined(FP_FAST_FMAF) || defined(__FP_FAST_FMAF) || defined(__FMA__) || \\
    defined(__ARM_FEATURE_FMA)
#define FMA fmaf
#else
#define FMA fused
/* x y + z, rounded once: the fmaf of some libraries rounds twice */
static float fused(float x, float y, float z) {
    const double p = (double)x * (double)y, tiny = 0x1p-126; /* p is exact */
    double s = p + (double)z;
    uint64_t bits;
    memcpy(&bits, &s, sizeof bits);
    if ((bits & 0x1FFFFFFF) == 0x10000000 || (s < tiny && s > -tiny)) {
        const double t = s - p, error = (p - (s - t)) + ((double)z - t);
        if (error != 0 && error - error == 0 && (bits & 1) == 0) {
            if ((error > 0) == (s > 0)) bits++; /* the neighbour of the exact sum whose */
            else bits--;                        /* last bit is 1 is not halfway */
            memcpy(&s, &bits, sizeof s);
        }
    }
    return (float)s;
}
#endif
#define FABS fabsf
#define SQRT sqrtf
#define COPYSIGN copysignf
""",
    "float64": """\
typedef double real;
typedef int64_t word; /* as many bits as a real has */
typedef uint64_t uword;
#define MANTISSA_BITS 52
#define BIAS 1023
#define FMA fma
#define FABS fabs
#define SQRT sqrt
#define COPYSIGN copysign
""",
}
