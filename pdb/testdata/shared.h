#pragma once
#ifdef __cplusplus
extern "C" {
#endif
extern volatile long long sink;
enum Color { Red, Green = 7, Blue = -1 };
int helper(int n);
static inline int step(int a, int b) {
  sink += a;
  return a * b + (int)sink;
}
static inline int twice(int a) {
  sink -= 2;
  return step(a, 2) +
         step(a, 4);
}
#ifdef __cplusplus
}
#endif
