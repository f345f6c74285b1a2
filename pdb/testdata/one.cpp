#include "shared.h"

// Nested and local types, arrays of arrays, bit fields, a virtual function table.
namespace deep {
struct Outer {
  struct Inner {
    unsigned char bytes[3];
    short s;
  } in[2][5];
  virtual int m(int);
  virtual ~Outer();
  int x;
};
int Outer::m(int a) { return step(a, x) + in[1][2].s; }
Outer::~Outer() { sink = x; }
} // namespace deep

void operator delete(void *, unsigned long long) {}
void operator delete(void *, unsigned) {}

struct Derived : deep::Outer {
  unsigned flag : 1;
  unsigned wide : 7;
  unsigned : 0;
  unsigned long long more : 33;
  int m(int) override;
  union {
    int number;
    float real;
  };
  Derived *next;
  const volatile char *name;
  void (*call)(int, Derived *);
  Color color;
};

int Derived::m(int a) {
  struct Local {
    int p, q;
  } l = {a, (int)wide};
  volatile Local v = l;
  return deep::Outer::m(v.p) + twice(v.q);
}

extern "C" __declspec(dllexport) int entry_one(int a) {
  Derived d;
  d.next = &d;
  d.color = Green;
  d.x = a;
  d.flag = 1;
  sink = (long long)&d;
  return d.m(a) + helper(a);
}

template <typename T> struct Box {
  T value;
  T get(T more) { return value + step(more, 3); }
};

extern "C" int boxed(int a) {
  Box<int> b{a};
  Box<unsigned long long> c{5};
  return b.get(a) + (int)c.get(7) + twice(a);
}
