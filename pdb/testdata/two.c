#include "shared.h"

struct _LIST {
  struct _LIST *Flink, *Blink;
};

struct big {
  struct _LIST list;
  struct {
    int a;
    union {
      short b;
      char c[6];
    };
  } named;
  struct opaque *never;
  unsigned char tail[300];
  enum { Zero, Minus = -5, Huge = 0x7fffffff } e;
};

volatile long long sink;
static volatile int counter;
int _fltused;

static int hidden(struct big *b, int i) {
  sink += b->tail[i];
  return b->named.a + i;
}

__attribute__((noinline)) int helper(int n) {
  struct big b;
  int i, sum = 0;
  b.named.a = n;
  b.e = Minus;
  for (i = 0; i < n; i++) {
    b.tail[i & 255] = (unsigned char)i;
    sum += hidden(&b, i & 7);
    sum += twice(sum);
  }
  counter++;
  return sum;
}

int plain(int a, int b, int c) { return helper(a) * helper(b) + c; }
