// Compiled by the tests to get code: loops that become vectors, atomics,
// numbers with a fraction, structures, calls, switches.
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned u32; typedef unsigned long long u64; typedef long long s64;
void addBytes(u8 *a, const u8 *b, int n) { for (int i = 0; i < n; i++) a[i] += b[i]; }
void addShorts(short *a, const short *b, int n) { for (int i = 0; i < n; i++) a[i] = a[i] * 3 + b[i]; }
void addInts(int *a, const int *b, int n) { for (int i = 0; i < n; i++) a[i] = a[i] * b[i] - 7; }
void addLongs(s64 *a, const s64 *b, int n) { for (int i = 0; i < n; i++) a[i] = (a[i] ^ b[i]) + (a[i] >> 3); }
void floats(float *a, const float *b, int n) { for (int i = 0; i < n; i++) a[i] = a[i] * b[i] + 2.5f; }
void doubles(double *a, const double *b, int n) { for (int i = 0; i < n; i++) a[i] = a[i] / b[i] - 1.25; }
void gather(int *a, const int *b, const int *index, int n) { for (int i = 0; i < n; i++) a[i] = b[index[i]]; }
void scatter(int *a, const int *b, const int *index, int n) { for (int i = 0; i < n; i++) a[index[i]] = b[i]; }
void choose(int *a, const int *b, int n) { for (int i = 0; i < n; i++) if (a[i] > b[i]) a[i] = b[i] * 2; }
void widen(int *a, const u8 *b, int n) { for (int i = 0; i < n; i++) a[i] = b[i]; }
void narrow(u8 *a, const int *b, int n) { for (int i = 0; i < n; i++) a[i] = (u8)b[i]; }
void convert(double *a, const int *b, float *c, int n) { for (int i = 0; i < n; i++) { a[i] = b[i]; c[i] = (float)a[i]; } }
int sum(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
double sumDoubles(const double *a, int n) { double s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
u32 bits(u64 v, u32 w) { return __builtin_popcountll(v) + __builtin_clzll(v | 1) + __builtin_ctz(w | 1) + __builtin_bswap32(w) + (w << 5 | w >> 27); }
s64 divide(s64 a, s64 b, int c) { return a / b + a % b + c / 7 + (u64)a / 10; }
struct node { struct node *next; int v; u8 c; u16 s; double d; float f; };
int walk(struct node *n) { int t = 0; for (; n; n = n->next) { t += n->v * n->c + n->s; n->d *= 2; n->f += 1; } return t; }
int add4(int *p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST) + __atomic_fetch_sub(p, v, __ATOMIC_ACQUIRE) + __atomic_fetch_add(p, v, __ATOMIC_RELAXED) + __atomic_fetch_add(p, v, __ATOMIC_RELEASE); }
s64 add8(s64 *p, s64 v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST) | __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST) | __atomic_fetch_and(p, v, __ATOMIC_RELEASE) | __atomic_fetch_xor(p, v, __ATOMIC_ACQUIRE); }
void noResult(int *p, s64 *q, u8 *b, u16 *h) { __atomic_fetch_add(p, 1, __ATOMIC_RELAXED); __atomic_fetch_or(q, 4, __ATOMIC_RELEASE); __atomic_fetch_xor(b, 1, __ATOMIC_RELAXED); __atomic_fetch_add(h, 1, __ATOMIC_SEQ_CST); }
int swap(int *p, s64 *q, u8 *b, u16 *h) { return __atomic_exchange_n(p, 1, __ATOMIC_SEQ_CST) + (int)__atomic_exchange_n(q, 2, __ATOMIC_ACQUIRE) + __atomic_exchange_n(b, 3, __ATOMIC_RELAXED) + __atomic_exchange_n(h, 4, __ATOMIC_RELEASE); }
int compare(int *p, s64 *q, u8 *b, u16 *h, int e) { s64 f = e; u8 g = e; u16 i = e; return __atomic_compare_exchange_n(p, &e, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) + __atomic_compare_exchange_n(q, &f, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) + __atomic_compare_exchange_n(b, &g, 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED) + __atomic_compare_exchange_n(h, &i, 1, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED); }
int least(int *p, u32 *q, int v) { return __atomic_fetch_min(p, v, __ATOMIC_SEQ_CST) + __atomic_fetch_max(p, v, __ATOMIC_RELAXED) + __atomic_fetch_min(q, v, __ATOMIC_SEQ_CST) + __atomic_fetch_max(q, v, __ATOMIC_ACQUIRE); }
int ordered(int *p, u8 *q, s64 *r) { __atomic_store_n(p, 3, __ATOMIC_RELEASE); __atomic_store_n(r, 3, __ATOMIC_SEQ_CST); return __atomic_load_n(p, __ATOMIC_ACQUIRE) + __atomic_load_n(q, __ATOMIC_SEQ_CST) + (int)__atomic_load_n(r, __ATOMIC_RELAXED); }
void copy(u8 *a, const u8 *b) { __builtin_memcpy(a, b, 200); __builtin_memset(a + 256, 3, 100); }
int choice(int i) { switch (i) { case 0: return 4; case 1: return 9; case 2: return -3; case 3: return 77; case 4: return 1 << 20; case 5: return 12345; } return i; }
long double extended(long double a, double b) { return a * b + a / 3; }
double fraction(float a, int b, s64 c, u32 d) { return a * b + c - d + (a > b ? 0.5 : __builtin_sqrt(a)); }
int stack(int n) { volatile int a[64]; for (int i = 0; i < 64; i++) a[i] = n; return a[n & 63]; }
typedef int (*function)(int, int); int indirect(function f, function *table, int i) { return f(i, 2) + table[i](3, 4); }
int tail(function f, int i) { return f(i, i); }
