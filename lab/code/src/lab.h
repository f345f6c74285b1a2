// What the sources of the invented machine share. A function here is a frame: a
// name, so much room on the stack, so many registers kept, the calls it makes.
// They follow the stacks that debuggers print; they do no work.
#pragma once
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short wchar;
typedef u64 Fn(u64, u64, u64, u64);

#define NOINLINE __attribute__((noinline))
#define KEEP0 local[0]
#define KEEP1 a
#define KEEP2 (a ^ b)
#define KEEP3 (a ^ b ^ c)
#define KEEP4 (a ^ b ^ c ^ d)

// FN defines a function with room for so many words (2 or more), which needs
// `keep` of its four arguments after its calls.
#define FN(name, room, keep, ...)                                              \
	NOINLINE u64 name(u64 a, u64 b, u64 c, u64 d)                              \
	{                                                                          \
		volatile u64 local[room];                                              \
		u64 s = 0;                                                             \
		local[0] = d;                                                          \
		local[(room) - 1] = c;                                                 \
		__asm__ volatile("" : : "r"(local) : "memory");                        \
		__VA_ARGS__                                                            \
		goto out;                                                              \
	out:                                                                       \
		return s ^ KEEP##keep;                                                 \
	}
// FNA also takes memory from the stack while it runs, so that it has a frame
// pointer.
#define FNA(name, room, keep, ...)                                             \
	FN(name, room, keep, volatile u8 *more = __builtin_alloca((u32)a & 0x70); more[0] = (u8)b; __VA_ARGS__ s += more[0];)

// CALL calls a function of this image, IMPORT one of another, INDIRECT one
// whose address lies `at` bytes into what the first argument points to.
#define STEP(call)                                                             \
	s += call;                                                                 \
	if ((long long)s < 0)                                                      \
		goto out;
#define CALL(f) { Fn f; STEP(f(a + s, local[0], s, local[0] ^ 1)) }
#define IMPORT(f) { __declspec(dllimport) Fn f; STEP(f(a + s, local[0], s, local[0] ^ 1)) }
#define INDIRECT(at) STEP((*(Fn *volatile *)(a + (at)))(a, s, local[0], 2))

// MARK names the next instruction for the lab. The name is in no symbol file.
#define MARK(name) #name ": "

// FAILFAST stops the machine as RtlFailFast does, at a place the lab can find.
#if defined(__x86_64__)
#define FAILFAST(mark, code) __asm__ volatile(MARK(mark) "int $0x29" : : "c"((u64)(code)) : "memory")
#else
#define FAILFAST(mark, code)                                                   \
	{                                                                          \
		register u64 x0 __asm__("x0") = (code);                                \
		__asm__ volatile(MARK(mark) "brk #0xf003" : : "r"(x0) : "memory");     \
	}
#endif
